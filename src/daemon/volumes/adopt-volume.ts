/** Takes a volume that was found on a disk into the list. */
import type { StatePaths } from '../mount/paths.js';
import { compareIdentities, identityOf } from './directory-identity.js';
import { registerUse } from './register.js';
import { hasVolume, presentPath, readRegistry } from './registry.js';
import { storedIdentity } from './stored-identity.js';
import { readFacts } from './volume-facts.js';

export interface Adopted {
  uuid: string;
  snapshotCount: number;
  /** Null: the volume has no base. */
  base: string | null;
  /** The base's directory is there, and is the one that the volume was used over. */
  hasDirectory: boolean;
  /** Other places where a copy of the volume is known. */
  copies: string[];
}

/** Throws CommandError: not-a-volume, volume-damaged, newer-format, volume-in-use … */
export function adoptVolume(paths: StatePaths, volume: string): Adopted {
  const { uuid, base, snapshots } = readFacts(volume);
  const directory = base === undefined ? null : storedIdentity(base);
  const now = base === undefined ? undefined : identityOf(base.path);
  const copies = readRegistry(paths)
    .filter((entry) => entry.uuid === uuid && presentPath(entry) !== volume)
    .map(presentPath)
    .filter(hasVolume);
  registerUse(paths, {
    uuid,
    volume,
    base: base?.path ?? null,
    mountpoint: null,
    directory,
    snapshots,
    isNew: false,
  });
  const hasDirectory =
    directory !== null && now !== undefined && compareIdentities(directory, now) !== 'other';
  return { uuid, snapshotCount: snapshots, base: base?.path ?? null, hasDirectory, copies };
}
