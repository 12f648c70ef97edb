/** Deleting a volume: what would be lost with it, and removing it; forgetting one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OWNER_FILE } from '../../store/open.js';
import { acquireOwner, inUse, shareVolume } from '../../store/owner.js';
import type { Answer } from '../../control/command.js';
import { hasChanges, readVolumeState } from '../commands/inspect.js';
import type { StatePaths } from '../mount/paths.js';
import { sizeOnDisk } from './register.js';
import { hasVolume, presentPath, type VolumeEntry } from './registry.js';
import { changeRegistry } from './registry-changes.js';
import { requireSame } from './volume-facts.js';
import { removeVolumeFiles } from './volume-files.js';
import { volumeMissing } from './volume-place.js';

/** What a volume's deletion takes away. */
export interface Loss {
  sizeBytes: number | null;
  snapshots: string[];
  /** All but `main`. */
  branches: string[];
  /** Null: the volume has no base. True: a branch has changes that the base does not have. */
  hasChanges: boolean | null;
  /** Names of the peers that follow it. */
  followers: string[];
  /** Who needs which snapshot. */
  locks: { snapshot: string; text: string; origin: string }[];
}

/** Throws CommandError when the volume is missing, or can't be read. */
export function lossOf(entry: VolumeEntry): Loss {
  const volume = presentPath(entry);
  if (!hasVolume(volume)) throw volumeMissing(entry, []);
  requireSame(entry, volume);
  const state = readVolumeState(volume);
  const text = (record: Answer, key: string): string => String(record[key] ?? '');
  return {
    sizeBytes: sizeOnDisk(volume),
    snapshots: state.snapshots.map((snapshot) => text(snapshot, 'name')),
    branches: state.branches.slice(1).map((branch) => text(branch, 'name')),
    hasChanges: hasChanges(volume),
    followers: state.peers
      .filter(({ direction }) => direction === 'downstream')
      .map((peer) => text(peer, 'name')),
    locks: state.locks.map((lock) => ({
      snapshot: text(lock, 'snapshot'),
      text: text(lock, 'text'),
      origin: text(lock, 'peer') || text(lock, 'origin'),
    })),
  };
}

/**
 * Removes the volume and its entry. Returns foreign files that stay in its directory. Throws
 * CommandError volume-missing, volume-in-use, volume-unusable.
 */
export async function deleteVolume(paths: StatePaths, entry: VolumeEntry): Promise<string[]> {
  const volume = presentPath(entry);
  if (hasVolume(volume)) requireSame(entry, volume);
  else if (!isHalfDeleted(entry)) throw volumeMissing(entry, []);
  const owner = acquireOwner(volume);
  try {
    const left = await removeVolumeFiles(volume);
    changeRegistry(paths, (registry) => registry.remove(entry.id));
    return left;
  } finally {
    owner.release();
  }
}

/** The data is gone, and the owner's file, which goes last, is not: a deletion was cut short. */
export function isHalfDeleted(entry: VolumeEntry): boolean {
  const volume = presentPath(entry);
  return !hasVolume(volume) && existsSync(join(volume, OWNER_FILE));
}

/** Strikes it off the list. Its data stays; while it is there, nothing takes it in again. */
export function forgetVolume(paths: StatePaths, entry: VolumeEntry): void {
  // Its mount would bring it back.
  const volume = presentPath(entry);
  if (hasVolume(volume)) {
    const share = shareVolume(volume);
    if (share === undefined) throw inUse(volume);
    share.release();
  }
  changeRegistry(paths, (registry) => {
    if (hasVolume(volume)) registry.put({ ...entry, isForgotten: true });
    else registry.remove(entry.id);
  });
}
