/**
 * Which volume a mount takes: the one that is requested, the one that is known
 * for the directory, or a new one.
 *
 * What must hold: a volume that is known and can't be found now is never
 * replaced by a new one, unless a person asks for a new one.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { absolutePath } from '../../lib/byte-paths.js';
import { CommandError } from '../../lib/errors.js';
import { type MountEntry, readMountTable } from '../mount/mount-table.js';
import { slugOf, type StatePaths, volumesDirectory } from '../mount/paths.js';
import { type DirectoryIdentity, identityOf } from './directory-identity.js';
import { whyAbsent } from './disk.js';
import { directoryPath, findForDirectory, type Found } from './lookup.js';
import { thisMachine } from './machine.js';
import { earlierPathLeads } from './register.js';
import {
  hasVolume,
  presentPath,
  readRegistry,
  type VolumeEntry,
  volumeKey,
  volumePathOf,
} from './registry.js';

export interface PlaceRequest {
  base: string | undefined;
  mountpoint: string;
  /** Absent: whichever is known for the directory. */
  volume: string | undefined;
  /** A new volume, whatever is known. */
  isNew: boolean;
  /** Goes on with a volume although the directory is another one. */
  reattach: boolean;
}

export interface VolumePlace {
  volume: string;
  /** The volume exists; its UUID as far as it is known. Null: it is to be made. */
  known: { uuid: string | null } | null;
  /** Of the base, or of the mountpoint where there is no base. */
  directory: DirectoryIdentity | null;
  notes: string[];
}

/** Throws CommandError volume-missing, base-mismatch, directory-unsure, volume-exists. */
export function volumePlace(request: PlaceRequest, paths: StatePaths): VolumePlace {
  const { base, mountpoint } = request;
  const identity = identityOf(base ?? mountpoint);
  const place = { directory: identity ?? null, notes: [] as string[] };
  const entries = readRegistry(paths);
  if (request.volume !== undefined) {
    return {
      ...place,
      ...requestedVolume(volumePathOf(absolutePath(request.volume)), entries, request),
    };
  }
  if (request.isNew) {
    return { ...place, volume: freePlace(paths, request, entries), known: null };
  }
  const found = findForDirectory(entries, { base, mountpoint, identity }, (path) =>
    identity === undefined ? 'gone' : earlierPathLeads(path, identity),
  );
  const entry = entryToTake(found, request);
  if (entry === undefined && hasNameless(defaultPlace(paths, request), entries)) {
    return { ...place, volume: defaultPlace(paths, request), known: { uuid: null } };
  }
  if (entry === undefined) {
    return { ...place, volume: freePlace(paths, request, entries), known: null };
  }
  const volume = presentPath(entry);
  if (!hasVolume(volume)) throw volumeMissing(entry, found.kind === 'known' ? found.others : []);
  return {
    ...place,
    volume,
    known: { uuid: entry.uuid },
    notes: notesOn(found, request, entry),
  };
}

function requestedVolume(
  volume: string,
  entries: readonly VolumeEntry[],
  request: PlaceRequest,
): Pick<VolumePlace, 'volume' | 'known'> {
  if (hasVolume(volume)) {
    if (!request.isNew) return { volume, known: { uuid: null } };
    throw new CommandError('volume-exists', 'EEXIST', `there is a volume in ${volume} already`);
  }
  const known = entries.find((entry) => entry.volume === volume && entry.isForgotten !== true);
  if (known !== undefined && !request.isNew) throw volumeMissing(known, []);
  return { volume, known: null };
}

/** Undefined: a new volume. */
function entryToTake(found: Found, { base, reattach }: PlaceRequest): VolumeEntry | undefined {
  switch (found.kind) {
    case 'none':
      return undefined;
    case 'known':
      return found.entry;
    case 'replaced':
      if (!reattach && hasVolume(presentPath(found.entry))) throw replaced(found.entry);
      return found.entry;
    case 'unsure':
      throw unsure(found.entry, base ?? '');
  }
}

function notesOn(found: Found, { base, mountpoint }: PlaceRequest, entry: VolumeEntry): string[] {
  const notes: string[] = [];
  const directory = base ?? mountpoint;
  const { machine } = entry;
  if (found.kind !== 'known') return notes;
  if (found.movedFrom !== undefined) {
    notes.push(
      `${directory} was ${found.movedFrom} when it was mounted last: its volume moves along`,
    );
  } else if (entry.base !== null && entry.base !== directory) {
    notes.push(`${directory} is the same directory as ${entry.base}, and has its volume`);
  }
  const others = found.others.filter((other) => other.volume !== entry.volume);
  if (others.length > 0) {
    notes.push(
      `${directory} has ${others.length + 1} volumes; this is the one used last ` +
        `(the others: ${others.map(({ volume }) => volume).join(', ')}; --volume PATH takes one)`,
    );
  }
  if (machine !== null && machine.id !== thisMachine().id) {
    notes.push(`the volume was last used on another machine, ${machine.host}`);
  }
  return notes;
}

/**
 * A volume lies at the default place, and nothing tells what directory it belongs to: it was made
 * by a version that wrote down nothing else, or it is damaged.
 */
function hasNameless(place: string, entries: readonly VolumeEntry[]): boolean {
  const at = entries.filter(({ volume }) => volume === place);
  const isNameless = ({ base, mountpoints, isForgotten }: VolumeEntry): boolean =>
    base === null && mountpoints.length === 0 && isForgotten !== true;
  return hasVolume(place) && at.every(isNameless);
}

function defaultPlace(paths: StatePaths, { base, mountpoint }: PlaceRequest): string {
  return join(volumesDirectory(paths), slugOf(volumeKey(base, mountpoint)));
}

/** The default place, or the first one beside it that is free. */
function freePlace(
  paths: StatePaths,
  request: PlaceRequest,
  entries: readonly VolumeEntry[],
): string {
  const place = defaultPlace(paths, request);
  for (let count = 1; ; count++) {
    const path = count === 1 ? place : `${place}-${count}`;
    if (!hasVolume(volumePathOf(path)) && !entries.some(({ volume }) => volume === path))
      return path;
  }
}

/** `2026-11-30 10:00 UTC` */
function utcMinute(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** The error for a known volume that is not where it was. */
export function volumeMissing(
  entry: VolumeEntry,
  others: readonly VolumeEntry[],
  table: readonly MountEntry[] = readMountTable(),
): CommandError {
  const { volume, lastUsedMs, machine, disk } = entry;
  const directory = directoryPath(entry);
  const used = lastUsedMs === null ? '' : `, last used ${utcMinute(lastUsedMs)}`;
  const host =
    machine === null || machine.id === thisMachine().id ? '' : ` on the machine ${machine.host}`;
  const absent = whyAbsent(disk, table);
  const why = absent === undefined ? whyGone(volume) : absent;
  const there = others.filter((other) => hasVolume(presentPath(other)));
  const ways = [
    absent === undefined ? undefined : 'to go on with it: mount that file system, and try again',
    `if it lies elsewhere now: shadowfs volume move --moved ${volume} PATH`,
    ...there.map((other) => `another volume of the directory: --volume ${presentPath(other)}`),
    directory === undefined
      ? undefined
      : `to begin a new history: shadowfs mount --new ${directory}`,
    `to strike it off the list: shadowfs volume forget ${volume}`,
  ].filter((way) => way !== undefined);
  const whose = directory === undefined ? 'the volume' : `the volume of ${directory}`;
  return new CommandError(
    'volume-missing',
    'ENOENT',
    `${whose} is missing: ${volume}${used}${host}; ${why}\n  ${ways.join('\n  ')}`,
    { volumePath: volume, directory: directory ?? null, lastUsedMs, disk, uuid: entry.uuid },
  );
}

function whyGone(volume: string): string {
  return existsSync(volume) ? `there is no volume in ${volume} now` : `${volume} does not exist`;
}

function replaced(entry: VolumeEntry): CommandError {
  const { base, volume, directoryDisk } = entry;
  const absent = whyAbsent(directoryDisk, readMountTable());
  const why = absent === undefined ? '' : `; ${absent}`;
  return new CommandError(
    'base-mismatch',
    'EINVAL',
    `${base} is another directory than the one whose history ${volume} has ` +
      `(it was replaced, or made anew)${why}\n` +
      `  to go on with that history over the directory as it is now: shadowfs mount -o reattach ${base}\n` +
      `  to begin a new one and keep that volume: shadowfs mount --new ${base}`,
    { volumePath: volume, directory: base },
  );
}

function unsure(entry: VolumeEntry, base: string): CommandError {
  const volume = presentPath(entry);
  return new CommandError(
    'directory-unsure',
    'EINVAL',
    `${base} may be ${entry.base}, renamed: the inode's number is the same, and the file system ` +
      'keeps no birth times that would tell\n' +
      `  if it is: --volume ${volume}\n  if it is not: --new`,
    { volumePath: volume, directory: entry.base },
  );
}
