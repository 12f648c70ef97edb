/**
 * Which snapshots rules keep: `10` (the newest ten) or `24 hourly 7 daily`, as
 * in a schedule. What a standby keeps of those that its primary has deleted may
 * also be `all`, or `as-primary` (nothing). Pure.
 */
import { CommandError } from '../../lib/errors.js';
import { formatSchedule, parseSchedule, type Schedule } from './schedule.js';
import { shorten } from './grammar.js';

export const KEEP_ALL = 'all';
export const AS_PRIMARY = 'as-primary';

export type KeepPruned = typeof KEEP_ALL | typeof AS_PRIMARY | NonNullable<Schedule['keep']>;

/** Throws CommandError `bad-schedule`. */
export function parseKeepPruned(text: string): KeepPruned {
  const words = text.trim().toLowerCase();
  if (words === KEEP_ALL || words === AS_PRIMARY) return words;
  if (/^0+$/.test(words)) return AS_PRIMARY;
  const keep = rulesIn(words);
  if (keep !== undefined) return keep;
  throw new CommandError(
    'bad-schedule',
    'EINVAL',
    `keep ${shorten(text.trim(), 100)}: expected ${KEEP_ALL}, ${AS_PRIMARY}, how many of the newest, or ` +
      'rules as in a schedule; as in "keep 10" or "keep 24 hourly 7 daily"',
  );
}

/** What `prune --keep` takes: how many of the newest, or rules. Throws CommandError `bad-schedule`. */
export function parseKeepRules(text: string): NonNullable<Schedule['keep']> {
  const keep = rulesIn(text.trim().toLowerCase());
  if (keep !== undefined) return keep;
  throw new CommandError(
    'bad-schedule',
    'EINVAL',
    `keep ${shorten(text.trim(), 100)}: expected how many of the newest, or rules as in a ` +
      'schedule; as in "10" or "24 hourly 7 daily"',
  );
}

/** Undefined: these are no rules. */
function rulesIn(words: string): Schedule['keep'] {
  try {
    const { keep } = parseSchedule(`every day, keep ${words}${/^\d+$/.test(words) ? ' all' : ''}`);
    return words === '' ? undefined : keep;
  } catch {
    // What a schedule would expect does not help here.
    return undefined;
  }
}

/** `24 hourly 7 daily` */
export function formatKeepRules(keep: NonNullable<Schedule['keep']>): string {
  return formatSchedule({ everyMs: 1000, keep }).replace(/^.* keep /, '');
}

/** `parseKeepPruned` of it returns the same. */
export function formatKeepPruned(keep: KeepPruned): string {
  if (typeof keep === 'string') return keep;
  return formatKeepRules(keep);
}
