/**
 * Which of the known volumes belongs to a directory. Pure: what the disks say
 * now comes in as functions.
 *
 * A base is found by what it is (its identity) before it is found by its path:
 * a directory that was renamed keeps its volume, and one that took the place of
 * another does not get that one's. A mountpoint over nothing has no content, so
 * there the path comes first.
 */
import { compareIdentities, type DirectoryIdentity, type Likeness } from './directory-identity.js';
import type { VolumeEntry } from './registry.js';

export interface Wanted {
  /** Absent: over nothing. */
  base: string | undefined;
  mountpoint: string;
  identity: DirectoryIdentity | undefined;
}

export type Found =
  | { kind: 'none' }
  /** `others`: the directory's other volumes. `movedFrom`: its path until now. */
  | { kind: 'known'; entry: VolumeEntry; others: VolumeEntry[]; movedFrom?: string }
  /** The path led to another directory when the volume was used. */
  | { kind: 'replaced'; entry: VolumeEntry }
  /** Perhaps the directory of that entry, renamed: its file system does not tell. */
  | { kind: 'unsure'; entry: VolumeEntry };

/** Newest use first. */
export function byLastUse(entries: readonly VolumeEntry[]): VolumeEntry[] {
  const used = ({ lastUsedMs, addedMs }: VolumeEntry): number => lastUsedMs ?? addedMs;
  return [...entries].sort((a, b) => used(b) - used(a));
}

/** The path by which people know the volume's directory; undefined: it has had none. */
export function directoryPath(entry: VolumeEntry): string | undefined {
  return entry.base ?? entry.mountpoints[0];
}

/**
 * What an entry's earlier path leads to now: the wanted directory (a bind mount),
 * another one that looks the same (a clone of the disk, a snapshot of a Btrfs
 * subvolume), or neither.
 */
export type EarlierPath = 'here' | 'twin' | 'gone';

export function findForDirectory(
  entries: readonly VolumeEntry[],
  wanted: Wanted,
  earlierPath: (path: string) => EarlierPath,
): Found {
  const listed = byLastUse(entries.filter(({ isForgotten }) => isForgotten !== true));
  return wanted.base === undefined
    ? findForMountpoint(listed, wanted)
    : findForBase(listed, wanted.base, wanted.identity, earlierPath);
}

function findForMountpoint(listed: readonly VolumeEntry[], wanted: Wanted): Found {
  const { mountpoint, identity } = wanted;
  const overNothing = listed.filter(({ base }) => base === null);
  const here = overNothing.filter(({ mountpoints }) => mountpoints.includes(mountpoint));
  const same = overNothing.filter(
    (entry) => !here.includes(entry) && likeness(entry, identity) === 'same',
  );
  return known(here, same) ?? known(same, [], true) ?? { kind: 'none' };
}

function findForBase(
  listed: readonly VolumeEntry[],
  base: string,
  identity: DirectoryIdentity | undefined,
  earlierPath: (path: string) => EarlierPath,
): Found {
  const overBase = listed.filter((entry) => entry.base !== null);
  const atPath = overBase.filter((entry) => entry.base === base);
  const elsewhere = overBase.filter((entry) => entry.base !== base);
  const withPath = (like: Likeness[], path: EarlierPath): VolumeEntry[] =>
    elsewhere.filter(
      (entry) => like.includes(likeness(entry, identity)) && earlierPath(entry.base ?? '') === path,
    );
  // An older version's entry has no identity: the volume's own record decides when it is opened.
  const fits = atPath.filter(
    (entry) => entry.directory === null || likeness(entry, identity) !== 'other',
  );
  const alsoHere = withPath(['same', 'like'], 'here');
  const moved = withPath(['same'], 'gone');
  const found = known(fits, [...alsoHere, ...moved]) ?? known(alsoHere, moved);
  if (found !== undefined) return found;
  const foundMoved = known(moved, [], true);
  if (foundMoved !== undefined) return foundMoved;
  const [replaced] = atPath;
  if (replaced !== undefined) return { kind: 'replaced', entry: replaced };
  const [unsure] = withPath(['like'], 'gone');
  return unsure === undefined ? { kind: 'none' } : { kind: 'unsure', entry: unsure };
}

/** The one used last is taken. */
function known(
  [entry, ...rest]: readonly VolumeEntry[],
  more: readonly VolumeEntry[],
  isMoved = false,
): Found | undefined {
  if (entry === undefined) return undefined;
  const path = isMoved ? directoryPath(entry) : undefined;
  const others = byLastUse([...rest, ...more]);
  return { kind: 'known', entry, others, ...(path !== undefined && { movedFrom: path }) };
}

function likeness({ directory }: VolumeEntry, identity: DirectoryIdentity | undefined): Likeness {
  if (directory === null || identity === undefined) return 'other';
  return compareIdentities(directory, identity);
}
