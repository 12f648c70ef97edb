/**
 * The bytes that a socket receives, in one buffer that is reused. A new buffer
 * for every 16 KiB, as Node makes them, would keep V8's garbage collector busy
 * during a transfer. Node offers this for sockets that it connects itself, not
 * for those that it accepts.
 */
import type { OnReadOpts } from 'node:net';

const BUFFER_BYTES = 64 * 1024;

export class OneBuffer {
  #take: ((bytes: Uint8Array) => void) | undefined;
  /** Bytes that came before `to` was called. */
  #early: Uint8Array[] = [];

  /** For tls.connect, whose types lack the option (its documentation has it). */
  readonly options: { onread: OnReadOpts } = {
    onread: {
      buffer: Buffer.allocUnsafeSlow(BUFFER_BYTES),
      callback: (length, buffer) => {
        const bytes = buffer.subarray(0, length);
        if (this.#take === undefined) this.#early.push(bytes.slice());
        else this.#take(bytes);
        return true;
      },
    },
  };

  /** Call once. The bytes are valid until `take` returns. */
  to(take: (bytes: Uint8Array) => void): void {
    this.#take = take;
    const early = this.#early;
    this.#early = [];
    // The caller may have to get ready; more bytes come only after that.
    queueMicrotask(() => early.forEach(take));
  }
}
