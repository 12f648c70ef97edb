/**
 * The records that read from the base, found in the table itself: also those
 * that no name leads to. And what keeps a freeze from storing a file: the base
 * does not have it any more as the records know it.
 */
import { FsError } from '../../lib/errors.js';
import type { Work } from '../../lib/work.js';
import { decodeInode } from '../../format/records/inode-record.js';
import {
  afterKey,
  inodeKey,
  inodeOf,
  inodePlace,
  layerOf,
  prefixEnd,
} from '../../format/records/keys.js';
import {
  ALLOCATOR,
  BASE_LAYER,
  inodeNumber,
  MAX_LAYER,
  ROOT_FILESET,
  ROOT_INODE,
  TABLE,
} from '../../format/records/tables.js';
import type { BaseReference } from '../../base/base-reference.js';
import { type BaseStat, isSameState } from '../../base/base-stat.js';
import { Inode } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';

/** Records read between two pauses. */
const AT_ONCE = 128;

/** Stable words. */
export type ObstacleReason = 'changed' | 'vanished' | 'unreadable';

/** A file that can't be stored. */
export interface Obstacle {
  /** In the base, a byte string. */
  path: string;
  reason: ObstacleReason;
  /** Why it can't be read. */
  errno?: string;
}

/** Numbers that base files have: the root, derived ones, given ones. */
const RANGES = [
  [ROOT_INODE, ROOT_INODE + 1],
  [inodeNumber(ALLOCATOR.base, 0), inodeNumber(ALLOCATOR.base + 1, 0)],
  [inodeNumber(ALLOCATOR.baseids, 0), inodeNumber(ALLOCATOR.baseids + 1, 0)],
] as const;

/** Calls `visit` with each inode that has stored records, once. */
export function* eachBaseInode(
  volume: ReadableVolume,
  visit: (ino: number) => Work<void>,
): Work<void> {
  for (const [first, last] of RANGES) {
    const end = inodeKey(ROOT_FILESET, last, MAX_LAYER);
    for (let from = inodeKey(ROOT_FILESET, first, MAX_LAYER); ; ) {
      const range = volume.store.range(TABLE.inodes, from, end, { limit: AT_ONCE, keysOnly: true });
      const keys = [...range].map(({ key }) => Buffer.from(key));
      const inos = new Set(keys.map(inodeOf));
      for (const ino of inos) yield* visit(ino);
      const next = keys.at(-1);
      if (next === undefined || keys.length < AT_ONCE) break;
      from = afterKey(prefixEnd(inodePlace(ROOT_FILESET, inodeOf(next))));
      yield undefined;
    }
  }
}

/** The versions of an inode that say where the base has it; with the base layer's, that one only. */
export function referringTo(volume: ReadableVolume, ino: number): Inode[] {
  const own = volume.inodes.baseRecord(ino);
  if (own !== undefined) return own.base?.isStored === true || own.base?.isLost ? [] : [own];
  const place = inodePlace(ROOT_FILESET, ino);
  const found: Inode[] = [];
  for (const { key, value } of volume.store.range(TABLE.inodes, place, prefixEnd(place))) {
    const inode = new Inode(ino);
    if (!decodeInode(value, inode, () => `inode ${ino}`)) continue;
    inode.layer = layerOf(TABLE.inodes, key);
    if (inode.base !== undefined) found.push(inode);
  }
  return found;
}

/** Only the base layer has a record of it: every view sees the file as the base layer does. */
export function isOnlyInBaseLayer(volume: ReadableVolume, ino: number): boolean {
  const { open, closing } = volume.core;
  for (const txg of [open, closing]) {
    for (const { layer, inodes } of txg?.layers.values() ?? []) {
      if (layer !== BASE_LAYER && inodes.has(ino)) return false;
    }
  }
  const place = inodePlace(ROOT_FILESET, ino);
  const keys = volume.store.range(TABLE.inodes, place, prefixEnd(place), { keysOnly: true });
  return [...keys].every(({ key }) => layerOf(TABLE.inodes, key) === BASE_LAYER);
}

/** Why what the records of an inode read from the base can't be stored; undefined: it can. */
export function obstacleTo(
  volume: ReadableVolume,
  ino: number,
  records: readonly Inode[],
): Obstacle | undefined {
  for (const inode of records) {
    const obstacle = obstacleOf(volume, ino, inode);
    if (obstacle === undefined) continue;
    if (readsBytes(volume, inode) || isSeenUntouched(volume, ino)) return obstacle;
  }
  return undefined;
}

function obstacleOf(volume: ReadableVolume, ino: number, inode: Inode): Obstacle | undefined {
  const { base: ref } = inode;
  if (ref === undefined || !(inode.isDirectory || volume.blocks.baseEnd(inode) > 0)) {
    return undefined;
  }
  const { path } = ref;
  let stat: BaseStat | undefined;
  try {
    stat = volume.base?.lstat(path);
  } catch (error) {
    return unreadable(path, error);
  }
  if (stat === undefined) return { path, reason: 'vanished' };
  if (inode.isDirectory) {
    return stat.hostInode === ref.hostInode ? undefined : { path, reason: 'changed' };
  }
  if (isUnchanged(ref, stat)) return undefined;
  // What nobody has touched is taken as it is now.
  const isSame = stat.mode >>> 12 === inode.mode >>> 12 && stat.hostInode === ref.hostInode;
  return isSame && isOnlyInBaseLayer(volume, ino) ? undefined : { path, reason: 'changed' };
}

/** Names or bytes; a file of which every block was written needs nothing. */
function readsBytes(volume: ReadableVolume, inode: Inode): boolean {
  if (inode.isDirectory || inode.layer === 0 || !volume.layers.has(inode.layer)) return true;
  const count = volume.blocks.baseBlocks(inode);
  let next = 0;
  for (const { index } of volume.blocks.recorded(volume.viewAt(inode.layer), inode, 0, count)) {
    if (index !== next) return true;
    next++;
  }
  return next < count;
}

/** A snapshot or a branch has no record of it: it shows what the base has. */
function isSeenUntouched(volume: ReadableVolume, ino: number): boolean {
  const place = inodePlace(ROOT_FILESET, ino);
  const views = [...volume.core.lives(), ...volume.snapshots().map((one) => volume.viewOf(one))];
  return views.some((view) => {
    for (const changes of volume.core.pendingChanges(view)) {
      if (changes.inodes.has(ino)) return false;
    }
    return volume.newest(TABLE.inodes, place, view) === undefined;
  });
}

export function unreadable(path: string, error: unknown): Obstacle {
  if (!(error instanceof FsError)) throw error;
  return { path, reason: 'unreadable', errno: error.code };
}

export function isUnchanged(ref: BaseReference, stat: BaseStat): boolean {
  return ref.hostInode === stat.hostInode && isSameState(ref, stat);
}
