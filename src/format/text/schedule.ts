/**
 * The grammar of schedules: `every 10m, keep 6 all, 24 hourly 7 daily 4 weekly`,
 * `daily at 03:00`, `weekly on mon fri at 03:00`. Pure.
 *
 * Commas, `and` and capitals don't matter, and units may be written out. What
 * must hold: any text ends in a schedule or a CommandError that says what was
 * expected; `parseSchedule(formatSchedule(x))` returns x.
 */
import { CommandError } from '../../lib/errors.js';
import { type DayTimes, formatDayTimes, parseMinute, parseWeekday } from './day-times.js';
import { shorten } from './grammar.js';

/** `all`: the newest snapshots, whenever they were made; the others: the newest of each period. */
export const KEEP_CLASSES = ['all', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type KeepClass = (typeof KEEP_CLASSES)[number];

export interface Schedule {
  /** With `at`: the longest time between two saves, about. */
  everyMs: number;
  /** Times of day; undefined: every so often. */
  at?: DayTimes;
  /** Class → how many; undefined: nothing is ever deleted. */
  keep: ReadonlyMap<KeepClass, number> | undefined;
}

export const SCHEDULE_EXAMPLE = 'every 10m, keep 6 all, 24 hourly 7 daily 4 weekly';
const MAX_TEXT_LENGTH = 1000;
const MAX_COUNT = 10_000;
const DAY_MS = 86_400_000;
const MAX_EVERY_MS = 365 * DAY_MS;

const UNITS: readonly { unit: string; ms: number; words: RegExp }[] = [
  { unit: 'w', ms: 7 * 86_400_000, words: /^(w|weeks?)$/ },
  { unit: 'd', ms: 86_400_000, words: /^(d|days?)$/ },
  { unit: 'h', ms: 3_600_000, words: /^(h|hrs?|hours?)$/ },
  { unit: 'm', ms: 60_000, words: /^(m|mins?|minutes?)$/ },
  { unit: 's', ms: 1000, words: /^(s|secs?|seconds?)$/ },
];

const CLASS_WORDS: Readonly<Record<KeepClass, RegExp>> = {
  all: /^(all|newest|latest|last)$/,
  hourly: /^(hourly|hours?)$/,
  daily: /^(daily|days?)$/,
  weekly: /^(weekly|weeks?)$/,
  monthly: /^(monthly|months?)$/,
  yearly: /^(yearly|years?)$/,
};

function bad(message: string): CommandError {
  return new CommandError('bad-schedule', 'EINVAL', `${message}; as in "${SCHEDULE_EXAMPLE}"`, {
    example: SCHEDULE_EXAMPLE,
  });
}

/** Throws CommandError `bad-schedule`. */
export function parseSchedule(text: string): Schedule {
  if (text.length > MAX_TEXT_LENGTH) throw bad(`longer than ${MAX_TEXT_LENGTH} characters`);
  // A number and its unit may touch.
  const words = text.toLowerCase().match(/\d+:\d+|\d+|[^\s,;\d]+/g) ?? [];
  const left = words.filter((word) => word !== 'and');
  const first = left.shift();
  if (first === 'daily' || first === 'weekly') {
    const at = takeDayTimes(left, first);
    return { everyMs: first === 'daily' ? DAY_MS : 7 * DAY_MS, at, keep: takeKeep(left) };
  }
  if (first !== 'every') {
    throw bad('a schedule begins with "every" and how often, or with "daily at 03:00"');
  }
  const everyMs = takeInterval(left);
  const keep = takeKeep(left);
  return { everyMs, keep };
}

/** `at 03:00 15:00`, behind `weekly` with `on mon thu` before it. */
function takeDayTimes(left: string[], first: 'daily' | 'weekly'): DayTimes {
  let days: number[] | undefined;
  if (first === 'weekly') {
    if (left.shift() !== 'on') throw bad('"weekly" is followed by "on" and a weekday');
    days = takeAll(left, parseWeekday, 'a weekday such as mon or sunday');
  }
  if (left.shift() !== 'at') throw bad('"at" and a time of day such as 03:00 are expected');
  return { days, minutes: takeAll(left, parseMinute, 'a time of day such as 03:00') };
}

/** All words that `parse` knows, at least one; ascending. */
function takeAll(
  left: string[],
  parse: (word: string) => number | undefined,
  what: string,
): number[] {
  const values = new Set<number>();
  for (;;) {
    const value = parse(left[0] ?? '');
    if (value === undefined) break;
    values.add(value);
    left.shift();
  }
  if (values.size === 0) throw bad(`${found(left[0])} where ${what} is expected`);
  return [...values].sort((a, b) => a - b);
}

/** `10 m`, `minute` */
function takeInterval(left: string[]): number {
  const count = /^\d/.test(left[0] ?? '') ? takeCount(left, MAX_EVERY_MS / 1000) : 1;
  const word = left.shift();
  const unit = UNITS.find(({ words }) => words.test(word ?? ''));
  if (unit === undefined) throw bad(`${found(word)} where s, m, h, d or w is expected`);
  const everyMs = count * unit.ms;
  if (everyMs > MAX_EVERY_MS) throw bad('at most a year lies between two saves');
  return everyMs;
}

function takeKeep(left: string[]): Schedule['keep'] {
  const word = left.shift();
  if (word === undefined) return undefined;
  if (word !== 'keep') throw bad(`${found(word)} where "keep" is expected`);
  if (left.length === 1 && left[0] === 'all') return undefined;
  const keep = new Map<KeepClass, number>();
  do {
    const count = takeCount(left, MAX_COUNT);
    const name = left.shift();
    const kept = KEEP_CLASSES.find((one) => CLASS_WORDS[one].test(name ?? ''));
    if (kept === undefined) {
      throw bad(`${found(name)} where one of ${KEEP_CLASSES.join(' ')} is expected`);
    }
    if (keep.has(kept)) throw bad(`"${kept}" is given twice`);
    keep.set(kept, count);
  } while (left.length > 0);
  return keep;
}

function takeCount(left: string[], max: number): number {
  const word = left.shift();
  const count = Number(word);
  if (word === undefined || !/^\d+$/.test(word) || count < 1 || count > max) {
    throw bad(`${found(word)} where a number from 1 to ${max} is expected`);
  }
  return count;
}

function found(word: string | undefined): string {
  return word === undefined ? 'the schedule ends' : `"${shorten(word, 40)}" stands`;
}

/** Parses only the interval. Throws CommandError `bad-schedule`. */
export function parseEvery(text: string): number {
  const { everyMs, at, keep } = parseSchedule(text);
  if (at !== undefined) throw bad('only how often is expected, without a time of day');
  if (keep !== undefined) throw bad('only how often is expected, without "keep"');
  return everyMs;
}

export function formatEvery(everyMs: number): string {
  const unit = UNITS.find(({ ms }) => everyMs % ms === 0) ?? { unit: 's', ms: 1000 };
  return `every ${Math.max(1, everyMs / unit.ms)}${unit.unit}`;
}

export function formatSchedule({ everyMs, at, keep }: Schedule): string {
  const every = at === undefined ? formatEvery(everyMs) : formatDayTimes(at);
  if (keep === undefined) return every;
  const kept = KEEP_CLASSES.filter((name) => keep.has(name)).map(
    (name) => `${keep.get(name)} ${name}`,
  );
  return `${every}, keep ${kept.join(' ')}`;
}
