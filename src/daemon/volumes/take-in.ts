/**
 * Brings the registry up to date with what older versions left, and with what a
 * command that was killed could not write down: their files become entries, and
 * so do volumes at the default place that no entry names. Done before a mount and
 * before the list is shown; without anything to do it costs a look at two
 * directories.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readMountRecords } from '../mount/mount-record.js';
import { type StatePaths, volumesDirectory } from '../mount/paths.js';
import { storedIdentity } from './stored-identity.js';
import {
  hasVolume,
  isMoving,
  ofOlderVersion,
  presentPath,
  readRegistry,
  type VolumeEntry,
} from './registry.js';
import { changeRegistry, type LockedRegistry } from './registry-changes.js';
import type { VolumeFacts } from './volume-facts.js';

type ReadFacts = (volume: string) => VolumeFacts;

/**
 * `say` hears of a volume that can't be brought up to date now. Throws CommandError
 * `state-unusable`, `registry-busy`.
 */
export async function takeIn(paths: StatePaths, say: (message: string) => void): Promise<void> {
  if (readRegistry(paths).some(isMoving)) {
    const { settleMoves } = await import('./move-volume.js');
    await settleMoves(paths, say);
  }
  const entries = readRegistry(paths);
  const strays = straysOf(paths, entries);
  if (strays.length === 0 && !entries.some(isOld)) return;
  // The store is loaded only when needed.
  const { readFacts } = await import('./volume-facts.js');
  changeRegistry(paths, (registry) => {
    for (const entry of registry.entries.filter(isOld)) complete(registry, entry, readFacts);
    for (const volume of straysOf(paths, registry.entries)) {
      complete(registry, strayEntry(paths, volume), readFacts);
    }
  });
}

/** Of an older version, and its volume is there. */
function isOld(entry: VolumeEntry): boolean {
  return entry.uuid === null && hasVolume(presentPath(entry));
}

function straysOf(paths: StatePaths, entries: readonly VolumeEntry[]): string[] {
  const directory = volumesDirectory(paths);
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return [];
  }
  const known = new Set(
    entries.flatMap(({ volume, moveTo, leftover }) => [volume, moveTo, leftover]),
  );
  return names
    .map((name) => join(directory, name))
    .filter((path) => !known.has(path) && hasVolume(path));
}

function strayEntry(paths: StatePaths, volume: string): VolumeEntry {
  const usedMs = statSync(join(volume, 'data.mdb')).mtimeMs;
  const record = readMountRecords(paths).find((one) => one.volume === volume);
  const entry = ofOlderVersion('', record?.base ?? '', volume, usedMs);
  return { ...entry, base: null, mountpoints: record === undefined ? [] : [record.mountpoint] };
}

/** A volume that can't be read now stays as it is: whoever mounts it learns why. */
function complete(registry: LockedRegistry, entry: VolumeEntry, readFacts: ReadFacts): void {
  let facts: VolumeFacts;
  try {
    facts = readFacts(presentPath(entry));
  } catch {
    return;
  }
  const { base, uuid } = facts;
  const directory = base === undefined ? null : storedIdentity(base);
  registry.put({
    ...entry,
    id: registry.freeId(uuid),
    uuid,
    // An older entry's path is newer than the volume's own record.
    base: entry.base ?? base?.path ?? null,
    directory,
    addedMs: facts.createdMs ?? entry.addedMs,
    snapshots: facts.snapshots,
  });
  if (entry.id !== '') registry.remove(entry.id);
}
