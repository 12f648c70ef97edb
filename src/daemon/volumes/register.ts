/**
 * Notes each use of a volume in the registry: before it is mounted, so that no
 * volume is in use that the list does not name, and when its mount has ended.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { realPath } from '../../lib/byte-paths.js';
import { readMountTable } from '../mount/mount-table.js';
import type { StatePaths } from '../mount/paths.js';
import {
  compareIdentities,
  type DirectoryIdentity,
  identityOf,
  isOneDirectory,
} from './directory-identity.js';
import { type Disk, diskOf } from './disk.js';
import { thisMachine } from './machine.js';
import { hasVolume, presentPath, type VolumeEntry } from './registry.js';
import { changeRegistry, type LockedRegistry } from './registry-changes.js';

const BLOCK_BYTES = 512;

export interface UsedVolume {
  uuid: string;
  volume: string;
  base: string | null;
  /** Null: it is not mounted, but received into, or adopted. */
  mountpoint: string | null;
  /** Of the base, or of the mountpoint; taken before a mount covered it. */
  directory: DirectoryIdentity | null;
  snapshots: number;
  /** It was made just now. */
  isNew: boolean;
}

/** Throws CommandError `state-unusable`, `registry-busy`. */
export function registerUse(paths: StatePaths, used: UsedVolume, nowMs = Date.now()): VolumeEntry {
  const { uuid, volume, base, mountpoint, directory, snapshots } = used;
  const table = readMountTable();
  return changeRegistry(paths, (registry) => {
    const known = entryOf(registry, used);
    const path = base ?? mountpoint;
    const { isForgotten: _isForgotten, moveTo: _moveTo, ...rest } = known ?? newEntry(used, nowMs);
    const entry: VolumeEntry = {
      ...rest,
      id: known !== undefined && known.uuid !== null ? known.id : registry.freeId(uuid),
      uuid,
      volume,
      base,
      mountpoints: mountpointsOf(rest.mountpoints, mountpoint),
      directory: directory ?? rest.directory,
      directoryDisk: path === null ? rest.directoryDisk : (realDisk(table, path) ?? null),
      disk: realDisk(table, volume) ?? null,
      machine: thisMachine(),
      lastUsedMs: nowMs,
      sizeBytes: sizeOnDisk(volume),
      snapshots,
    };
    registry.put(entry);
    if (used.isNew) dropReplaced(registry, entry);
    // An older version's entry gets its lasting name.
    if (known !== undefined && known.id !== entry.id) registry.remove(known.id);
    if (base !== null && directory !== null) moveOthersAlong(registry, entry, base, directory);
    return entry;
  });
}

function mountpointsOf(before: readonly string[], mountpoint: string | null): string[] {
  if (mountpoint === null) return [...before];
  return [mountpoint, ...before.filter((one) => one !== mountpoint)];
}

function newEntry({ uuid, volume, base }: UsedVolume, nowMs: number): VolumeEntry {
  return {
    id: uuid,
    uuid,
    volume,
    base,
    mountpoints: [],
    directory: null,
    directoryDisk: null,
    disk: null,
    machine: null,
    addedMs: nowMs,
    lastUsedMs: null,
    sizeBytes: null,
    snapshots: null,
  };
}

/** The entry of the volume at that path, or of the volume that was moved there by hand. */
function entryOf(registry: LockedRegistry, { uuid, volume }: UsedVolume): VolumeEntry | undefined {
  const here = registry.entries.filter((entry) => presentPath(entry) === volume);
  return (
    here.find((entry) => entry.uuid === uuid) ??
    here.find((entry) => entry.uuid === null) ??
    registry.entries.find((entry) => entry.uuid === uuid && !hasVolume(presentPath(entry)))
  );
}

/** A volume that was made at the place of another, on the same disk: that one was deleted. */
function dropReplaced(registry: LockedRegistry, made: VolumeEntry): void {
  for (const { id, uuid, volume, disk } of registry.entries) {
    if (volume !== made.volume || uuid === made.uuid) continue;
    if (disk?.fsid === made.disk?.fsid) registry.remove(id);
  }
}

/** The directory was renamed: its other volumes belong to the new path, too. */
function moveOthersAlong(
  registry: LockedRegistry,
  used: VolumeEntry,
  base: string,
  directory: DirectoryIdentity,
): void {
  for (const entry of registry.entries) {
    if (entry.id === used.id || entry.base === null || entry.base === base) continue;
    if (entry.directory === null) continue;
    if (compareIdentities(entry.directory, directory) !== 'same') continue;
    if (earlierPathLeads(entry.base, directory) === 'gone') registry.put({ ...entry, base });
  }
}

/** What a directory's earlier path leads to now, seen from the directory. */
export function earlierPathLeads(
  path: string,
  directory: DirectoryIdentity,
): 'here' | 'twin' | 'gone' {
  const there = identityOf(path);
  if (there === undefined) return 'gone';
  if (isOneDirectory(there, directory)) return 'here';
  return compareIdentities(there, directory) === 'other' ? 'gone' : 'twin';
}

/** The mount of the volume has ended. */
export function registerEnd(
  paths: StatePaths,
  { uuid, volume }: { uuid: string; volume: string },
  snapshots: number | undefined,
  nowMs = Date.now(),
): void {
  changeRegistry(paths, (registry) => {
    const entry = registry.entries.find((one) => one.uuid === uuid && one.volume === volume);
    // Forgotten meanwhile.
    if (entry === undefined) return;
    registry.put({
      ...entry,
      lastUsedMs: nowMs,
      sizeBytes: sizeOnDisk(volume) ?? entry.sizeBytes,
      snapshots: snapshots ?? entry.snapshots,
    });
  });
}

function realDisk(table: ReturnType<typeof readMountTable>, path: string): Disk | undefined {
  try {
    return diskOf(table, realPath(path));
  } catch {
    return undefined;
  }
}

/** What the volume's files take on disk; null: they can't be seen. */
export function sizeOnDisk(volume: string): number | null {
  try {
    const files = readdirSync(volume).map((name) => statSync(join(volume, name)));
    // Room that a mount has had allocated behind the end of a file does not count.
    return files.reduce((sum, { size, blocks }) => sum + Math.min(size, blocks * BLOCK_BYTES), 0);
  } catch {
    return null;
  }
}
