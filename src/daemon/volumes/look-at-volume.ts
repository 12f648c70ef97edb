/**
 * What can be seen of one volume now. May wait for ever where a file system does
 * not answer: see `look-elsewhere.ts`.
 */
import { CommandError } from '../../lib/errors.js';
import { readOwner } from '../../store/owner.js';
import type { MountRecord } from '../mount/mount-record.js';
import { MOUNT_TYPE, mountAt, type MountEntry } from '../mount/mount-table.js';
import { compareIdentities, identityOf } from './directory-identity.js';
import { whyAbsent } from './disk.js';
import { directoryPath } from './lookup.js';
import { thisMachine } from './machine.js';
import { sizeOnDisk } from './register.js';
import { hasVolume, presentPath, type VolumeEntry } from './registry.js';
import { readFacts } from './volume-facts.js';

/**
 * `missing`: the volume is not where it was. `damaged`: it is there and can't be
 * read. `orphaned`: its directory is gone, or is another one. `unreachable`: it
 * lies on a file system that does not answer, or its directory does.
 */
export type VolumeState =
  | 'mounted'
  | 'in-use'
  | 'unmounted'
  | 'missing'
  | 'damaged'
  | 'orphaned'
  | 'unreachable'
  | 'forgotten';

export interface ListedVolume {
  uuid: string | null;
  state: VolumeState;
  /** What is wrong with it. */
  problem: string | null;
  /** The base, or the last mountpoint when there is no base. */
  directory: string | null;
  base: string | null;
  /** Where it is mounted now; of several mounts, the first. */
  mountpoint: string | null;
  mountpoints: string[];
  volumePath: string;
  /** What its files take on disk; for a missing one, when it was last used. */
  sizeBytes: number | null;
  snapshotCount: number | null;
  addedMs: number;
  lastUsedMs: number | null;
  /** Where it was last used, if that was another machine. */
  host: string | null;
}

type Seen = Pick<ListedVolume, 'state' | 'problem'> &
  Partial<Pick<ListedVolume, 'snapshotCount' | 'mountpoint' | 'mountpoints' | 'lastUsedMs'>>;

/** `table`: what is mounted; `records`: of mounts that are served. */
export function lookAt(
  entry: VolumeEntry,
  table: readonly MountEntry[],
  records: readonly MountRecord[],
): ListedVolume {
  const volume = presentPath(entry);
  const seen = stateOf(entry, volume, table, records);
  const sizeBytes = seen.state === 'missing' ? null : sizeOnDisk(volume);
  return listed(entry, volume, seen, sizeBytes);
}

/** Of a volume that nobody can look at now: what was known when it was last used. */
export function unseen(
  entry: VolumeEntry,
  problem: string,
  table: readonly MountEntry[],
  records: readonly MountRecord[],
): ListedVolume {
  const { volume } = entry;
  const mounted = mountsOf(volume, table, records);
  const { snapshots: snapshotCount } = entry;
  return listed(
    entry,
    volume,
    mounted === undefined
      ? { state: 'unreachable', problem }
      : { state: 'mounted', problem, snapshotCount, ...mounted },
    null,
  );
}

function listed(
  entry: VolumeEntry,
  volume: string,
  seen: Seen,
  sizeBytes: number | null,
): ListedVolume {
  const { machine } = entry;
  const isElsewhere = machine !== null && machine.id !== thisMachine().id;
  return {
    uuid: entry.uuid,
    directory: directoryPath(entry) ?? null,
    base: entry.base,
    mountpoint: null,
    mountpoints: [],
    volumePath: volume,
    sizeBytes: sizeBytes ?? entry.sizeBytes,
    snapshotCount: entry.snapshots,
    addedMs: entry.addedMs,
    lastUsedMs: entry.lastUsedMs,
    host: isElsewhere ? machine.host : null,
    ...seen,
    ...(entry.isForgotten === true && seen.state !== 'mounted' && { state: 'forgotten' }),
  };
}

/** Undefined: it is not mounted. */
function mountsOf(
  volume: string,
  table: readonly MountEntry[],
  records: readonly MountRecord[],
): Pick<ListedVolume, 'mountpoint' | 'mountpoints'> | undefined {
  const mountpoints = records
    .filter((record) => record.volume === volume)
    .sort((a, b) => a.startedMs - b.startedMs)
    .map(({ mountpoint }) => mountpoint)
    .filter((mountpoint) => mountAt(table, mountpoint)?.type === MOUNT_TYPE);
  const [mountpoint] = mountpoints;
  return mountpoint === undefined ? undefined : { mountpoint, mountpoints };
}

function stateOf(
  entry: VolumeEntry,
  volume: string,
  table: readonly MountEntry[],
  records: readonly MountRecord[],
): Seen {
  if (!hasVolume(volume)) {
    const problem = whyAbsent(entry.disk, table) ?? `there is no volume in ${volume}`;
    return { state: 'missing', problem };
  }
  const mounted = mountsOf(volume, table, records);
  let snapshotCount: number;
  try {
    const facts = readFacts(volume);
    snapshotCount = facts.snapshots;
    if (entry.uuid !== null && facts.uuid !== entry.uuid) {
      return { state: 'missing', problem: `another volume (${facts.uuid}) lies in ${volume} now` };
    }
  } catch (error) {
    if (mounted === undefined) return unreadable(volume, error);
    snapshotCount = entry.snapshots ?? 0;
  }
  if (mounted !== undefined) {
    return { state: 'mounted', problem: null, snapshotCount, ...mounted, lastUsedMs: Date.now() };
  }
  const problem = whyOrphaned(entry, table);
  return {
    state: problem === undefined ? 'unmounted' : 'orphaned',
    problem: problem ?? null,
    snapshotCount,
  };
}

function unreadable(volume: string, error: unknown): Seen {
  if (!(error instanceof CommandError)) throw error;
  const problem = error.message;
  if (error.code !== 'volume-in-use') return { state: 'damaged', problem };
  return { state: 'in-use', problem, mountpoint: readOwner(volume)?.mountpoint ?? null };
}

function whyOrphaned(
  { base, directory, directoryDisk }: VolumeEntry,
  table: readonly MountEntry[],
): string | undefined {
  // A mount in place covers the directory.
  if (base === null || mountAt(table, base)?.type === MOUNT_TYPE) return undefined;
  const now = identityOf(base);
  const isOther =
    now !== undefined && directory !== null && compareIdentities(directory, now) === 'other';
  if (now !== undefined && !isOther) return undefined;
  const what = now === undefined ? `${base} does not exist` : `${base} is another directory now`;
  const absent = whyAbsent(directoryDisk, table);
  return absent === undefined ? what : `${what}: ${absent}`;
}
