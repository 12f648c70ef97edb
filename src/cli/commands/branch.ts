/** `shadowfs branch NAME [OF]`, `branches`, `switch NAME` */
import type { Command } from 'commander';
import { ageText } from '../../lib/age.js';
import type { Answer } from '../../control/command.js';
import { action, at, type CommonOptions, withMountpoint, withTarget } from '../options.js';
import { counted, formatTime, printable, printJson, printLine, wrongUsage } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { listOf } from '../state.js';
import { printTable } from '../table.js';
import { findMount } from '../target.js';
import { timingText } from '../timings.js';
import { staleFiles } from '../../daemon/mount/processes.js';
import { reportHolders } from './restore.js';
import { onlyColumn, withSpace } from './with-space.js';

interface BranchOptions extends CommonOptions {
  snapshot?: string;
  branch?: string;
  delete?: boolean;
  rename?: boolean;
}

interface Fork {
  snapshot?: string;
  branch?: string;
}

export function addBranch(program: Command): void {
  withTarget(
    program
      .command('branch <name> [of]')
      .summary('begin a tree of its own from a snapshot or the live tree')
      .description(
        'make a branch: a tree of its own, from a snapshot, another branch, or (neither) the ' +
          'live tree as it is now. Nothing is copied, and what is written later in one of the two ' +
          'is never seen in the other. `shadowfs switch NAME` or `shadowfs mount --branch NAME` ' +
          'goes there',
      ),
    `shadowfs branch try-it
    shadowfs branch from-monday auto-2026-11-30T03-00-00Z
    shadowfs branch --rename try-it upgrade
    shadowfs branch --delete upgrade`,
  )
    .option('--snapshot <name>', 'of this snapshot, when a branch has the same name')
    .option('--branch <name>', 'of this branch, when a snapshot has the same name')
    .option('-d, --delete', 'delete the branch; what it held stays as an undo-… snapshot')
    .option('-m, --rename', 'give the branch the second name')
    .action(
      action(async (name: string, of: string | undefined, options: BranchOptions) => {
        if (options.delete === true) await deleteBranch(name, of, options);
        else if (options.rename === true) await renameBranch(name, of, options);
        else await fork(name, of, options);
      }),
    );
}

async function fork(name: string, of: string | undefined, options: BranchOptions): Promise<void> {
  const { snapshot, branch } = options;
  if ([of, snapshot, branch].filter((one) => one !== undefined).length > 1) {
    throw wrongUsage('one of OF, --snapshot and --branch');
  }
  const { control } = await findMount(options);
  const answer = await control.run('branch', name, {
    ...(of !== undefined && { from: of }),
    ...(snapshot !== undefined && { snapshot }),
    ...(branch !== undefined && { branch }),
  });
  if (options.json) {
    printJson(answer);
    return;
  }
  const what = forkText(answer['forkedFrom'] as Fork);
  printLine(`made branch ${printable(name)} of ${what}${timingText(answer)}`);
  printLine(`shadowfs switch ${printable(name)} makes it the tree of this mount`);
}

/** Pure. */
function forkText({ snapshot, branch }: Fork): string {
  return snapshot === undefined
    ? `the tree of ${printable(String(branch))}`
    : `snapshot ${printable(snapshot)}`;
}

async function deleteBranch(
  name: string,
  of: string | undefined,
  options: BranchOptions,
): Promise<void> {
  if (of !== undefined || options.rename === true) throw wrongUsage('--delete NAME');
  const answer = await (await findMount(options)).control.run('branch-delete', name);
  if (options.json) {
    printJson(answer);
    return;
  }
  printLine(`deleted branch ${printable(name)}`);
  const { undo } = answer;
  printLine(
    typeof undo === 'string'
      ? `what it held is kept as ${printable(undo)}`
      : 'it held nothing that no snapshot has',
  );
}

async function renameBranch(
  name: string,
  to: string | undefined,
  options: BranchOptions,
): Promise<void> {
  if (to === undefined) throw wrongUsage('--rename NAME NEW');
  const answer = await (await findMount(options)).control.run('branch-rename', name, { to });
  if (options.json) printJson(answer);
  else printLine(`renamed branch ${printable(name)} to ${printable(to)}`);
}

export function addBranches(program: Command): void {
  withMountpoint(
    program
      .command('branches')
      .summary('list the branches')
      .description('list the branches: what each is forked from, and what it has written since'),
    'shadowfs branches\n  shadowfs branches --space',
  )
    .option('--space', 'what each holds alone: what deleting it gives back')
    .action(
      action(async (mountpoint: string | undefined, options: CommonOptions & { space?: true }) => {
        const place = at(options, mountpoint);
        const all = await listOf(place, 'branches');
        const branches = options.space === true ? await withSpace(place, 'byBranch', all) : all;
        if (options.json) for (const branch of branches) printJson(branch);
        else showBranches(branches);
      }),
    );
}

function showBranches(branches: readonly Answer[]): void {
  const nowMs = Date.now();
  const only = onlyColumn(branches);
  const rows = branches.map((branch) => [
    printable(String(branch['name'])),
    branch['forkedFrom'] === null ? '-' : forkText(branch['forkedFrom'] as Fork),
    formatTime(Number(branch['createdMs'])),
    ageText(nowMs - Number(branch['createdMs'])),
    writtenText(branch),
    ...only.cell(branch),
    mergedText(branch, nowMs),
    branch['mountpoint'] === null ? '-' : printable(String(branch['mountpoint'])),
  ]);
  const made = ['NAME', 'OF', 'MADE', 'AGE', 'WRITTEN SINCE'];
  printTable([...made, ...only.heading, 'MERGED', 'MOUNTED'], rows);
}

/** `into main 5 minutes ago`. Pure. */
function mergedText({ merges }: Answer, nowMs: number): string {
  const last = ((merges ?? []) as { into: string; timeMs: number }[]).at(-1);
  return last === undefined ? '-' : `into ${printable(last.into)} ${ageText(nowMs - last.timeMs)}`;
}

/** Pure. */
function writtenText({ changedFileCount, changedBytes, isAtLeast }: Answer): string {
  if (changedFileCount === null) return '-';
  const files = counted(Number(changedFileCount), 'file', 'files');
  const bytes = Number(changedBytes) > 0 ? `, ${formatBytes(Number(changedBytes))}` : '';
  return `${isAtLeast === true ? 'at least ' : ''}${files}${bytes}`;
}

export function addSwitch(program: Command): void {
  withTarget(
    program
      .command('switch <branch>')
      .summary('show another branch in this mount')
      .description(
        'make another branch the tree of this mount. The branch that is left stays as it is; open ' +
          'files and programs that watch are treated as in a restore',
      ),
    'shadowfs switch try-it\n  shadowfs switch main',
  ).action(
    action(async (branch: string, options: CommonOptions) => {
      const { control, mount } = await findMount(options);
      const sinceMs = Date.now();
      const answer = await control.run('switch', branch);
      const holders = staleFiles(mount, sinceMs);
      if (options.json) {
        printJson({ ...answer, holders });
        return;
      }
      const left = printable(String(answer['leftBranch']));
      printLine(`${mount.mountpoint} shows branch ${printable(branch)} now${timingText(answer)}`);
      printLine(`to go back: shadowfs switch ${left}`);
      reportHolders(holders);
    }),
  );
}
