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
import type { BaseStat } from '../../base/base-directory.js';
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
  if (own !== undefined) return own.base?.isStored === true ? [] : [own];
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
    const { base: ref } = inode;
    if (ref === undefined || !readsBytes(volume, inode)) continue;
    const { path } = ref;
    let stat: BaseStat | undefined;
    try {
      stat = volume.base?.lstat(path);
    } catch (error) {
      return unreadable(path, error);
    }
    if (stat === undefined) return { path, reason: 'vanished' };
    if (inode.isDirectory) {
      if (stat.hostInode !== ref.hostInode) return { path, reason: 'changed' };
    } else if (!isUnchanged(ref, stat)) {
      // What nobody has touched is taken as it is now.
      const isSame = stat.mode >>> 12 === inode.mode >>> 12 && stat.hostInode === ref.hostInode;
      if (!isSame || !isOnlyInBaseLayer(volume, ino)) return { path, reason: 'changed' };
    }
  }
  return undefined;
}

/** Names or bytes, other than what the record itself says. */
function readsBytes(volume: ReadableVolume, inode: Inode): boolean {
  return inode.isDirectory || volume.blocks.baseEnd(inode) > 0;
}

export function unreadable(path: string, error: unknown): Obstacle {
  if (!(error instanceof FsError)) throw error;
  return { path, reason: 'unreadable', errno: error.code };
}

export function isUnchanged(ref: BaseReference, stat: BaseStat): boolean {
  return (
    ref.hostInode === stat.hostInode &&
    ref.size === stat.size &&
    ref.mtimeS === stat.mtimeS &&
    ref.mtimeNs === stat.mtimeNs &&
    ref.ctimeS === stat.ctimeS &&
    ref.ctimeNs === stat.ctimeNs
  );
}
