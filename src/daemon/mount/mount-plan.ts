/**
 * From what a person asked for to what the daemon will do: paths made real,
 * everything refused that can't work, and the leftovers of a killed process
 * cleaned up. Runs before anything is changed.
 *
 * Doors: answering, copies, mount-options, mount-plan, mount-record, mount-table, paths, processes,
 *   umount, uses-below.
 * Doors inside daemon/: detached, hand-over, mount-place, plan-beside, unmount-elsewhere,
 *   unmount-thread.
 */
import { accessSync, constants, readdirSync, type Stats, statSync } from 'node:fs';
import { absolutePath, realPath } from '../../lib/byte-paths.js';
import { fsPath } from '../../lib/byte-text.js';
import { CommandError, type ErrnoName } from '../../lib/errors.js';
import { isWithin } from '../../lib/paths.js';
import { sleepSync } from '../../lib/sleep.js';
import type { MountOptions } from './mount-options.js';
import { isRunning, type MountRecord, readMountRecord } from './mount-record.js';
import {
  CONTROL_MOUNT_TYPE,
  isDead,
  MOUNT_TYPE,
  mountAt,
  type MountEntry,
  readMountTable,
} from './mount-table.js';
import { controlMountPath, logPath, type StatePaths } from './paths.js';
import type { DirectoryIdentity } from '../volumes/directory-identity.js';
import { volumePlace } from '../volumes/volume-place.js';
import { unmount } from '../../fuse/mount/kernel-mount.js';
import { kernelDriverRefusal } from '../../fuse/mount/usable.js';

const END_MS = 2_000;
const POLL_MS = 20;

export type Driver = 'kernel' | 'fuse-native';
export type DriverChoice = Driver | 'auto';

export interface MountRequest {
  /** Absent: no base. */
  base: string | undefined;
  /** The device that df and mount show. Absent: the base, else `shadowfs`. */
  source?: string | undefined;
  mountpoint: string;
  /** Absent: the volume that is known for the directory, else a new one at the default place. */
  volume: string | undefined;
  /** A new volume, whatever is known. */
  isNew?: boolean;
  driver: DriverChoice;
  options: MountOptions;
}

/** Everything the daemon needs; plain data, since it travels between processes. */
export interface MountPlan {
  base: string | undefined;
  source: string;
  mountpoint: string;
  inPlace: boolean;
  volume: string;
  /** The volume exists; its UUID as far as it is known. Null: it is to be made. */
  known: { uuid: string | null } | null;
  /** Of the base, or of the mountpoint where there is no base. */
  directory: DirectoryIdentity | null;
  controlMount: string;
  log: string;
  driver: Driver;
  /** Why it is not the kernel driver, if another one was not requested. */
  driverReason?: string;
  options: MountOptions;
  paths: StatePaths;
  /** Warnings; the mount goes on. */
  notes: string[];
}

/** Throws CommandError, one code per reason. Cleans up stale mounts at the two paths. */
export function planMount(request: MountRequest, paths: StatePaths): MountPlan {
  const mountpoint = directoryAt(request.mountpoint, 'mountpoint', paths);
  const base = request.base === undefined ? undefined : directoryAt(request.base, 'base', paths);
  const inPlace = base === mountpoint;
  const table = readMountTable();
  refuseMountpointInUse(table, mountpoint, inPlace);
  const notes: string[] = [];
  if (base !== undefined) {
    refuseUnreadable(base);
    refuseNesting(base, mountpoint);
  }
  const place = volumePlace(
    {
      base,
      mountpoint,
      volume: request.volume,
      isNew: request.isNew === true,
      reattach: request.options.reattach,
    },
    paths,
  );
  const { volume, known, directory } = place;
  notes.push(...place.notes);
  const controlMount = controlMountPath(paths, mountpoint);
  refuseVolumeInside(realpathOfExisting(volume), mountpoint);
  if (base !== undefined) {
    if (isWithin(realpathOfExisting(volume), base)) {
      notes.push(
        `the volume ${volume} lies inside the base: it shows up in the mount as it changes`,
      );
    }
  }
  return {
    base,
    source: request.options.fsname ?? request.source ?? base ?? 'shadowfs',
    mountpoint,
    inPlace,
    volume,
    known,
    directory,
    controlMount,
    log: logPath(paths, mountpoint),
    ...chosenDriver(request, notes),
    options: request.options,
    paths: paths,
    notes,
  };
}

/** `auto`: the kernel driver; where that can't be used, the other one, with the reason. */
function chosenDriver(
  { driver, options }: MountRequest,
  notes: string[],
): { driver: Driver; driverReason?: string } {
  const cause = driver === 'auto' ? kernelDriverRefusal() : undefined;
  if (driver === 'kernel' || (driver === 'auto' && cause === undefined)) {
    return { driver: 'kernel' };
  }
  if (options.allowOther) {
    throw (
      cause ??
      refusal(
        'bad-option',
        'EINVAL',
        'allow_other: the fuse-native driver does not learn who makes a file, so no one else can be let in',
      )
    );
  }
  if (options.writeback) {
    throw refusal('bad-option', 'EINVAL', 'writeback=on: the fuse-native driver has no such cache');
  }
  if (cause === undefined) return { driver: 'fuse-native' };
  const driverReason = cause.message;
  notes.push(`the kernel driver can't be used (${driverReason}): going on with fuse-native`);
  return { driver: 'fuse-native', driverReason };
}

export function refusal(code: string, errno: ErrnoName, message: string): CommandError {
  return new CommandError(code, errno, message);
}

/** The real path of an existing directory. A stale mount of ours on the way is removed first. */
export function directoryAt(path: string, what: 'mountpoint' | 'base', paths: StatePaths): string {
  const absolute = absolutePath(path);
  cleanStaleMounts(absolute, paths);
  let real: string;
  let stat: Stats;
  try {
    real = realPath(absolute);
    stat = statSync(fsPath(real));
  } catch (error) {
    throw unreachable(error, what, absolute);
  }
  if (!stat.isDirectory()) {
    throw refusal(`${what}-not-directory`, 'ENOTDIR', `${what} ${path} is not a directory`);
  }
  return real;
}

function unreachable(error: unknown, what: string, path: string): CommandError {
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOENT':
      return refusal(`${what}-missing`, 'ENOENT', `${what} ${path} does not exist`);
    case 'ENOTDIR':
      return refusal(`${what}-not-directory`, 'ENOTDIR', `${what} ${path}: not a directory`);
    case 'ENOTCONN':
      return refusal(
        `${what}-stale`,
        'EBUSY',
        `${what} ${path} is the mount of another program that has ended; unmount it first`,
      );
    default:
      return refusal(`${what}-unreadable`, 'EACCES', `${what} ${path} can't be used: ${code}`);
  }
}

export function refuseMountpointInUse(
  table: readonly MountEntry[],
  mountpoint: string,
  inPlace: boolean,
): void {
  const top = mountAt(table, mountpoint);
  if (top === undefined) return;
  if (top.type === MOUNT_TYPE || top.type === CONTROL_MOUNT_TYPE) {
    throw refusal(
      'mountpoint-in-use',
      'EBUSY',
      `${mountpoint} is mounted already (shadowfs umount ${mountpoint} ends that)`,
    );
  }
  // A disk's own mountpoint can be put under history in place.
  if (inPlace) return;
  throw refusal(
    'mountpoint-in-use',
    'EBUSY',
    `${mountpoint} is in use: ${top.type} (${top.source}) is mounted there`,
  );
}

function refuseUnreadable(base: string): void {
  try {
    accessSync(fsPath(base), constants.R_OK | constants.X_OK);
    readdirSync(fsPath(base));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw refusal('base-unreadable', 'EACCES', `base ${base} can't be read: ${code}`);
  }
}

export function refuseNesting(base: string, mountpoint: string): void {
  if (base === mountpoint) return;
  if (isWithin(base, mountpoint)) {
    throw refusal(
      'base-inside-mountpoint',
      'EINVAL',
      `base ${base} lies inside the mountpoint ${mountpoint}, which would cover it`,
    );
  }
}

export function refuseVolumeInside(volume: string, mountpoint: string): void {
  if (!isWithin(volume, mountpoint)) return;
  throw refusal(
    'volume-inside-mount',
    'EINVAL',
    `the volume ${volume} would lie inside its own mount ${mountpoint}; ` +
      'choose a place outside with --volume PATH',
  );
}

/** The real path of the part that exists, followed by the rest, which will be made. */
export function realpathOfExisting(path: string): string {
  let existing = path;
  let rest = '';
  while (existing !== '/') {
    try {
      return realPath(existing) + rest;
    } catch {
      const slash = existing.lastIndexOf('/');
      rest = existing.slice(slash) + rest;
      existing = existing.slice(0, slash) || '/';
    }
  }
  return path;
}

/**
 * Removes a mount of ours at `path` whose process is gone, and its control
 * mount. Mounts that answer, and other programs' mounts, are left alone.
 */
export function cleanStaleMounts(path: string, paths: StatePaths): boolean {
  let cleaned = false;
  for (;;) {
    const top = mountAt(readMountTable(), path);
    if (top?.type !== MOUNT_TYPE || !isDead(path)) return cleaned;
    const record = readMountRecord(paths, path);
    if (record !== undefined && !hasEnded(record)) return cleaned;
    unmount(path, { lazy: true });
    cleanControlMount(record?.controlMount ?? controlMountPath(paths, path));
    cleaned = true;
  }
}

/** A process that was killed closes its files some time before it is gone. */
function hasEnded(record: MountRecord): boolean {
  for (const endMs = Date.now() + END_MS; isRunning(record); sleepSync(POLL_MS)) {
    if (Date.now() > endMs) return false;
  }
  return true;
}

/** Removes a dead control mount. */
export function cleanControlMount(path: string): void {
  while (mountAt(readMountTable(), path)?.type === CONTROL_MOUNT_TYPE && isDead(path)) {
    unmount(path, { lazy: true });
  }
}
