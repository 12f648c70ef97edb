/** Finds known volumes for commands that are not mounts: by a directory, a path or a UUID. */

import { join } from 'node:path';
import { absolutePath, realPath } from '../../lib/byte-paths.js';
import { CommandError } from '../../lib/errors.js';
import { readMountTable } from '../mount/mount-table.js';
import { slugOf, type StatePaths, volumesDirectory } from '../mount/paths.js';
import { compareIdentities, identityOf } from './directory-identity.js';
import { whyAbsent } from './disk.js';
import { byLastUse } from './lookup.js';
import { hasVolume, presentPath, readRegistry, type VolumeEntry, volumeKey } from './registry.js';
import { volumeMissing } from './volume-place.js';

/**
 * The path of the volume that was last used over `directory`, or mounted there; undefined: none is
 * known. Throws CommandError `volume-missing`.
 */
export function findVolume(paths: StatePaths, directory: string): string | undefined {
  const [entry, ...others] = entriesOf(listed(paths), directory);
  if (entry !== undefined) {
    const volume = presentPath(entry);
    if (hasVolume(volume)) return volume;
    throw volumeMissing(entry, others);
  }
  // Older versions wrote down nothing about these.
  const keys = [volumeKey(directory, directory), volumeKey(undefined, directory)];
  return keys.map((key) => join(volumesDirectory(paths), slugOf(key))).find(hasVolume);
}

function listed(paths: StatePaths): VolumeEntry[] {
  return readRegistry(paths).filter(({ isForgotten }) => isForgotten !== true);
}

/** By its path as a base, then as a mountpoint, then by what the directory is. */
function entriesOf(entries: readonly VolumeEntry[], directory: string): VolumeEntry[] {
  const sorted = byLastUse(entries);
  const asBase = sorted.filter(({ base }) => base === directory);
  const asMountpoint = sorted.filter(({ mountpoints }) => mountpoints.includes(directory));
  if (asBase.length + asMountpoint.length > 0) return [...new Set([...asBase, ...asMountpoint])];
  const identity = identityOf(directory);
  if (identity === undefined) return [];
  return sorted.filter(
    (entry) => entry.directory !== null && compareIdentities(entry.directory, identity) === 'same',
  );
}

const UUID_PART = /^[0-9a-f][0-9a-f-]{3,35}$/;

/**
 * The one volume that a word means: its path, the beginning of its UUID, or its directory. Throws
 * CommandError no-such-volume, volume-ambiguous.
 */
export function findEntry(paths: StatePaths, word: string): VolumeEntry {
  const all = readRegistry(paths);
  const entries = all.filter(({ isForgotten }) => isForgotten !== true);
  const path = absolutePath(word);
  const ways = [
    all.filter((entry) => entry.volume === path || presentPath(entry) === path),
    entries.filter(({ uuid }) => UUID_PART.test(word) && uuid?.startsWith(word) === true),
    entriesOf(entries, realOrGiven(path)),
  ];
  const [entry, ...more] = ways.find((found) => found.length > 0) ?? [];
  if (entry === undefined) {
    const hint = hasVolume(path)
      ? `the volume in ${path} is not in the list; shadowfs volume adopt takes it in`
      : `no volume is known by ${word} (shadowfs volumes lists them)`;
    throw new CommandError('no-such-volume', 'ENOENT', hint);
  }
  if (more.length === 0) return entry;
  const volumes = [entry, ...more].map(({ volume }) => volume);
  throw new CommandError(
    'volume-ambiguous',
    'EINVAL',
    `${word} has ${volumes.length} volumes; name one by its path:\n  ${volumes.join('\n  ')}`,
    { volumes },
  );
}

function realOrGiven(path: string): string {
  try {
    return realPath(path);
  } catch {
    return path;
  }
}

/**
 * Before a stream makes a volume at that path: it may take the place of one that was deleted, not
 * of one whose disk is away. Throws CommandError `volume-missing`.
 */
export function refuseAbsent(paths: StatePaths, volume: string): void {
  if (hasVolume(volume)) return;
  const table = readMountTable();
  const known = listed(paths).find((entry) => entry.volume === volume);
  if (known === undefined || whyAbsent(known.disk, table) === undefined) return;
  throw volumeMissing(known, []);
}

/** Throws CommandError `volume-missing`, with what is known of the volume at that path. */
export function requireVolume(paths: StatePaths, volume: string): void {
  if (hasVolume(volume)) return;
  const known = listed(paths).find((entry) => entry.volume === volume);
  if (known !== undefined) throw volumeMissing(known, []);
  throw new CommandError('volume-missing', 'ENOENT', `there is no volume at ${volume}`);
}
