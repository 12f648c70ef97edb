/** Times as answers have them. */

/** Milliseconds: microseconds are enough for a person. */
export function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
