/**
 * Copying bytes from or to memory shared between threads. V8 copies such memory
 * a byte at a time, unless both sides have the same alignment: 3 GB/s. A
 * Buffer's `fill`, which is a plain memcpy for a value of the same length,
 * reaches 50. No thread may write to either side meanwhile; this holds wherever
 * memory is handed from thread to thread.
 */

/** Up to this length a loop is faster than a call, which needs a view. */
const LOOP_BYTES = 96;

const { fill } = Buffer.prototype;

/**
 * Copies `length` bytes of `from` from `start` on to offset `at` of `to`; the
 * two don't overlap.
 */
export function copyBytes(
  from: Uint8Array,
  start: number,
  length: number,
  to: Uint8Array,
  at: number,
): void {
  if (length > LOOP_BYTES) {
    const isWhole = length === from.length && start === 0;
    fill.call(to, isWhole ? from : from.subarray(start, start + length), at, at + length);
    return;
  }
  for (let i = 0; i < length; i++) to[at + i] = from[start + i] as number;
}
