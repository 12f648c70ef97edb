/**
 * What a standby keeps of the snapshots that its primary has deleted: `all`,
 * `as-primary` (nothing), or those that rules keep: `10` (the newest ten) or
 * `24 hourly 7 daily`, as in a schedule. Pure.
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
  try {
    const { keep } = parseSchedule(`every day, keep ${words}${/^\d+$/.test(words) ? ' all' : ''}`);
    if (keep !== undefined && words !== '') return keep;
  } catch {
    // What a schedule would expect does not help here.
  }
  throw new CommandError(
    'bad-schedule',
    'EINVAL',
    `keep ${shorten(text.trim(), 100)}: expected ${KEEP_ALL}, ${AS_PRIMARY}, how many of the newest, or ` +
      'rules as in a schedule; as in "keep 10" or "keep 24 hourly 7 daily"',
  );
}

/** `parseKeepPruned` of it returns the same. */
export function formatKeepPruned(keep: KeepPruned): string {
  if (typeof keep === 'string') return keep;
  return formatSchedule({ everyMs: 1000, keep }).replace(/^.* keep /, '');
}
