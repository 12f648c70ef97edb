/**
 * The tree that a `run` branches: the mount in which the directory lies, or, where the directory is
 * under no history, a volume of its own, mounted out of sight for as long as runs need it.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { absolutePath, realPath } from '../../lib/byte-paths.js';
import { fsPath, shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import { makeDirectory } from '../../lib/make-directory.js';
import { isWithin } from '../../lib/paths.js';
import { parseMountOptions } from '../../daemon/mount/mount-options.js';
import { endCopies } from '../../daemon/mount/copies.js';
import { isRunning, readMountRecord } from '../../daemon/mount/mount-record.js';
import {
  innermostMount,
  mountAt,
  mountContaining,
  type MountEntry,
  MOUNT_TYPE,
  readMountTable,
} from '../../daemon/mount/mount-table.js';
import { ensurePrivateDirectory, slugOf, type StatePaths } from '../../daemon/mount/paths.js';
import type { ControlClient } from '../control-client.js';
import { ownerOf } from '../control-place.js';
import { planned } from '../mount/plan.js';
import { findTarget, type MountedTarget, type Target } from '../target.js';
import { readRuns } from './run-records.js';
import { unmountSurely } from './unmounting.js';

export interface Tree {
  control: ControlClient;
  /** What the command sees the branch at. */
  directory: string;
  /** The part of the volume that lies there: '' is all of it. */
  root: string;
  volume: string;
  base: string | null;
  /** The process that serves the mount. */
  pid: number;
  /** Where it is mounted out of sight; null: people have mounted it. */
  hidden: string | null;
  /** The volume did not exist before. */
  isNew: boolean;
  /** It did not before the runs that are in it now. */
  isForRuns: boolean;
}

/** Below the run-time directory: trees that are mounted for runs alone. */
const HIDDEN = 'trees';
const OF_BRANCHES: ReadonlySet<string> = new Set(['create', 'branch', 'branch-delete']);
/** How long the process of a volume may take to store everything. */
const ENDING_MS = 20_000;
/** When another run's namespace may be what keeps a mount. */
const COPIES_MS = 200;
const POLL_MS = 10;

/** Throws CommandError. The run lock is held. */
export async function openTree(directory: string, paths: StatePaths): Promise<Tree> {
  const place = realDirectory(directory);
  const table = readMountTable();
  const around = mountContaining(table, place);
  if (around !== undefined) {
    refuseOthers(around);
    refuseOtherFiles(innermostMount(table, place), around);
  }
  const target = await targetOf(place);
  if (
    target?.kind === 'mounted' &&
    !isWithin(target.mount.mountpoint, join(paths.runtimeDirectory, HIDDEN))
  ) {
    return await treeOfMount(target, place);
  }
  const base = target === undefined ? place : await directoryOf(target, place);
  refuseHopeless(base, paths);
  return await openHidden(base, target, paths);
}

function realDirectory(directory: string): string {
  const path = absolutePath(directory);
  let real: string;
  try {
    real = realPath(path);
  } catch {
    throw new CommandError('directory-missing', 'ENOENT', `${shownName(path)} does not exist`);
  }
  if (statSync(fsPath(real)).isDirectory()) return real;
  throw new CommandError('directory-missing', 'ENOTDIR', `${shownName(path)} is not a directory`);
}

/** Undefined: the directory is under no history. */
async function targetOf(directory: string): Promise<Target | undefined> {
  try {
    return await findTarget({ directory });
  } catch (error) {
    if (error instanceof CommandError && error.code === 'not-under-history') return undefined;
    throw error;
  }
}

/** What only the mount's owner can enter is no place for a command of this user. */
function refuseOthers(mount: MountEntry): void {
  const { uid } = ownerOf(mount);
  if (uid === process.getuid?.()) return;
  throw new CommandError(
    'not-permitted',
    'EACCES',
    `${shownName(mount.mountpoint)} is mounted by uid ${uid}: only that user can run something in a branch of it`,
  );
}

/** A mount inside a tree is no part of it: a command in there would have no world of its own. */
function refuseOtherFiles(inner: MountEntry | undefined, around: MountEntry): void {
  if (inner === undefined || inner.type === MOUNT_TYPE) return;
  if (!isWithin(inner.mountpoint, around.mountpoint)) return;
  const where = shownName(inner.mountpoint);
  throw new CommandError(
    'bad-directory',
    'EINVAL',
    `${where} (${inner.type}) is mounted inside ${shownName(around.mountpoint)}, and no part of its ` +
      'tree: nothing that a command writes there could be kept apart',
    { mountpoint: inner.mountpoint },
  );
}

async function treeOfMount({ control, mount }: MountedTarget, place: string): Promise<Tree> {
  const status = await control.state('status');
  if (!isWithin(place, mount.mountpoint)) {
    throw new CommandError(
      'mounted-elsewhere',
      'EBUSY',
      `the volume of ${shownName(place)} is mounted on ${shownName(mount.mountpoint)}: run it there (-C)`,
      { mountpoint: mount.mountpoint },
    );
  }
  return {
    control,
    directory: mount.mountpoint,
    root: mount.root === '/' ? '' : mount.root,
    volume: String(status['volumePath']),
    base: (status['base'] ?? null) as string | null,
    pid: Number(status['pid']),
    hidden: null,
    isNew: false,
    isForRuns: false,
  };
}

/** The directory whose volume it is: the place, or one above it. */
async function directoryOf(target: Target, place: string): Promise<string> {
  if (target.kind === 'volume') return target.base ?? place;
  const { base, mountpoint } = await target.control.state('status');
  return String(base ?? mountpoint);
}

function refuseHopeless(directory: string, paths: StatePaths): void {
  if (directory === '/') {
    throw new CommandError(
      'bad-directory',
      'EINVAL',
      '/ holds the directories in which programs run: a directory below it is expected',
    );
  }
  for (const path of [paths.stateDirectory, paths.runtimeDirectory]) {
    if (!isWithin(path, directory)) continue;
    throw new CommandError(
      'volume-inside-mount',
      'EINVAL',
      `${path}, where shadowfs keeps volumes and mounts, lies in ${shownName(directory)} itself: ` +
        'run it in a directory below, or choose another place (SHADOWFS_STATE_DIR, XDG_RUNTIME_DIR)',
    );
  }
}

async function openHidden(
  directory: string,
  target: Target | undefined,
  paths: StatePaths,
): Promise<Tree> {
  const hidden = hiddenPath(directory, paths);
  const mounted = mountAt(readMountTable(), hidden);
  let isNew = false;
  if (mounted?.type !== MOUNT_TYPE || !isServed(hidden, paths)) {
    ensurePrivateDirectory(paths.runtimeDirectory, process.getuid?.() ?? 0);
    makeDirectory(hidden);
    const { takeIn } = await import('../../daemon/volumes/take-in.js');
    await takeIn(paths, () => undefined);
    const hasBase = target?.kind !== 'volume' || target.base !== undefined;
    const plan = await planned(
      {
        base: hasBase ? directory : undefined,
        mountpoint: hidden,
        volume: target?.kind === 'volume' ? target.volume : undefined,
        driver: 'kernel',
        options: { ...parseMountOptions([]), branch: 'main' },
      },
      paths,
    );
    const { serveInBackground } = await import('../../daemon/serve/spawn.js');
    ({ isNew } = await serveInBackground(plan));
  }
  const found = await findTarget({ directory: hidden });
  if (found.kind !== 'mounted') throw new Error(`${hidden} is not mounted`);
  const others = readRuns(paths).filter(({ hiddenTree }) => hiddenTree === hidden);
  const isForRuns = isNew || others.some(({ isNewVolume }) => isNewVolume);
  const tree = { ...(await treeOfMount(found, hidden)), directory, hidden, isNew, isForRuns };
  const status = await tree.control.state('status');
  if (status['isApplied'] === false) {
    await closeHidden(hidden, isForRuns, paths);
    throw new CommandError(
      'not-shown',
      'EBUSY',
      `the volume of ${shownName(directory)} holds work that the directory does not show: ` +
        `mount it first (shadowfs mount ${shownName(directory)})`,
    );
  }
  return tree;
}

export function hiddenPath(directory: string, paths: StatePaths): string {
  return join(paths.runtimeDirectory, HIDDEN, slugOf(directory));
}

function isServed(hidden: string, paths: StatePaths): boolean {
  return readMountRecord(paths, hidden)?.state === 'serving' && existsSync(fsPath(hidden));
}

/** Unless another run needs it. `isForRuns`: with the volume, when nothing was kept in it. */
export async function closeHidden(
  hidden: string,
  isForRuns: boolean,
  paths: StatePaths,
): Promise<void> {
  if (readRuns(paths).some(({ hiddenTree }) => hiddenTree === hidden)) return;
  const record = readMountRecord(paths, hidden);
  if (!unmountSurely(hidden) || record === undefined) return;
  for (let waitedMs = 0; waitedMs < ENDING_MS && isRunning(record); waitedMs += POLL_MS) {
    await sleep(POLL_MS);
    if (waitedMs === COPIES_MS) endCopies(record);
  }
  if (isForRuns && !isRunning(record)) await removeUnused(record.volume, paths);
}

/** Nothing but branches that were dropped has ever been in it. */
async function removeUnused(volume: string, paths: StatePaths): Promise<void> {
  const { hasChanges, readVolumeState } = await import('../../daemon/commands/inspect.js');
  const { branches, history } = readVolumeState(volume);
  const commands = history.map(({ command }) => String(command));
  if (branches.length > 1 || hasChanges(volume) === true) return;
  if (!commands.every((command) => OF_BRANCHES.has(command))) return;
  const { findEntry } = await import('../../daemon/volumes/find-volume.js');
  const { deleteVolume } = await import('../../daemon/volumes/delete-volume.js');
  await deleteVolume(paths, findEntry(paths, volume));
}
