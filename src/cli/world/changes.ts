/** What a command did in its branch: asked for, added up, and as lines for people. */
import type { DiffChange } from '../../daemon/commands/inspect.js';
import type { ControlClient } from '../control-client.js';
import { changeText } from '../files/diff-text.js';
import { counted } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { withProgress } from '../progress.js';

const CHANGES_MAX = 1_000_000;
/** So many lines are read by people; removals, which nobody wants to miss, have more. */
const LISTED_MAX = 40;
const REMOVED_MAX = 200;

export interface Changes {
  changes: DiffChange[];
  /** There are more than are listed. */
  truncated: boolean;
}

/** `fold`: a whole new or removed directory is one item. */
export async function changesOf(
  control: ControlClient,
  branch: string,
  fold: boolean,
): Promise<Changes> {
  const words = { branch, limit: String(CHANGES_MAX), ...(fold && { fold: 'yes' }) };
  const answer = await withProgress('diff', control, control.run('diff', undefined, words));
  return {
    changes: (answer['changes'] ?? []) as DiffChange[],
    truncated: answer['truncated'] === true,
  };
}

export interface Totals {
  added: number;
  changed: number;
  removed: number;
  renamed: number;
  /** Bytes of the files that came, and of those that went. */
  addedBytes: number;
  removedBytes: number;
}

/** Names, those below a directory that is one item included. Pure. */
export function totalsOf(changes: readonly DiffChange[]): Totals {
  const totals: Totals = {
    ...{ added: 0, changed: 0, removed: 0, renamed: 0 },
    ...{ addedBytes: 0, removedBytes: 0 },
  };
  for (const { kind, belowCount = 0, sizeBytes = 0, oldSizeBytes = 0, details } of changes) {
    totals[kind] += 1 + belowCount;
    // Another name of a file that is there adds or removes no bytes.
    if (details?.includes('link')) continue;
    if (kind === 'added') totals.addedBytes += sizeBytes;
    if (kind === 'removed') totals.removedBytes += oldSizeBytes;
  }
  return totals;
}

/** `2 added (12K), 1 changed, 3 removed (4K)`. Pure. */
export function totalsText({ addedBytes, removedBytes, ...counts }: Totals): string {
  const { added, changed, renamed, removed } = counts;
  const size = (bytes: number): string => (bytes === 0 ? '' : ` (${formatBytes(bytes)})`);
  const parts = [
    ...(added > 0 ? [`${added} added${size(addedBytes)}`] : []),
    ...(changed > 0 ? [`${changed} changed`] : []),
    ...(renamed > 0 ? [`${renamed} renamed`] : []),
    ...(removed > 0 ? [`${removed} removed${size(removedBytes)}`] : []),
  ];
  return parts.length === 0 ? 'nothing changed' : parts.join(', ');
}

/** Pure. */
export function sizedText(change: DiffChange): string {
  const { kind, sizeBytes, oldSizeBytes } = change;
  const [old, now] = [oldSizeBytes, sizeBytes].map((bytes) =>
    bytes === undefined ? undefined : bytes < 1000 ? counted(bytes, 'byte') : formatBytes(bytes),
  );
  if (kind === 'removed' || now === undefined) return old === undefined ? '' : `, ${old}`;
  return old === undefined || old === now ? `, ${now}` : `, ${old} -> ${now}`;
}

/** The lines, and how many of which kind are not among them. Removals come first. Pure. */
export function changeLines(changes: readonly DiffChange[]): string[] {
  const lines: string[] = [];
  for (const [isRemoval, max] of [
    [true, REMOVED_MAX],
    [false, LISTED_MAX],
  ] as const) {
    const these = changes.filter(({ kind }) => (kind === 'removed') === isRemoval);
    for (const change of these.slice(0, max)) {
      lines.push(`  ${changeText(change)}${sizedText(change)}`);
    }
    const rest = these.slice(max);
    if (rest.length > 0) lines.push(`  and ${totalsText(totalsOf(rest))}`);
  }
  return lines;
}
