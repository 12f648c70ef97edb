/** How long ago something was, in git's wording. Pure. */

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
  const ageS = Math.floor(ageMs / 1000);
  const step = STEPS.find(({ upToS }) => ageS < upToS);
  if (ageS < 1 || step === undefined) return 'just now';
  const count = Math.round(ageS / step.s);
  return `${count} ${step.unit}${count === 1 ? '' : 's'} ago`;
}
