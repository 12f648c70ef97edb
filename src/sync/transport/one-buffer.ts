/**
 * What a socket receives, in one buffer that is used again and again: a new one
 * for every 16 KiB, as Node makes them, would have V8 collect garbage all the
 * time while a transfer comes in. Node gives this to sockets that it connects
 * itself, not to those that it accepts.
 */
import type { OnReadOpts } from 'node:net';

const BUFFER_BYTES = 64 * 1024;

export class OneBuffer {
  #take: ((bytes: Uint8Array) => void) | undefined;
  /** What came before anybody took it. */
  #early: Uint8Array[] = [];

  /** For tls.connect, whose types don't know it (its documentation does). */
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

  /** Once. The bytes may be looked at until `take` returns. */
  to(take: (bytes: Uint8Array) => void): void {
    this.#take = take;
    const early = this.#early;
    this.#early = [];
    // Whoever calls may have to get ready; more comes only after that.
    queueMicrotask(() => early.forEach(take));
  }
}
