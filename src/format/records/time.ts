/** Times in records and streams. Pure. */

/** Seconds before or after 1970: the integers that a number holds exactly. */
export const TIME_MAX_S = Number.MAX_SAFE_INTEGER;

/** Seconds and nanoseconds. */
export interface TimeSpec {
  s: number;
  ns: number;
}

/**
 * The nearest time that can be stored. At both ends of the range the
 * nanoseconds are 0, as in the kernel's `timestamp_truncate`.
 */
export function heldTime(s: number, ns: number): TimeSpec {
  if (s >= TIME_MAX_S) return { s: TIME_MAX_S, ns: 0 };
  if (s <= -TIME_MAX_S) return { s: -TIME_MAX_S, ns: 0 };
  return { s, ns };
}
