/**
 * Memory for large payloads that come in. It is shared, so that another thread
 * can read a payload where it lies, and is used again once whoever took it gives
 * it back: new memory for each would have V8 collect garbage every few of them.
 */
import { MAX_PAYLOAD_LENGTH } from '../../format/wire/frame.js';

/** Smaller ones are not worth a room. */
const LARGE_BYTES = 256 * 1024;
/** Kept while nobody uses them. */
const FREE_MAX = 8;

export class PayloadRooms {
  readonly #free: SharedArrayBuffer[] = [];

  /** `length` bytes to be written; what is in there now is any. */
  take(length: number): Buffer {
    if (length < LARGE_BYTES || length > MAX_PAYLOAD_LENGTH) return Buffer.allocUnsafeSlow(length);
    return Buffer.from(this.#free.pop() ?? new SharedArrayBuffer(MAX_PAYLOAD_LENGTH), 0, length);
  }

  /** Nobody looks at these bytes any more. Other bytes than a room's are left alone. */
  giveBack({ buffer, byteOffset }: Uint8Array): void {
    const isRoom = buffer instanceof SharedArrayBuffer && buffer.byteLength === MAX_PAYLOAD_LENGTH;
    if (!isRoom || byteOffset !== 0) return;
    if (this.#free.length < FREE_MAX && !this.#free.includes(buffer)) this.#free.push(buffer);
  }
}

/** Of this thread. */
export const payloadRooms = new PayloadRooms();
