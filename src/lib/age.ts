/** How long ago something was, and how long it lasts, in git's wording. Pure. */

const STEPS: readonly { unit: string; s: number; upToS: number }[] = [
  { unit: 'second', s: 1, upToS: 90 },
  { unit: 'minute', s: 60, upToS: 90 * 60 },
  { unit: 'hour', s: 3600, upToS: 36 * 3600 },
  { unit: 'day', s: 86_400, upToS: 14 * 86_400 },
  { unit: 'week', s: 7 * 86_400, upToS: 70 * 86_400 },
  { unit: 'month', s: 30.44 * 86_400, upToS: 24 * 30.44 * 86_400 },
  { unit: 'year', s: 365.25 * 86_400, upToS: Number.POSITIVE_INFINITY },
];

/** `5 minutes ago`; a time in the future, after a clock was set back, is `just now`. */
export function ageText(ageMs: number): string {
  return ageMs < 1000 ? 'just now' : `${spanText(ageMs)} ago`;
}

/** `5 minutes`; less than a second is `0 seconds`. */
export function spanText(spanMs: number): string {
  const spanS = Math.max(0, Math.floor(spanMs / 1000));
  const step = STEPS.find(({ upToS }) => spanS < upToS) ?? { unit: 'second', s: 1 };
  const count = Math.round(spanS / step.s);
  return `${count} ${step.unit}${count === 1 ? '' : 's'}`;
}

/** The clock is read at slightly different moments by two threads. */
const CLOCK_SLACK_MS = 1000;

/** Null for a time that the clock has not reached: it was set back since. */
export function pastTime(timeMs: number | null, nowMs: number): number | null {
  return timeMs === null || timeMs > nowMs + CLOCK_SLACK_MS ? null : timeMs;
}

/** When something was, if that is known. */
export function whenText(timeMs: number | null, nowMs: number): string {
  const past = pastTime(timeMs, nowMs);
  return past === null ? 'at an unknown time' : ageText(nowMs - past);
}
