/**
 * A world for one command: a fresh branch of the tree, at the same path, seen by this command and
 * what it starts alone (`shadowfs run`).
 *
 * What must hold: a branch that was made is in a run's record or in the list of branches, whenever
 * this process is killed; the branch's mount is in the command's namespace only, so that the kernel
 * removes it with the last process in there; no other run's namespace gets a copy of it.
 *
 * Doors inside cli/: ask, ended-runs, run-records, session.
 */
import { spawnSync } from 'node:child_process';
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
import { readMountRecord, startTicksOf } from '../../daemon/mount/mount-record.js';
import {
  CONTROL_MOUNT_TYPE,
  MOUNT_TYPE,
  mountAt,
  type MountEntry,
  readMountTable,
} from '../../daemon/mount/mount-table.js';
import { ensurePrivateDirectory, type StatePaths } from '../../daemon/mount/paths.js';
import type { ControlClient } from '../control-client.js';
import type { Warn } from '../output.js';
import { cleanEndedRuns } from './ended-runs.js';
import { type Launched, launch, type Signals } from './launch.js';
import { type LeftProcess, leftProcesses } from './leftovers.js';
import { pidNamespace, removeRun, type RunRecord, withRunLock, writeRun } from './run-records.js';
import { inNamespace, type Start, withoutNamespace } from './shell-script.js';
import { closeHidden, openTree, type Tree } from './tree.js';
import { unmountSurely } from './unmounting.js';

/** How long the mount of a branch may take to end when nobody is in it any more. */
const ENDING_MS = 20_000;
const POLL_MS = 10;
const NAMES_MAX = 10_000;

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
      const isSeen = await mountBranch(tree, branch, mountpoint, paths);
      refuseInterrupted(signals);
      const streams = { out: request.out, signals };
      const world = await begin({ tree, branch, record }, isSeen, start, streams, warn);
      if (world.elsewhere === undefined) release(mountpoint, isSeen ? undefined : tree.pid);
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
 * False: the process that serves the tree makes its mounts in another namespace, as for a run within
 * a run. Only root can go there.
 */
async function mountBranch(
  tree: Tree,
  branch: string,
  mountpoint: string,
  paths: StatePaths,
): Promise<boolean> {
  ensurePrivateDirectory(paths.runtimeDirectory, process.getuid?.() ?? 0);
  makeDirectory(mountpoint);
  const options = optionsLike(mountAt(readMountTable(), tree.hidden ?? tree.directory));
  await tree.control.run('mount', mountpoint, { branch, ...(options !== '' && { options }) });
  if (mountAt(readMountTable(), mountpoint) !== undefined) return true;
  if (process.getuid?.() === 0) return false;
  throw new CommandError(
    'other-namespace',
    'EBUSY',
    `process ${tree.pid}, which serves ${shownName(tree.directory)}, makes its mounts in another mount ` +
      'namespace, so that they are not seen here (a run within a run: the inner one needs a system ' +
      'whose mounts are shared, as systemd sets it up)',
    { pid: tree.pid },
  );
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
  isSeen: boolean,
  start: Start,
  streams: { out: 1 | 2; signals: Signals },
  warn: Warn,
): Promise<World> {
  const source = record.mountpoint + tree.root;
  const { directory } = tree;
  const inner = isSeen ? mountsInside(directory) : [];
  const isRoot = process.getuid?.() === 0;
  const detached = isSeen && isRoot ? mountsOfOthers(tree, record.mountpoint, inner) : [];
  const seenBy = isSeen ? undefined : tree.pid;
  const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const launched = await launch(
    inNamespace({ source, directory, inner, detached, seenBy }, start, user),
    streams,
  );
  if (typeof launched !== 'string') {
    const { namespace } = launched;
    return { tree, branch, record: { ...record, namespace }, launched, elsewhere: undefined };
  }
  refuseInterrupted(streams.signals);
  if (!isSeen)
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

/** This program's mounts but those that the command works with; the innermost first. */
function mountsOfOthers(tree: Tree, mountpoint: string, inner: readonly string[]): string[] {
  const table = readMountTable();
  const branch = mountAt(table, mountpoint);
  const own = new Set([branch?.mountpoint, ...inner.map((path) => join(tree.directory, path))]);
  return table
    .filter(({ type, source }) => {
      if (type === CONTROL_MOUNT_TYPE) return source !== `control:${mountpoint}`;
      return type === MOUNT_TYPE;
    })
    .map((mount) => mount.mountpoint)
    .filter((path) => ![...own].some((one) => one !== undefined && isWithin(path, one)))
    .reverse();
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

/** Only the command's namespace has it from now on. */
function release(mountpoint: string, seenBy?: number): void {
  if (seenBy !== undefined) {
    spawnSync('nsenter', [`--mount=/proc/${seenBy}/ns/mnt`, '--', 'umount', mountpoint]);
  }
  unmountSurely(mountpoint);
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
    if (readMountRecord(paths, mountpoint)?.state !== 'serving') return true;
    await sleep(POLL_MS);
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
