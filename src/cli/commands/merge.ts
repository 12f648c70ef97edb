/** `shadowfs merge BRANCH` */
import type { Command } from 'commander';
import { shownName } from '../../lib/byte-text.js';
import type { Answer } from '../../control/command.js';
import { staleFiles } from '../../daemon/mount/processes.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import {
  counted,
  EXIT_FAILURE,
  printable,
  printJson,
  printLine,
  warn,
  wrongUsage,
} from '../output.js';
import { withProgress } from '../progress.js';
import { findMount, findTarget, type MountedTarget, type Target } from '../target.js';
import { timingText } from '../timings.js';
import { countsOf, type Item, printItems } from './apply-items.js';
import { inspect } from './check.js';
import { reportHolders } from './restore.js';

interface MergeOptions extends CommonOptions {
  dryRun?: boolean;
  ours?: boolean;
  theirs?: boolean;
  text?: boolean;
  apply?: boolean;
}

interface Conflict {
  reasons: string[];
  oursPath: string | null;
  branchPath: string | null;
  basePath: string | null;
}

export function addMerge(program: Command): void {
  withTarget(
    program
      .command('merge <branch>')
      .summary('bring what a branch has done into this tree')
      .description(
        'bring what a branch has done since the two parted, or since the last merge, into the ' +
          'tree of this mount. What only one side changed is taken; a file that both changed is a ' +
          'conflict, and then nothing is changed unless one of the options says what becomes of it. ' +
          'The branch stays as it is. `shadowfs undo` takes the merge back',
      )
      .option('-n, --dry-run', 'only list what would be done')
      .option('--ours', 'of a file that both changed: keep what this tree has')
      .option('--theirs', 'of a file that both changed: take what the branch has')
      .option('--apply', 'bring it into the base directory, too; undo takes back both')
      .option('--text', 'merge the lines of text files that both changed (git, or diff3)'),
    `shadowfs merge -n try-it
    shadowfs merge try-it
    shadowfs merge --text --theirs try-it`,
  ).action(
    action(async (branch: string, options: MergeOptions) => {
      if (options.ours && options.theirs) throw wrongUsage('either --ours or --theirs');
      if (options.dryRun) await preview(await findTarget(options), branch, options);
      else await merge(await findMount(options), branch, options);
    }),
  );
}

async function preview(target: Target, branch: string, options: MergeOptions): Promise<void> {
  const answer = await inspect(target, { command: 'merge', args: { name: branch } });
  const conflicts = (answer['conflicts'] ?? []) as Conflict[];
  if (conflicts.length > 0 && !options.ours && !options.theirs) process.exitCode = EXIT_FAILURE;
  if (options.json) {
    printJson(answer);
    return;
  }
  const items = (answer['items'] ?? []) as Item[];
  printItems(items);
  for (const { reasons, oursPath, branchPath, basePath } of conflicts) {
    const path = shownName(oursPath ?? branchPath ?? basePath ?? '');
    const other = oursPath !== null && branchPath !== null && oursPath !== branchPath;
    const there = other ? ` (there: ${shownName(branchPath)})` : '';
    warn(`conflict: ${path}: ${reasons.join(', ')}${there}`);
  }
  if (items.length + conflicts.length === 0) printLine(nothingText(branch));
  else printLine(`would be merged: ${countsOf(answer)}`);
}

async function merge(
  { control, mount }: Pick<MountedTarget, 'control' | 'mount'>,
  branch: string,
  options: MergeOptions,
): Promise<void> {
  const sinceMs = Date.now();
  const words = {
    ...(options.ours && { ours: 'yes' }),
    ...(options.theirs && { theirs: 'yes' }),
    ...(options.text && { text: 'yes' }),
    ...(options.apply && { apply: 'yes' }),
  };
  const answer = await withProgress('merge', control, control.run('merge', branch, words));
  const holders = staleFiles(mount, sinceMs);
  if (options.json) {
    printJson({ ...answer, holders });
    return;
  }
  if (answer['outcome'] === 'unchanged') {
    printLine(nothingText(branch));
    return;
  }
  printLine(`merged ${printable(branch)}: ${countsOf(answer)}${timingText(answer)}`);
  if (options.apply) printLine(`applied: ${countsOf((answer['applied'] ?? {}) as Answer)}`);
  const settled = settledText(answer, options);
  if (settled !== undefined) printLine(settled);
  if (typeof answer['undo'] === 'string') printLine('to undo this: shadowfs undo');
  reportHolders(holders);
}

function nothingText(branch: string): string {
  return `everything that ${printable(branch)} has done is here`;
}

function settledText({ conflictCount }: Answer, { ours }: MergeOptions): string | undefined {
  const count = Number(conflictCount);
  if (count === 0) return undefined;
  const whose = ours ? 'stay as they were here' : 'are as in the branch';
  return `${counted(count, 'file', 'files')} that both had changed ${whose}`;
}
