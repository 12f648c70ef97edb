/** A change as a line of text, and as numbers of lines with a bar. Pure. */
import { shownName } from '../../lib/byte-text.js';
import type { DiffChange } from '../../daemon/commands/inspect.js';
import { counted } from '../output.js';
import { cutMiddle, displayWidth } from '../width.js';

/** What stands before each kind of change. */
export const SIGNS = { added: '+', removed: '-', changed: 'M', renamed: 'R' } as const;
const LEAST_BAR = 10;
const LEAST_NAME = 20;

/** A path for people, with a slash behind a directory. */
export function shownPath({ path, type }: Pick<DiffChange, 'path' | 'type'>): string {
  if (path === '') return '.';
  return shownName(path) + (type === 'directory' ? '/' : '');
}

export function changeText(change: DiffChange): string {
  const { kind, oldPath = '', details, belowCount = 0 } = change;
  const from = kind === 'renamed' ? `${shownName(oldPath || '.')} -> ` : '';
  const what = details === undefined ? '' : ` (${details.join(', ')})`;
  const more = belowCount === 0 ? '' : ` (and ${counted(belowCount, 'name')} below)`;
  return `${SIGNS[kind]} ${from}${shownPath(change)}${what}${more}`;
}

/** What `--stat` knows of a change. */
export interface StatLine {
  name: string;
  /** Lines added and removed; or what else is to be said. */
  count: { added: number; removed: number } | string;
}

/** A bar of at most `width` signs in which both kinds are seen, if there are both. */
function barOf(added: number, removed: number, most: number, width: number): string {
  const scaled = (count: number): number =>
    most <= width || count === 0 ? count : Math.max(1, Math.round((count * width) / most));
  return '+'.repeat(scaled(added)) + '-'.repeat(scaled(removed));
}

/** As `git diff --stat`. */
export function statText(lines: readonly StatLine[], width: number): string[] {
  const most = lines.reduce((max, { count }) => {
    return typeof count === 'string' ? max : Math.max(max, count.added + count.removed);
  }, 0);
  const digits = String(most).length;
  const longest = lines.reduce((max, { name }) => Math.max(max, displayWidth(name)), 0);
  const room = width - digits - 5;
  const nameWidth = Math.min(longest, Math.max(LEAST_NAME, room - LEAST_BAR));
  // Rounding can make a bar one sign longer.
  const barWidth = Math.max(LEAST_BAR, room - nameWidth) - 1;
  let [added, removed] = [0, 0];
  const shown = lines.map(({ name, count }) => {
    const cut = cutMiddle(name, nameWidth);
    const start = ` ${cut}${' '.repeat(nameWidth - displayWidth(cut))} | `;
    if (typeof count === 'string') return start + count;
    added += count.added;
    removed += count.removed;
    const total = count.added + count.removed;
    return `${start}${String(total).padStart(digits)} ${barOf(count.added, count.removed, most, barWidth)}`.trimEnd();
  });
  if (lines.length === 0) return [];
  const lineCounts = [
    ...(added > 0 ? [`${counted(added, 'insertion')}(+)`] : []),
    ...(removed > 0 ? [`${counted(removed, 'deletion')}(-)`] : []),
  ];
  const summary = [`${counted(lines.length, 'name')} changed`, ...lineCounts].join(', ');
  return [...shown, ` ${summary}`];
}
