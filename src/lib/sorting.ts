/** Sorting in pieces, for a thread that also serves requests. Pure. */
import type { Work } from './work.js';

/** Sorted or merged between two pauses. */
const AT_ONCE = 256;

/** Sorts in place; what compares equal keeps its order. */
export function* sortInPieces<T>(items: T[], compare: (a: T, b: T) => number): Work<void> {
  const { length } = items;
  for (let from = 0; from < length; from += AT_ONCE) {
    const run = items.slice(from, from + AT_ONCE).sort(compare);
    for (const [i, item] of run.entries()) items[from + i] = item;
    yield undefined;
  }
  let source = items;
  let target = length > AT_ONCE ? items.slice() : items;
  for (let width = AT_ONCE; width < length; width *= 2) {
    for (let from = 0; from < length; from += 2 * width) {
      const middle = Math.min(from + width, length);
      yield* merge(
        source,
        target,
        { from, middle, end: Math.min(from + 2 * width, length) },
        compare,
      );
    }
    [source, target] = [target, source];
  }
  if (source === items) return;
  for (let at = 0; at < length; at++) {
    if (at % AT_ONCE === 0) yield undefined;
    items[at] = source[at] as T;
  }
}

function* merge<T>(
  source: readonly T[],
  target: T[],
  { from, middle, end }: { from: number; middle: number; end: number },
  compare: (a: T, b: T) => number,
): Work<void> {
  let left = from;
  let right = middle;
  for (let at = from; at < end; at++) {
    if (at % AT_ONCE === 0) yield undefined;
    const isLeft =
      left < middle && (right >= end || compare(source[left] as T, source[right] as T) <= 0);
    target[at] = source[isLeft ? left++ : right++] as T;
  }
}
