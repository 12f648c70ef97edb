/** Lengths of time as people write them: `90s`, `15m`, `1h`, `7d`, `2w`. Pure. */

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/** Milliseconds; undefined when the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  const parts = /^(\d{1,9})([smhdw])$/.exec(text);
  if (parts === null) return undefined;
  return Number(parts[1]) * (UNIT_MS[parts[2] ?? ''] ?? 0);
}
