/** The times that records and streams hold. Pure. */

/** Seconds since 1970, either way: the whole numbers that are exact. */
export const TIME_MAX_S = Number.MAX_SAFE_INTEGER;

/** Seconds and nanoseconds. */
export interface TimeSpec {
  s: number;
  ns: number;
}

/**
 * The nearest time that can be held. At both ends of the range there are no
 * nanoseconds, as in the kernel's `timestamp_truncate`.
 */
export function heldTime(s: number, ns: number): TimeSpec {
  if (s >= TIME_MAX_S) return { s: TIME_MAX_S, ns: 0 };
  if (s <= -TIME_MAX_S) return { s: -TIME_MAX_S, ns: 0 };
  return { s, ns };
}
