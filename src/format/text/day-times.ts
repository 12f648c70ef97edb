/**
 * Times of day at which a schedule saves: `daily at 03:00`, `daily at 09:00
 * 18:00`, `weekly on mon fri at 03:00`. Pure but for this machine's time zone.
 *
 * What must hold: times are local, and each time comes once a day in every
 * zone, also on the days on which the clock is changed: a time that the clock
 * skips comes as much later as the clock jumps, and one that it shows twice is
 * the first of the two.
 */
export const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

export interface DayTimes {
  /** Numbers as of `Date.getDay`, ascending; undefined: every day. */
  days: readonly number[] | undefined;
  /** Minutes since midnight, ascending. */
  minutes: readonly number[];
}

const DAYS_AHEAD = 8;

/** The first such time after `afterMs`. */
export function nextDayTime({ days, minutes }: DayTimes, afterMs: number): number {
  const from = new Date(afterMs);
  // From the day before: what was skipped late in the evening may come after midnight.
  for (let day = -1; day <= DAYS_AHEAD; day++) {
    const date = new Date(from.getFullYear(), from.getMonth(), from.getDate() + day, 12);
    if (days !== undefined && !days.includes(date.getDay())) continue;
    const times = minutes.map((minute) => timeOf(date, minute)).sort((a, b) => a - b);
    const next = times.find((ms) => ms > afterMs);
    if (next !== undefined) return next;
  }
  // A week has every weekday.
  throw new RangeError('a schedule without a day');
}

function timeOf(date: Date, minute: number): number {
  const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
  return new Date(year, month, day, Math.floor(minute / 60), minute % 60).getTime();
}

/** `daily at 03:00`. */
export function formatDayTimes({ days, minutes }: DayTimes): string {
  const times = minutes.map(formatMinute).join(' ');
  if (days === undefined) return `daily at ${times}`;
  return `weekly on ${days.map((day) => WEEKDAYS[day]).join(' ')} at ${times}`;
}

function formatMinute(minute: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}

/** Minutes since midnight of `03:00`, `3:00` or `24:00`-less `9`; undefined: no time of day. */
export function parseMinute(text: string): number | undefined {
  const parts = /^(\d{1,2}):(\d\d)$/.exec(text);
  const [hour, minute] = [Number(parts?.[1]), Number(parts?.[2])];
  return parts === null || hour > 23 || minute > 59 ? undefined : hour * 60 + minute;
}

/** The number of `mon`, `Monday` or `mondays`; undefined: no weekday. */
export function parseWeekday(text: string): number | undefined {
  const word = text.toLowerCase();
  if (!/^(sun|mon|tues?|wed(nes)?|thu(rs?)?|fri|sat(ur)?)(days?)?$/.test(word)) return undefined;
  const day = WEEKDAYS.findIndex((name) => word.startsWith(name));
  return day < 0 ? undefined : day;
}
