/**
 * Copying bytes from or into memory that threads share. V8 copies such memory
 * a byte at a time, unless both places are aligned alike: 3 GB/s, where `fill`
 * of a Buffer, which is a plain memcpy for a value of the same length, does 50.
 * Nobody may write to either place meanwhile, which holds wherever memory is
 * handed from thread to thread.
 */

/** Up to this length a loop is faster than a call, which needs a view. */
const LOOP_BYTES = 96;

const { fill } = Buffer.prototype;

/** `length` bytes of `from`, from `start` on, to the place `at` of `to`; the two don't overlap. */
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
