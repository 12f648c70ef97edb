/**
 * Moves a volume to another place: by a rename on the same file system, else by a
 * copy.
 *
 * What must hold: whatever happens in between, the volume is whole at one place,
 * and the registry knows which. Before anything moves, the entry says where it
 * goes (`moveTo`); a copy gets its final name when it is whole and durable; the
 * original goes when the entry names the copy (`leftover` until it is gone). The
 * owner's lock is held all the time. `settleMoves` ends what was cut short.
 */
import { existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { flushDirectory } from '../../lib/durable-file.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { acquireOwner, type Owner } from '../../store/owner.js';
import { isWithin } from '../../lib/paths.js';
import { mountAt, readMountTable } from '../mount/mount-table.js';
import type { StatePaths } from '../mount/paths.js';
import { diskOf } from './disk.js';
import { hasVolume, isMoving, presentPath, readRegistry, type VolumeEntry } from './registry.js';
import { changeRegistry } from './registry-changes.js';
import { readFacts, requireSame } from './volume-facts.js';
import { copySize, copyVolumeFiles, type OnProgress, removeVolumeFiles } from './volume-files.js';
import { volumeMissing } from './volume-place.js';

export interface Moved {
  from: string;
  to: string;
  how: 'renamed' | 'copied';
  /** Foreign files that stayed in the old directory. */
  left: string[];
}

/** Where a copy grows. */
function nursery(to: string): string {
  return `${to}.shadowfs-moving`;
}

/** Throws CommandError: volume-missing, volume-in-use, volume-exists, volume-inside-mount … */
export async function moveVolume(
  paths: StatePaths,
  entry: VolumeEntry,
  to: string,
  onProgress: OnProgress,
): Promise<Moved> {
  const from = presentPath(entry);
  if (!hasVolume(from)) throw volumeMissing(entry, []);
  requireSame(entry, from);
  refuseTarget(entry, from, to);
  const owner = acquireOwner(from);
  try {
    note(paths, entry, { volume: from, moveTo: to });
    failpoint('volume:move-noted');
    let how: Moved['how'];
    try {
      how = await place(from, to, onProgress);
    } catch (error) {
      await rm(nursery(to), { recursive: true, force: true });
      note(paths, entry, { volume: from });
      throw asMoveError(error, from, to);
    }
    failpoint('volume:move-placed');
    const left = await finish(paths, entry, { from, to, isCopy: how === 'copied' });
    return { from, to, how, left };
  } finally {
    owner.release();
  }
}

/** The registry is told that the volume lies at `to` now. Throws CommandError not-a-volume … */
export function noteMoved(paths: StatePaths, entry: VolumeEntry, to: string): void {
  note(paths, { ...entry, uuid: requireSame(entry, to) }, { volume: to });
}

function refuseTarget(entry: VolumeEntry, from: string, to: string): void {
  const refuse = (code: string, errno: 'EEXIST' | 'ENOENT' | 'EINVAL', why: string): never => {
    throw new CommandError(code, errno, why, { volumePath: from, to });
  };
  if (isWithin(to, from)) refuse('bad-option', 'EINVAL', `${to} lies inside the volume itself`);
  if (hasVolume(to)) refuse('volume-exists', 'EEXIST', `there is a volume in ${to} already`);
  if (mountAt(readMountTable(), to) !== undefined) {
    refuse('volume-exists', 'EEXIST', `${to} is a mountpoint: name a directory below it`);
  }
  if (existsSync(to) && !(statSync(to).isDirectory() && readdirSync(to).length === 0)) {
    refuse('volume-exists', 'EEXIST', `${to} exists, and is not an empty directory`);
  }
  if (!existsSync(dirname(to))) {
    refuse('directory-missing', 'ENOENT', `${dirname(to)} does not exist`);
  }
  const [mountpoint] = entry.mountpoints;
  if (mountpoint !== undefined && isWithin(to, mountpoint)) {
    refuse(
      'volume-inside-mount',
      'EINVAL',
      `the volume ${to} would lie inside its own mount ${mountpoint}; choose a place outside`,
    );
  }
}

async function place(from: string, to: string, onProgress: OnProgress): Promise<Moved['how']> {
  try {
    await rename(from, to);
    flushDirectory(dirname(to));
    flushDirectory(dirname(from));
    return 'renamed';
  } catch (error) {
    // EBUSY: the volume's directory is a mountpoint.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EXDEV' && code !== 'EBUSY') throw error;
  }
  const total = await copySize(from);
  refuseFullDisk(dirname(to), total, to);
  const copy = nursery(to);
  await rm(copy, { recursive: true, force: true });
  await copyVolumeFiles(from, copy, total, onProgress);
  failpoint('volume:move-copied');
  await rename(copy, to);
  flushDirectory(dirname(to));
  return 'copied';
}

function refuseFullDisk(directory: string, total: number, to: string): void {
  const { bavail, bsize } = statfsSync(directory);
  if (bavail * bsize > total) return;
  throw new CommandError(
    'volume-unusable',
    'ENOSPC',
    `${to}: the volume takes ${total} bytes, and the disk has ${bavail * bsize} left`,
  );
}

function asMoveError(error: unknown, from: string, to: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof CommandError) return error;
  const errno = code === 'ENOSPC' || code === 'EROFS' ? code : 'EACCES';
  const why = `the volume can't be moved to ${to}, and stays in ${from}: ${messageOf(error)}`;
  return new CommandError('volume-unusable', errno, why);
}

async function finish(
  paths: StatePaths,
  entry: VolumeEntry,
  { from, to, isCopy }: { from: string; to: string; isCopy: boolean },
): Promise<string[]> {
  note(paths, entry, { volume: to, ...(isCopy && { leftover: from }) });
  failpoint('volume:move-entered');
  if (!isCopy) return [];
  const left = await removeVolumeFiles(from);
  note(paths, entry, { volume: to });
  return left;
}

type Where = Pick<VolumeEntry, 'volume' | 'moveTo' | 'leftover'>;

function note(paths: StatePaths, entry: VolumeEntry, where: Where): void {
  changeRegistry(paths, (registry) => {
    const { moveTo: _moveTo, leftover: _leftover, ...rest } = registry.get(entry.id) ?? entry;
    const disk = hasVolume(where.volume) ? diskOf(readMountTable(), where.volume) : undefined;
    registry.put({ ...rest, uuid: entry.uuid, disk: disk ?? rest.disk, ...where });
  });
}

/**
 * Ends or undoes the moves that were cut short; those that still run are left alone. `failed` hears
 * of those that can be neither now: they must not stand in the way of other volumes.
 */
export async function settleMoves(
  paths: StatePaths,
  failed: (message: string) => void,
): Promise<void> {
  for (const entry of readRegistry(paths).filter(isMoving)) {
    const owners: Owner[] = [];
    try {
      for (const path of placesOf(entry)) owners.push(acquireOwner(path));
    } catch {
      // The move goes on, or the volume is in use, or its disk is away.
      for (const owner of owners) owner.release();
      continue;
    }
    try {
      await settle(paths, entry);
    } catch (error) {
      failed(`the move of ${presentPath(entry)} that was cut short can't end: ${messageOf(error)}`);
    } finally {
      for (const owner of owners) owner.release();
    }
  }
}

function placesOf({ volume, moveTo, leftover }: VolumeEntry): string[] {
  return [volume, moveTo, leftover].filter(
    (path) => path !== undefined && hasVolume(path),
  ) as string[];
}

async function settle(paths: StatePaths, entry: VolumeEntry): Promise<void> {
  const { volume, moveTo, leftover } = entry;
  if (moveTo !== undefined) {
    const isPlaced = hasVolume(moveTo) && readFacts(moveTo).uuid === entry.uuid;
    if (isPlaced) {
      await finish(paths, entry, { from: volume, to: moveTo, isCopy: hasVolume(volume) });
      return;
    }
    if (!hasVolume(volume)) return;
    await rm(nursery(moveTo), { recursive: true, force: true });
    note(paths, entry, { volume });
    return;
  }
  if (leftover !== undefined && hasVolume(volume)) {
    if (existsSync(leftover)) await removeVolumeFiles(leftover);
    note(paths, entry, { volume });
  }
}
