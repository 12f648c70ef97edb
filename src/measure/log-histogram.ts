/**
 * Durations in buckets whose width grows with the duration: bounded memory, a
 * few instructions per duration, and percentiles that are right to about six
 * per cent. Pure except for the buckets themselves.
 *
 * Below a microsecond the buckets are an eighth of one wide; above, each
 * doubling of the duration is cut into eight. Anything longer than nine minutes
 * goes into the last bucket.
 */
const UNITS_PER_MS = 8000;
const SUB_BITS = 3;
const SUBS = 1 << SUB_BITS;
const UNITS_MAX = 0xffff_ffff;

export const BUCKETS = bucketOf(Number.POSITIVE_INFINITY) + 1;

/** The bucket of a duration. */
export function bucketOf(ms: number): number {
  const units = Math.min(UNITS_MAX, Math.max(0, ms * UNITS_PER_MS)) >>> 0;
  if (units < SUBS) return units;
  const shift = 31 - SUB_BITS - Math.clz32(units);
  return (shift + 1) * SUBS + ((units >>> shift) & (SUBS - 1));
}

/** The shortest duration of a bucket. */
export function bucketStartMs(bucket: number): number {
  const shift = Math.floor(bucket / SUBS) - 1;
  const units = shift < 0 ? bucket : (SUBS + (bucket % SUBS)) * 2 ** shift;
  return units / UNITS_PER_MS;
}

/** A non-empty bucket: the shortest duration in it, and how many it has. */
export interface Bucket {
  fromMs: number;
  count: number;
}

/** The shortest durations first. */
export type Distribution = readonly Bucket[];

export class LogHistogram {
  readonly #counts = new Float64Array(BUCKETS);

  add(ms: number): void {
    const bucket = bucketOf(ms);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
  }

  clear(): void {
    this.#counts.fill(0);
  }

  distribution(): Distribution {
    const filled: Bucket[] = [];
    for (const [bucket, count] of this.#counts.entries()) {
      if (count > 0) filled.push({ fromMs: bucketStartMs(bucket), count });
    }
    return filled;
  }
}

function middleMs(fromMs: number): number {
  // Between two buckets, so that rounding does not matter.
  const next = bucketOf(fromMs + 0.01 / UNITS_PER_MS) + 1;
  return (fromMs + bucketStartMs(next)) / 2;
}

/**
 * The duration that the given share of all durations (0.5: half) does not exceed: the middle of its
 * bucket. 0 when there are none.
 */
export function quantileMs(distribution: Distribution, share: number): number {
  const total = distribution.reduce((sum, { count }) => sum + count, 0);
  let left = Math.max(1, Math.ceil(total * share));
  for (const { fromMs, count } of distribution) {
    left -= count;
    if (left <= 0) return middleMs(fromMs);
  }
  return 0;
}

/** `newer` minus the counts of `older`, an earlier state of the same histogram. */
export function distributionSince(newer: Distribution, older: Distribution): Distribution {
  const before = new Map(older.map(({ fromMs, count }) => [fromMs, count]));
  return newer
    .map(({ fromMs, count }) => ({ fromMs, count: count - (before.get(fromMs) ?? 0) }))
    .filter(({ count }) => count > 0);
}
