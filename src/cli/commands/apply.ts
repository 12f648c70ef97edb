/** `shadowfs apply [PATH…]` */
import type { Command } from 'commander';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { Answer } from '../../control/command.js';
import type { DiffChange } from '../../daemon/commands/inspect.js';
import { inspect } from './check.js';
import { SIGNS, shownPath } from '../files/diff-text.js';
import { pathsBelow } from '../files/paths.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { counted, EXIT_FAILURE, formatBytes, printJson, printLine, warn } from '../output.js';
import { withProgress } from '../progress.js';
import { findTarget } from '../target.js';

interface ApplyOptions extends CommonOptions {
  dryRun?: boolean;
  ours?: boolean;
}

interface Item {
  kind: 'added' | 'changed' | 'removed' | 'renamed';
  path: string;
  oldPath?: string;
  type: DiffChange['type'];
  sizeBytes: number;
  details?: string[];
}

interface Version {
  sizeBytes: number;
  mtimeMs: number;
}

interface Conflict {
  path: string;
  base: string;
  inBase: Version | null;
  inTree: Version | null;
}

/** Lines of a kind other than removals that are printed; those are never cut off. */
const LINES_MAX = 1000;

export function addApply(program: Command): void {
  withTarget(
    program
      .command('apply [path...]')
      .summary('bring the changes of the tree into the base directory')
      .description(
        'bring the changes of the tree, or of PATHs in it, into the base directory; ' +
          'what the base was before stays as a snapshot',
      )
      .option('-n, --dry-run', 'only list what would be done')
      .option('--ours', 'where the base has changed, too: take what the tree has'),
    `shadowfs apply -n
     shadowfs apply
     shadowfs apply src README.md`,
  ).action(
    action(async (paths: string[], options: ApplyOptions) => {
      const target = await findTarget(options);
      const names = (await pathsBelow(target, paths)).filter((path) => path !== '');
      if (options.dryRun) {
        report(options, await inspect(target, { command: 'apply', args: { paths: names } }), true);
        return;
      }
      if (target.kind !== 'mounted') {
        throw new CommandError(
          'not-mounted',
          'ENOENT',
          `the volume ${target.volume} is not mounted: shadowfs mount ${target.base ?? 'DIR'}, then apply`,
        );
      }
      const { control } = target;
      const words = {
        ...(names.length > 0 && { path: names.join('//') }),
        ...(options.ours && { ours: 'yes' }),
      };
      report(
        options,
        await withProgress('apply', control, control.run('apply', undefined, words)),
        false,
      );
    }),
  );
}

function report(options: ApplyOptions, answer: Answer, isDry: boolean): void {
  const conflicts = (answer['conflicts'] ?? []) as Conflict[];
  const refusals = (answer['refusals'] ?? []) as { path: string; reason: string }[];
  if (conflicts.length + refusals.length > 0) process.exitCode = EXIT_FAILURE;
  if (options.json) {
    printJson(answer);
    return;
  }
  const items = (answer['items'] ?? []) as Item[];
  if (isDry) {
    printItems(items);
    for (const conflict of conflicts) warn(conflictText(conflict));
    for (const { path, reason } of refusals) warn(`refused: ${shownName(path)}: ${reason}`);
  }
  const { added, changed, removed, renamed } = (answer['summary'] ?? {}) as Record<string, number>;
  const counts = `${added} added, ${changed} changed, ${removed} removed, ${renamed} renamed`;
  if (items.length === 0) printLine('the base has everything that the tree has');
  else if (isDry) printLine(`would be applied: ${counts}`);
  else {
    const bytes = formatBytes(Number(answer['writtenBytes'] ?? 0));
    printLine(`applied: ${counts} (${bytes} written)`);
  }
  const undo = answer['undo'];
  if (typeof undo === 'string') {
    printLine(`to undo this: shadowfs restore ${undo}, then shadowfs apply`);
  }
}

function printItems(items: readonly Item[]): void {
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

function conflictText({ path, base, inBase, inTree }: Conflict): string {
  return `conflict: ${shownName(path)}: ${base} in the base (${text(inBase)}); in the tree: ${text(inTree)}`;
}

function text(version: Version | null): string {
  if (version === null) return 'nothing';
  return `${formatBytes(version.sizeBytes)} of ${new Date(version.mtimeMs).toLocaleString('sv')}`;
}
