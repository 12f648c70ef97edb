/**
 * Finds the mount or volume of a command: the mount that contains the current
 * directory (or `-C DIR`), as git finds its repository; else the volume
 * registered for that directory; or `--volume PATH`.
 *
 * What must hold: a mount is found without what looks at volumes, which takes
 * longer to load than all the rest of a command.
 */
import { homedir } from 'node:os';
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { absolutePath, realPath } from '../lib/byte-paths.js';
import { fsPath } from '../lib/byte-text.js';
import { CommandError } from '../lib/errors.js';
import { isRunning, readMountRecords } from '../daemon/mount/mount-record.js';
import {
  isDead,
  type MountEntry,
  mountContaining,
  mountOfDevice,
  readMountTable,
} from '../daemon/mount/mount-table.js';
import { statePathsFor, type StatePaths } from '../daemon/mount/paths.js';
import { hasVolume, volumePathOf } from '../daemon/volumes/registry.js';
import { ControlClient } from './control-client.js';
import { controlDirectoryOf, mountOfControlFiles, ownerOf } from './control-place.js';
import { warnBelowMount } from './uncovered.js';
import { workingDirectory } from './working-directory.js';

export interface TargetOptions {
  /** The directory in question; otherwise the one in which the command works. */
  directory?: string;
  volume?: string;
}

export interface MountedTarget {
  kind: 'mounted';
  mount: MountEntry;
  control: ControlClient;
  /** The directory in question, absolute. */
  directory: string;
}

export interface VolumeTarget {
  kind: 'volume';
  volume: string;
  base: string | undefined;
  directory: string;
}

export type Target = MountedTarget | VolumeTarget;

export function currentPaths(): StatePaths {
  return statePathsFor({ uid: process.getuid?.() ?? 0, env: process.env, home: homedir() });
}

/** Absolute, symlinks followed as far as the path exists. */
function directoryOf(options: TargetOptions): string {
  const path = resolve(workingDirectory(), options.directory ?? '.');
  try {
    return realPath(path);
  } catch (error) {
    // A shell may stand in a directory that a mount covers, and whose name the mount lacks.
    const isNamed = (error as NodeJS.ErrnoException).code === 'ENOENT' && !standsIn(options);
    if (isNamed) {
      throw new CommandError('directory-missing', 'ENOENT', `${path} does not exist`);
    }
    // The mount may be dead, or another user's: its path is still useful.
    return path;
  }
}

/** The directory was given relative to the working directory, and exists there. */
function standsIn({ directory = '.' }: TargetOptions): boolean {
  return !isAbsolute(directory) && existsSync(fsPath(directory));
}

const findingVolumes = async () => await import('../daemon/volumes/find-volume.js');

/** Throws CommandError `not-under-history` when there is neither. */
export async function findTarget(options: TargetOptions): Promise<Target> {
  const paths = currentPaths();
  const directory = directoryOf(options);
  if (options.volume !== undefined)
    return await targetOfVolume(volumePathOf(absolutePath(options.volume)), paths, directory);
  const mount = mountAround(directory);
  if (mount !== undefined) {
    warnBelowMount(mount, options.directory, directory);
    return mountedTarget(mount, paths, directory);
  }
  if (options.directory !== undefined && hasVolume(directory)) {
    return await targetOfVolume(directory, paths, directory);
  }
  const { findVolume } = await findingVolumes();
  for (let base = directory; ; base = dirname(base)) {
    const volume = findVolume(paths, base);
    if (volume !== undefined) {
      const found = await targetOfVolume(volume, paths, directory);
      return found.kind === 'volume' ? { ...found, base } : found;
    }
    if (base === '/') break;
  }
  throw new CommandError(
    'not-under-history',
    'ENOENT',
    `${directory} is not in a shadowfs mount, and no volume is known for it ` +
      '(shadowfs mount DIR puts a directory under history)',
  );
}

/** The mount that contains the path, or whose control files do (`cd .control`). */
function mountAround(path: string): MountEntry | undefined {
  const table = readMountTable();
  return mountContaining(table, path) ?? mountOfControlFiles(table, path);
}

function mountedTarget(mount: MountEntry, paths: StatePaths, directory: string): MountedTarget {
  if (isDead(mount.mountpoint)) {
    throw new CommandError(
      'mount-dead',
      'ENODEV',
      `the process that served ${mount.mountpoint} has ended; mounting it again cleans up`,
    );
  }
  return { kind: 'mounted', mount, control: controlOf(mount, paths), directory };
}

/** The control files of a mount. */
export function controlOf(mount: MountEntry, paths: StatePaths): ControlClient {
  return new ControlClient(controlDirectoryOf(mount, paths), `uid ${ownerOf(mount).uid}`);
}

/** A volume that a process of this user serves is reached through that process. */
async function targetOfVolume(
  volume: string,
  paths: StatePaths,
  directory: string,
): Promise<Target> {
  for (const record of readMountRecords(paths)) {
    if (record.volume !== volume || !isRunning(record)) continue;
    const table = readMountTable();
    const mount =
      record.device === undefined
        ? mountContaining(table, record.mountpoint)
        : mountOfDevice(table, record.device, record.mountpoint);
    if (mount !== undefined) return mountedTarget(mount, paths, directory);
  }
  const { requireVolume } = await findingVolumes();
  requireVolume(paths, volume);
  return { kind: 'volume', volume, base: undefined, directory };
}

/** The path is a mountpoint, or a volume that a process of this user serves. */
export async function mountedAt(path: string): Promise<ControlClient | undefined> {
  const paths = currentPaths();
  if (!existsSync(fsPath(path))) return undefined;
  const directory = directoryOf({ directory: path });
  const mount = mountContaining(readMountTable(), directory);
  if (mount?.mountpoint === directory) return mountedTarget(mount, paths, directory).control;
  if (!hasVolume(directory)) return undefined;
  const target = await targetOfVolume(directory, paths, directory);
  return target.kind === 'mounted' ? target.control : undefined;
}

/** The mount that contains the directory, even if no process serves it. */
export function findMountEntry(directory: string | undefined): MountEntry {
  const path = directoryOf(directory === undefined ? {} : { directory });
  const mount = mountAround(path);
  if (mount !== undefined) return mount;
  throw new CommandError('not-mounted', 'ENOENT', `${path} is not in a shadowfs mount`);
}

/** Throws `not-mounted`. `then`: the command that can be given afterwards. */
export function requireMounted(target: Target, then: string): MountedTarget {
  if (target.kind === 'mounted') return target;
  throw new CommandError(
    'not-mounted',
    'ENOENT',
    `the volume ${target.volume} is not mounted: shadowfs mount ${target.base ?? 'DIR'}, then ${then}`,
  );
}

/** As `findTarget`, for commands that need a mounted volume. */
export async function findMount(options: TargetOptions): Promise<MountedTarget> {
  const target = await findTarget(options);
  if (target.kind === 'mounted') return target;
  throw new CommandError(
    'not-mounted',
    'ENOENT',
    `the volume ${target.volume} is not mounted (shadowfs mount ${target.base ?? 'DIR'})`,
  );
}
