/** What an apply does, or would do, to the base, for people. */
import { shownName } from '../../lib/byte-text.js';
import type { Answer } from '../../control/command.js';
import type { DiffChange } from '../../daemon/commands/inspect.js';
import { SIGNS, shownPath } from '../files/diff-text.js';
import { counted, printLine } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';

export interface Item {
  kind: 'added' | 'changed' | 'removed' | 'renamed';
  path: string;
  oldPath?: string;
  type: DiffChange['type'];
  sizeBytes: number;
  details?: string[];
}

/** Lines of a kind other than removals that are printed; those are never cut off. */
const LINES_MAX = 1000;

export function printItems(items: readonly Item[]): void {
  let left = LINES_MAX;
  let hidden = 0;
  for (const { kind, path, oldPath, type, sizeBytes, details } of items) {
    if (kind !== 'removed' && left-- <= 0) {
      hidden++;
      continue;
    }
    const from = oldPath === undefined ? '' : `${shownName(oldPath)} -> `;
    const size = type === 'file' ? `  ${formatBytes(sizeBytes)}` : '';
    const told = details === undefined ? '' : ` (${details.join(', ')})`;
    printLine(`${SIGNS[kind]} ${from}${shownPath({ path, type })}${size}${told}`);
  }
  if (hidden > 0) printLine(`… and ${counted(hidden, 'more line')}; --json lists them all`);
}

export function countsOf(answer: Answer): string {
  const { added, changed, removed, renamed } = (answer['summary'] ?? {}) as Record<string, number>;
  return `${added} added, ${changed} changed, ${removed} removed, ${renamed} renamed`;
}
