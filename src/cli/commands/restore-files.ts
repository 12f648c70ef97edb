/** `shadowfs restore NAME [--] PATH…`: some paths only, as ordinary changes. */
import { mkdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fsPath, shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { Answer } from '../../control/command.js';
import type { DiffChange, FileVersion } from '../../daemon/commands/inspect.js';
import { statOf } from '../files/copy.js';
import { historyPaths, pathsBelow, snapshotRoot } from '../files/paths.js';
import { isEmptyPlan, planRestore, type RestoreLine, restoreLines } from '../files/restore-plan.js';
import { copyOut, type Failure, FileRestore, runToEnd } from '../files/restore-run.js';
import { askDiff } from './diff.js';
import { inspect } from './check.js';
import type { CommonOptions } from '../options.js';
import { counted, EXIT_FAILURE, printable, printJson, printLine, warn } from '../output.js';
import { Progress } from '../progress.js';
import { findMount, type MountedTarget } from '../target.js';

export interface FilesOptions extends CommonOptions {
  dryRun?: boolean;
  to?: string;
}

const SIGNS = { back: '+', removed: '-', changed: 'M', renamed: 'R' } as const;
const MAX_TOLD = 20;

export async function restoreFiles(
  given: string,
  words: readonly string[],
  options: FilesOptions,
): Promise<void> {
  const target = await findMount(options);
  const paths = [...new Set(await pathsBelow(target, words))];
  const name = await nameOf(target, given);
  const source = await snapshotRoot(target, name);
  await refuseMissing(target, name, source, paths);
  if (options.to !== undefined) {
    copyTo(source, name, paths, resolve(target.directory, options.to), options);
    return;
  }
  const answer = await askDiff(target, { name }, paths, false);
  const plan = planRestore((answer['changes'] ?? []) as DiffChange[], paths);
  const lines = restoreLines(plan);
  if (options.dryRun === true) {
    if (options.json)
      printJson({ ok: true, command: 'restore', name, dryRun: true, changes: lines });
    else if (lines.length === 0) printLine(`nothing differs from ${printable(name)}`);
    else for (const line of lines) printLine(lineText(line));
    return;
  }
  if (isEmptyPlan(plan)) {
    if (options.json) {
      printJson({ ok: true, command: 'restore', name, undo: null, changes: [], failures: [] });
    } else printLine(`nothing differs from ${printable(name)}`);
    return;
  }
  const begun = await target.control.run('restore-files', name, { path: historyPaths(paths) });
  const progress = new Progress('restore', 'count');
  let done = 0;
  const restore = new FileRestore(source, target.mount.mountpoint, paths, () =>
    progress.update(++done, lines.length),
  );
  const ended = await runToEnd(restore, plan);
  progress.stop();
  const { failures } = restore;
  tell(target, name, begun, lines, failures, ended, options);
}

/** The name behind `latest`. */
async function nameOf(target: MountedTarget, given: string): Promise<string> {
  if (given !== 'latest') return given;
  const { latest } = await target.control.state('status');
  if (typeof latest === 'string') return latest;
  throw new CommandError('no-such-snapshot', 'ENOENT', 'there is no saved snapshot yet');
}

/** A path that the snapshot lacks is refused before anything is done; the answer says who has it. */
async function refuseMissing(
  target: MountedTarget,
  name: string,
  source: string,
  paths: readonly string[],
): Promise<void> {
  if (statOf(source) === undefined) {
    // The daemon knows the near matches.
    await inspect(target, { command: 'diff', args: { name, limit: 1 } });
  }
  for (const path of paths) {
    if (statOf(join(source, path)) !== undefined) continue;
    const { versions = [] } = (await inspect(target, {
      command: 'versions',
      args: { name: path },
    }).catch(() => ({}))) as { versions?: FileVersion[] };
    const snapshots = versions
      .filter((version) => version.path === path)
      .flatMap((version) => version.snapshots);
    const hint =
      snapshots.length === 0
        ? 'no snapshot has it under that name'
        : `it is in ${printable(snapshots.slice(0, MAX_TOLD).join(', '))}`;
    throw new CommandError(
      'no-such-file',
      'ENOENT',
      `snapshot ${name} has no ${shownName(path)}: ${hint}`,
      { path, snapshots },
    );
  }
}

function tell(
  target: MountedTarget,
  name: string,
  begun: Answer,
  lines: readonly RestoreLine[],
  failures: readonly Failure[],
  ended: unknown,
  options: FilesOptions,
): void {
  const undo = typeof begun['undo'] === 'string' ? begun['undo'] : null;
  const howBack =
    undo === null ? '' : `shadowfs restore ${printable(undo)} takes back what was done`;
  if (ended !== undefined) {
    if (!(ended instanceof CommandError)) throw ended;
    const message = `${ended.message}; the rest was not restored${howBack && `; ${howBack}`}`;
    throw new CommandError(ended.code, ended.errno, message, { name, undo, failures });
  }
  if (failures.length > 0) process.exitCode = EXIT_FAILURE;
  if (options.json) {
    const ok = failures.length === 0;
    printJson({ ok, command: 'restore', name, undo, changes: lines, failures });
    return;
  }
  const count = (kind: RestoreLine['kind']): number =>
    lines.filter((line) => line.kind === kind).length;
  const parts = [
    [count('back'), 'came back'],
    [count('changed'), 'changed'],
    [count('renamed'), 'renamed back'],
    [count('removed'), 'removed'],
  ] as const;
  const what = parts.filter(([n]) => n > 0).map(([n, done]) => `${n} ${done}`);
  printLine(
    `restored ${counted(lines.length, 'name')} of ${target.mount.mountpoint} from ` +
      `${printable(name)}: ${what.join(', ')}`,
  );
  tellFailures(failures);
  if (undo !== null)
    printLine(`to undo this: shadowfs undo (or shadowfs restore ${printable(undo)})`);
}

function tellFailures(failures: readonly Failure[]): void {
  for (const { path, message } of failures.slice(0, MAX_TOLD))
    warn(`${shownName(path)}: ${message}`);
  if (failures.length > MAX_TOLD) warn(`and ${failures.length - MAX_TOLD} more failures`);
}

function lineText({ kind, path, oldPath, details = [] }: RestoreLine): string {
  const what = details.length === 0 ? '' : ` (${details.join(', ')})`;
  const renamed = oldPath === undefined ? '' : `${shownName(oldPath)} -> `;
  return `${SIGNS[kind]} ${renamed}${shownName(path || '.')}${what}`;
}

/** `--to DIR`: copies; the tree and its history stay as they are. */
function copyTo(
  source: string,
  name: string,
  paths: readonly string[],
  directory: string,
  options: FilesOptions,
): void {
  const places = paths.map((path) => {
    const last = path === '' ? name : basename(path);
    return { path, destination: join(directory, last) };
  });
  const twice = places.find(({ destination }, i) =>
    places.slice(0, i).some((other) => other.destination === destination),
  );
  if (twice !== undefined) {
    throw new CommandError(
      'destination-exists',
      'EEXIST',
      `two of the paths would be ${shownName(twice.destination)}; nothing is copied`,
    );
  }
  for (const { destination } of places) {
    if (statOf(destination) === undefined) continue;
    throw new CommandError(
      'destination-exists',
      'EEXIST',
      `${shownName(destination)} is there already; nothing is overwritten`,
    );
  }
  if (options.dryRun === true) {
    const changes = places.map(({ path, destination }) => ({ kind: 'copied', path, destination }));
    if (options.json) printJson({ ok: true, command: 'restore', name, dryRun: true, changes });
    else for (const { destination } of places) printLine(`+ ${shownName(destination)}`);
    return;
  }
  try {
    mkdirSync(fsPath(directory), { recursive: true });
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    throw new CommandError(
      'destination-unusable',
      code === 'EROFS' || code === 'ENOSPC' ? code : 'EACCES',
      `${shownName(directory)} can't be made: ${code}`,
    );
  }
  const progress = new Progress('restore', 'count');
  let count = 0;
  const failures = places.flatMap(({ path, destination }) =>
    copyOut(join(source, path), destination, () => progress.update(++count, 0)),
  );
  progress.stop();
  if (failures.length > 0) process.exitCode = EXIT_FAILURE;
  if (options.json) {
    const copied = places.map(({ destination }) => destination);
    printJson({ ok: failures.length === 0, command: 'restore', name, copied, failures });
    return;
  }
  printLine(`copied ${counted(count, 'name')} from ${printable(name)} to ${shownName(directory)}`);
  tellFailures(failures);
}
