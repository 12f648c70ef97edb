/** `--space` of the commands that list what holds space: `snapshots`, `branches`. */
import type { Answer } from '../../control/command.js';
import type { SpaceFigures } from '../../daemon/commands/space-answer.js';
import { formatBytes } from '../../lib/size-text.js';
import type { CommonOptions } from '../options.js';

/** Adds what each of them holds; null for one that was made or renamed meanwhile. */
export async function withSpace<T extends Answer>(
  options: CommonOptions,
  which: 'bySnapshot' | 'byBranch',
  all: readonly T[],
): Promise<T[]> {
  // Without the option a command loads neither.
  const [{ inspect }, { findTarget }] = await Promise.all([
    import('./check.js'),
    import('../target.js'),
  ]);
  const answer = await inspect(await findTarget(options), { command: 'space', args: {} });
  const lines = answer[which] as (SpaceFigures & { name: string })[];
  const byName = new Map(lines.map((line) => [line.name, line]));
  return all.map((one) => {
    const found = byName.get(String(one['name']));
    const { onlyBytes = null, sharedBytes = null, referencedBytes = null } = found ?? {};
    return { ...one, onlyBytes, sharedBytes, referencedBytes };
  });
}

/** A heading and a cell, where `withSpace` was asked for. Pure. */
export function onlyColumn(all: readonly Answer[]): {
  heading: string[];
  cell: (one: Answer) => string[];
} {
  if (!all.some(({ onlyBytes }) => onlyBytes !== undefined)) return { heading: [], cell: () => [] };
  const text = (bytes: unknown): string => (typeof bytes === 'number' ? formatBytes(bytes) : '-');
  return { heading: ['ONLY IT'], cell: ({ onlyBytes }) => [text(onlyBytes)] };
}
