/**
 * Points in time as people write them: `2h` or `2 hours ago`, `yesterday`,
 * `2026-11-30`, `2026-11-30 12:00`, with `Z`, `UTC` or `+0100` behind it in that
 * zone, otherwise in this machine's local time. Pure but for the local zone.
 *
 * A local time that the clock skips in spring is as much later as the clock
 * jumps; one that it shows twice in autumn is the first of the two.
 */

const UNITS: readonly { words: RegExp; ms: number }[] = [
  { words: /^(s|secs?|seconds?)$/, ms: 1000 },
  { words: /^(m|mins?|minutes?)$/, ms: 60_000 },
  { words: /^(h|hrs?|hours?)$/, ms: 3_600_000 },
  { words: /^(d|days?)$/, ms: 86_400_000 },
  { words: /^(w|weeks?)$/, ms: 7 * 86_400_000 },
];
const AGO = /^(\d{1,9})\s*([a-z]+)(?:\s+ago)?$/i;
const DATE =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ]+(\d\d):(\d\d)(?::(\d\d))?(?:\.\d+)?\s*(Z|UTC|[+-]\d\d:?\d\d)?)?$/i;

/** What `parseMoment` takes, for messages. */
export const MOMENT_FORMS =
  'a time: 90m, 2h or 7d ago, yesterday, 2026-11-30, or "2026-11-30 12:00" (local time; Z or +0100 behind it for another zone)';

/** Milliseconds since 1970; undefined when the text is no time. */
export function parseMoment(text: string, nowMs: number): number | undefined {
  const word = text.trim();
  if (/^now$/i.test(word)) return nowMs;
  if (/^(today|yesterday)$/i.test(word)) {
    const now = new Date(nowMs);
    const day = now.getDate() - (/^y/i.test(word) ? 1 : 0);
    return new Date(now.getFullYear(), now.getMonth(), day).getTime();
  }
  const ago = AGO.exec(word);
  if (ago !== null) {
    const unit = UNITS.find(({ words }) => words.test((ago[2] ?? '').toLowerCase()));
    return unit === undefined ? undefined : nowMs - Number(ago[1]) * unit.ms;
  }
  return parseDate(word);
}

function parseDate(text: string): number | undefined {
  const parts = DATE.exec(text);
  if (parts === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const asUtc = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  // The 31st of a month of 30 days is no day.
  if (asUtc.getUTCMonth() !== month - 1 || asUtc.getUTCDate() !== day) return undefined;
  const zone = parts[7];
  if (zone === undefined) {
    return new Date(year, month - 1, day, hour, minute, second).getTime();
  }
  return asUtc.getTime() - offsetMs(zone);
}

/** Of `Z`, `UTC`, `+0100` or `-05:30`. */
function offsetMs(zone: string): number {
  const parts = /^([+-])(\d\d):?(\d\d)$/.exec(zone);
  if (parts === null) return 0;
  const minutes = Number(parts[2]) * 60 + Number(parts[3]);
  return (parts[1] === '-' ? -minutes : minutes) * 60_000;
}
