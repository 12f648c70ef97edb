/**
 * The volumes that this state directory knows: one small JSON file for each, in
 * `registry`, named by the volume's UUID and replaced as a whole. Here they are
 * read; `registry-changes.ts` changes them, and loads what most commands do without.
 *
 * Older versions had a file for each base path, `{key, volume}`. Such a file
 * counts as an entry whose volume has not been looked at; `takeIn`
 * (take-in.ts) replaces it, and takes in volumes at the default place that no
 * entry names.
 *
 * Doors: adopt-volume, delete-volume, find-volume, known-volume, list-volumes, move-volume,
 *   register, registry, set-options, take-in, volume-facts.
 * Doors inside daemon/: directory-identity, volume-place.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fsPath, hasRawBytes, shownName } from '../../lib/byte-text.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import type { StatePaths } from '../mount/paths.js';
import type { DirectoryIdentity } from './directory-identity.js';
import type { Disk } from './disk.js';
import type { Machine } from './machine.js';

export interface VolumeEntry {
  /** The name of the entry's file, without `.json`. */
  id: string;
  /** Null: an older version's entry, whose volume has not been looked at since. */
  uuid: string | null;
  /** The volume's directory. */
  volume: string;
  /** Null: the volume has no base. */
  base: string | null;
  /** Where it was mounted, newest first. */
  mountpoints: string[];
  /** Of the base, or of the last mountpoint when there is no base. */
  directory: DirectoryIdentity | null;
  /** Where the directory lay. */
  directoryDisk: Disk | null;
  /** Where the volume lay. */
  disk: Disk | null;
  /** Where it was used last. */
  machine: Machine | null;
  addedMs: number;
  lastUsedMs: number | null;
  /** When it was last used: what its files took on disk, and its snapshots. */
  sizeBytes: number | null;
  snapshots: number | null;
  /** `volume forget`: the data stays, and no command finds it but by its path. */
  isForgotten?: true;
  /** A move that has begun: where it goes. */
  moveTo?: string;
  /** Where it lay before a move by copying, until what is left there is gone. */
  leftover?: string;
}

export const FORMAT = 2;
const SUFFIX = '.json';

export function directoryOf(paths: StatePaths): string {
  return join(paths.stateDirectory, 'registry');
}

export function filePath(paths: StatePaths, id: string): string {
  return join(directoryOf(paths), id + SUFFIX);
}

/** Every entry, forgotten ones included. `damaged` gets the files that can't be read. */
export function readRegistry(
  paths: StatePaths,
  damaged: (path: string, why: string) => void = () => undefined,
): VolumeEntry[] {
  let names: string[];
  try {
    names = readdirSync(directoryOf(paths));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw unusable(paths, error);
  }
  const entries: VolumeEntry[] = [];
  for (const name of names) {
    if (!name.endsWith(SUFFIX)) continue;
    const path = join(directoryOf(paths), name);
    try {
      entries.push(readEntry(path, name.slice(0, -SUFFIX.length)));
    } catch (error) {
      // Another command may have removed it just now.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') damaged(path, messageOf(error));
    }
  }
  return entries;
}

function readEntry(path: string, id: string): VolumeEntry {
  const stored: unknown = JSON.parse(readFileSync(path, 'utf8'));
  if (typeof stored !== 'object' || stored === null) throw new Error('it is no entry');
  const { format, ...rest } = stored as Record<string, unknown>;
  const { volume, key } = rest;
  if (typeof volume !== 'string') throw new Error('it names no volume');
  if (format === FORMAT) return { ...(rest as unknown as VolumeEntry), id };
  if (format !== undefined) throw new Error(`its format is ${String(format)}, not ${FORMAT}`);
  if (typeof key !== 'string') throw new Error('it names no directory');
  return ofOlderVersion(id, key, volume, statSync(path).mtimeMs);
}

/** A volume lies at the path. Does not load the store, which most commands do without. */
export function hasVolume(path: string): boolean {
  return existsSync(fsPath(join(path, 'data.mdb')));
}

/** Where the entry's volume lies, also after a move that was cut short. */
export function presentPath({ volume, moveTo }: VolumeEntry): string {
  return moveTo !== undefined && !hasVolume(volume) && hasVolume(moveTo) ? moveTo : volume;
}

/** An entry that a move was cut short at. */
export function isMoving({ moveTo, leftover }: VolumeEntry): boolean {
  return moveTo !== undefined || leftover !== undefined;
}

/** The path as it is. Throws CommandError: LMDB opens no path with bytes that are not UTF-8. */
export function volumePathOf(path: string): string {
  if (!hasRawBytes(path)) return path;
  throw new CommandError(
    'bad-option',
    'EINVAL',
    `a volume can't lie at ${shownName(path)}: its path must be UTF-8 (the mountpoint's need not)`,
  );
}

/** The key by which default places are named. Pure. */
export function volumeKey(base: string | undefined, mountpoint: string): string {
  return base ?? NO_BASE_KEY + mountpoint;
}

const NO_BASE_KEY = 'no-base:';

/** Pure. */
export function ofOlderVersion(
  id: string,
  key: string,
  volume: string,
  writtenMs: number,
): VolumeEntry {
  const isOverNothing = key.startsWith(NO_BASE_KEY);
  return {
    id,
    uuid: null,
    volume,
    base: isOverNothing ? null : key,
    mountpoints: isOverNothing ? [key.slice(NO_BASE_KEY.length)] : [],
    directory: null,
    directoryDisk: null,
    disk: null,
    machine: null,
    addedMs: Math.floor(writtenMs),
    // The file was written at each mount.
    lastUsedMs: Math.floor(writtenMs),
    sizeBytes: null,
    snapshots: null,
  };
}

export function unusable(paths: StatePaths, error: unknown): CommandError {
  return new CommandError(
    'state-unusable',
    'EACCES',
    `the list of volumes in ${directoryOf(paths)} can't be used: ${messageOf(error)}`,
  );
}
