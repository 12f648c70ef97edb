/**
 * What is known of a volume for a mount of one of its branches: where it lies,
 * and over which directory.
 */
import { byLastUse, findForDirectory } from './lookup.js';
import { identityOf } from './directory-identity.js';
import { earlierPathLeads } from './register.js';
import { hasVolume, presentPath, readRegistry, volumePathOf } from './registry.js';
import type { StatePaths } from '../mount/paths.js';
import { readFacts } from './volume-facts.js';

export interface KnownVolume {
  volume: string;
  /** Undefined: it has none, or is frozen. */
  base: string | undefined;
}

/** Undefined: there is none at that path. Throws CommandError when it can't be read. */
export function presentVolume(path: string): KnownVolume | undefined {
  const volume = volumePathOf(path);
  if (!hasVolume(volume)) return undefined;
  const { base, isFrozen } = readFacts(volume);
  return { volume, base: isFrozen ? undefined : base?.path };
}

/** The directory has a volume of its own, found or missed as any mount of it would. */
export function volumeOfBase(paths: StatePaths, directory: string): boolean {
  const identity = identityOf(directory);
  const wanted = { base: directory, mountpoint: directory, identity };
  const found = findForDirectory(readRegistry(paths), wanted, (path) =>
    identity === undefined ? 'gone' : earlierPathLeads(path, identity),
  );
  return found.kind !== 'none';
}

/** The volume that was mounted there last. */
export function volumeMountedAt(paths: StatePaths, directory: string): KnownVolume | undefined {
  const entries = byLastUse(readRegistry(paths)).filter(
    ({ mountpoints, isForgotten }) => isForgotten !== true && mountpoints.includes(directory),
  );
  for (const entry of entries) {
    const volume = presentPath(entry);
    if (hasVolume(volume)) return { volume, base: entry.base ?? undefined };
  }
  return undefined;
}
