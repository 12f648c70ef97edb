/**
 * Memory for large incoming payloads. It is shared, so that another thread can
 * read a payload in place, and it is reused once its user gives it back: new
 * memory for each payload would make V8 collect garbage every few of them.
 */
import { MAX_PAYLOAD_LENGTH } from '../../format/wire/frame.js';

/** Smaller payloads are not worth a room. */
export const LARGE_BYTES = 256 * 1024;
/** Number of unused rooms that are kept. */
const FREE_MAX = 8;

export class PayloadRooms {
  readonly #free: SharedArrayBuffer[] = [];

  /** `length` bytes to be written; their initial content is arbitrary. */
  take(length: number): Buffer {
    if (length < LARGE_BYTES || length > MAX_PAYLOAD_LENGTH) return Buffer.allocUnsafeSlow(length);
    return Buffer.from(this.#free.pop() ?? new SharedArrayBuffer(MAX_PAYLOAD_LENGTH), 0, length);
  }

  /** These bytes are no longer used. Ignores bytes that are not a room's. */
  giveBack({ buffer, byteOffset }: Uint8Array): void {
    const isRoom = buffer instanceof SharedArrayBuffer && buffer.byteLength === MAX_PAYLOAD_LENGTH;
    if (!isRoom || byteOffset !== 0) return;
    if (this.#free.length < FREE_MAX && !this.#free.includes(buffer)) this.#free.push(buffer);
  }
}

/** The rooms of this thread. */
export const payloadRooms = new PayloadRooms();
