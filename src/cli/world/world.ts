/**
 * A world for one command: a fresh branch of the tree, at the same path, seen by this command and
 * what it starts alone (`shadowfs run`).
 *
 * What must hold: a branch that was made is in a run's record or in the list of branches, whenever
 * this process is killed; the branch's mount is in the command's namespace only, so that the kernel
 * removes it with the last process in there; no other run of this user gets a copy of it.
 *
 * Doors inside cli/: ask, ended-runs, run-records, session.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { attempt } from '../../lib/attempt.js';
import { currentDirectory, realPath } from '../../lib/byte-paths.js';
import { decodeUtf8, shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import { makeDirectory } from '../../lib/make-directory.js';
import { isWithin } from '../../lib/paths.js';
import { endCopies } from '../../daemon/mount/copies.js';
import { readMountRecord, startTicksOf } from '../../daemon/mount/mount-record.js';
import {
  mountAt,
  type MountEntry,
  mountNamespaceOf,
  readMountTable,
} from '../../daemon/mount/mount-table.js';
import { ensurePrivateDirectory, type StatePaths } from '../../daemon/mount/paths.js';
import type { ControlClient } from '../control-client.js';
import type { Warn } from '../output.js';
import { cleanEndedRuns } from './ended-runs.js';
import { type Launched, launch, type Signals, type Streams } from './launch.js';
import { type LeftProcess, leftProcesses } from './leftovers.js';
import { pidNamespace, removeRun, type RunRecord, withRunLock, writeRun } from './run-records.js';
import { inNamespace, type Start, withoutNamespace } from './shell-script.js';
import { closeHidden, openTree, type Tree } from './tree.js';
import { unmountSurely } from './unmounting.js';

/** How long the mount of a branch may take to end when nobody is in it any more. */
const ENDING_MS = 20_000;
/** When a namespace that was made meanwhile may be what keeps a mount. */
const COPIES_MS = 200;
const POLL_MS = 10;
const NAMES_MAX = 10_000;
const NAMED_MAX = 5;

export interface WorldRequest {
  /** A directory in the tree, in which the command starts; absent: where this process is. */
  directory: string | undefined;
  command: readonly string[];
  /** The branch's name; absent: a new one. */
  branch: string | undefined;
  /** Where the command's standard output goes. */
  out: 1 | 2;
}

export interface World {
  tree: Tree;
  branch: string;
  record: RunRecord;
  launched: Launched;
  /** Why the command is not at the same path: in the mountpoint of the branch instead. */
  elsewhere: string | undefined;
}

/** Makes the branch and starts the command in it. Throws CommandError; then nothing is left. */
export async function enterWorld(
  request: WorldRequest,
  signals: Signals,
  paths: StatePaths,
  warn: Warn,
): Promise<World> {
  const { command, directory } = request;
  const start = startOf(command, directory);
  return await withRunLock(paths, async () => {
    await cleanEndedRuns(paths, warn);
    const tree = await openTree(directory ?? currentDirectory(), paths);
    const id = `${process.pid}-${randomBytes(4).toString('hex')}`;
    const mountpoint = join(paths.runtimeDirectory, 'worlds', id);
    let record: RunRecord | undefined;
    try {
      refuseInterrupted(signals);
      if (tree.isNew) announce(tree, warn);
      const branch = await fork(tree.control, request.branch);
      record = {
        ...{ id, pid: process.pid, startTicks: startTicksOf(process.pid) ?? 0 },
        ...{ pidNamespace: pidNamespace(), command: command.join(' '), startedMs: Date.now() },
        ...{ directory: tree.directory, volume: tree.volume, hiddenTree: tree.hidden },
        isNewVolume: tree.isForRuns,
        ...{ branch, mountpoint, namespace: null, isTold: false },
      };
      writeRun(paths, record);
      ensurePrivateDirectory(paths.runtimeDirectory, process.getuid?.() ?? 0);
      makeDirectory(mountpoint);
      const isElsewhere = livesElsewhere(tree);
      if (!isElsewhere) await mountBranch(tree, record);
      refuseInterrupted(signals);
      const streams = { out: request.out, signals };
      const world = await begin({ tree, branch, record }, isElsewhere, start, streams, warn);
      // Only the command's namespace has it from now on.
      if (world.elsewhere === undefined) unmountSurely(mountpoint);
      writeRun(paths, world.record);
      return world;
    } catch (error) {
      await undo(tree, record, mountpoint, paths);
      throw error;
    }
  });
}

function announce({ directory, volume }: Tree, warn: Warn): void {
  const text = `${shownName(directory)} is under no history: it gets a volume for this`;
  warn('new-volume', `${text} (${shownName(volume)})`);
}

function refuseInterrupted({ received }: Signals): void {
  if (received === undefined) return;
  throw new CommandError('interrupted', 'EINTR', `${received}: the command was not started`);
}

/** A name that was given must be free; otherwise one is found. */
async function fork(control: ControlClient, wanted: string | undefined): Promise<string> {
  const time = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  for (let count = 1; ; count++) {
    const name = wanted ?? `run-${time}Z${count === 1 ? '' : `-${count}`}`;
    try {
      await control.run('branch', name);
      return name;
    } catch (error) {
      const isTaken = error instanceof CommandError && error.code === 'branch-exists';
      if (!isTaken || wanted !== undefined || count > NAMES_MAX) throw error;
    }
  }
}

/**
 * The process that serves the tree sees other mounts than this one, as for a run within a run: what
 * it mounts is not seen here, or is in the way of whoever unmounts it.
 */
function livesElsewhere({ pid }: Tree): boolean {
  return mountNamespaceOf(pid) !== mountNamespaceOf('self');
}

/** `into`: in another mount namespace than that of the process that serves the tree. */
async function mountBranch(tree: Tree, record: RunRecord, into?: string): Promise<void> {
  const options = optionsLike(mountAt(readMountTable(), tree.hidden ?? tree.directory));
  await tree.control.run('mount', record.mountpoint, {
    branch: record.branch,
    ...(options !== '' && { options }),
    ...(into !== undefined && { into }),
  });
}

/** What the kernel does with the tree's mount it does with the branch's. */
function optionsLike(mount: MountEntry | undefined): string {
  if (mount === undefined) return '';
  const has = `${mount.mountOptions},${mount.superOptions}`.split(',');
  return ['nosuid', 'nodev', 'noexec', 'allow_other'].filter((one) => has.includes(one)).join(',');
}

/** In a namespace; where that can't be, in the mountpoint. */
async function begin(
  { tree, branch, record }: Pick<World, 'tree' | 'branch' | 'record'>,
  isElsewhere: boolean,
  start: Start,
  streams: Streams,
  warn: Warn,
): Promise<World> {
  const source = record.mountpoint + tree.root;
  const { directory } = tree;
  const inner = mountsInside(directory);
  if (inner.length > 0) warn('mounts-inside', notApart(directory, inner));
  const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const launched = await launch(
    inNamespace({ source, directory, inner, isBrought: isElsewhere }, start, user),
    streams,
    isElsewhere ? (pid, namespace) => mountBranch(tree, record, `${pid}:${namespace}`) : undefined,
  );
  if (typeof launched !== 'string') {
    const { namespace } = launched;
    return { tree, branch, record: { ...record, namespace }, launched, elsewhere: undefined };
  }
  refuseInterrupted(streams.signals);
  if (isElsewhere)
    throw new CommandError('not-started', 'EIO', `no namespace can be made: ${launched}`);
  const cwd = seenAt(start.cwd, directory, source);
  warn(
    'no-namespace',
    `no namespace can be made here (${launched}): the command runs in ${shownName(cwd)}, ` +
      `not in ${shownName(directory)}`,
  );
  const plain = await launch(withoutNamespace({ ...start, cwd }), streams);
  if (typeof plain === 'string') {
    throw new CommandError('not-started', 'EIO', `the command can't be started: ${plain}`);
  }
  return { tree, branch, record, launched: plain, elsewhere: launched };
}

function seenAt(cwd: string, directory: string, source: string): string {
  const real = attempt(() => realPath(cwd)) ?? cwd;
  return isWithin(real, directory) ? source + real.slice(directory.length) : source;
}

function notApart(directory: string, inner: readonly string[]): string {
  const named = inner.slice(0, NAMED_MAX).map((path) => shownName(path));
  const more = inner.length > NAMED_MAX ? ` and ${inner.length - NAMED_MAX} more` : '';
  return (
    `mounts inside ${shownName(directory)} are no part of the branch, so that what is written there ` +
    `is written for everybody: ${named.join(', ')}${more}`
  );
}

/** Below the directory; what lies in one of them comes with it. */
function mountsInside(directory: string): string[] {
  const paths = readMountTable()
    .map(({ mountpoint }) => mountpoint)
    .filter((path) => path !== directory && isWithin(path, directory));
  const outer = [...new Set(paths)].filter(
    (path) => !paths.some((other) => other !== path && isWithin(path, other)),
  );
  return outer.map((path) => path.slice(directory.length + 1));
}

function startOf(command: readonly string[], directory: string | undefined): Start {
  const { PWD: pwd, OLDPWD: oldPwd } = process.env;
  const here = currentDirectory();
  // A shell keeps the symbolic links by which somebody came.
  const isSame = pwd?.startsWith('/') === true && attempt(() => realPath(pwd)) === here;
  const cwd = directory === undefined ? (isSame ? pwd : here) : realPath(directory);
  return { command, cwd, variables: rawVariables(), oldPwd };
}

/** Node makes other bytes of values that are not UTF-8; the kernel still has them. */
function rawVariables(): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  const bytes = attempt(() => readFileSync('/proc/self/environ')) ?? Buffer.alloc(0);
  for (const line of bytes.toString('latin1').split('\0')) {
    const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const raw = Buffer.from(value, 'latin1');
    if (decodeUtf8(raw) === undefined) found.set(name, raw);
  }
  return found;
}

/** The command was not started: nothing of what was made for it stays. */
async function undo(
  tree: Tree,
  record: RunRecord | undefined,
  mountpoint: string,
  paths: StatePaths,
): Promise<void> {
  unmountSurely(mountpoint, true);
  if (record !== undefined) {
    await mountEnds(mountpoint, paths);
    await tree.control.run('branch-delete', record.branch).catch(() => undefined);
    removeRun(paths, record.id);
  }
  await closeTree(tree, paths);
}

/** False: somebody still has it. */
async function mountEnds(mountpoint: string, paths: StatePaths): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < ENDING_MS; waitedMs += POLL_MS) {
    const mount = readMountRecord(paths, mountpoint);
    if (mount?.state !== 'serving') return true;
    await sleep(POLL_MS);
    if (waitedMs === COPIES_MS) endCopies(mount);
  }
  return false;
}

/**
 * After the command's end: who still works in the branch. Nobody: its mount has ended, and all that
 * was written is in the volume.
 */
export async function leaveWorld({ record }: World, paths: StatePaths): Promise<LeftProcess[]> {
  const left = await leftProcesses(record);
  if (left.length > 0) return left;
  unmountSurely(record.mountpoint);
  if (await mountEnds(record.mountpoint, paths)) return [];
  throw new CommandError(
    'branch-in-use',
    'EBUSY',
    `the mount of branch ${record.branch} does not end: another mount namespace has a copy of it`,
    { name: record.branch },
  );
}

/**
 * The run is over. With processes in the branch its record stays, for the command that finds them
 * gone.
 */
export async function closeWorld(
  { tree, record }: World,
  hasProcesses: boolean,
  paths: StatePaths,
): Promise<void> {
  await withRunLock(paths, async () => {
    if (hasProcesses) {
      writeRun(paths, { ...record, isTold: true });
      return;
    }
    removeRun(paths, record.id);
    await closeTree(tree, paths);
  });
}

async function closeTree({ hidden, isForRuns }: Tree, paths: StatePaths): Promise<void> {
  if (hidden !== null) await closeHidden(hidden, isForRuns, paths);
}
