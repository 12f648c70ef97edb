/**
 * Base files that others have changed since the volume made records of them
 * (rule F11): what the base has now must never be mixed with what such a record
 * holds.
 */
import { decodeInode } from '../../format/records/inode-record.js';
import { inodePlace, layerOf, prefixEnd } from '../../format/records/keys.js';
import { BASE_LAYER, ROOT_FILESET, TABLE } from '../../format/records/tables.js';
import type { BaseReference } from '../../base/base-reference.js';
import { isOfState } from '../../base/base-stat.js';
import { Inode } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';

/**
 * A stored record of the file refers to another state than `now`. Only for a file without a record
 * in the base layer: an apply changes the state itself.
 */
export function hasOtherStates(volume: ReadableVolume, ino: number, now: BaseReference): boolean {
  const kept = { ...now, isOther: true };
  const place = inodePlace(ROOT_FILESET, ino);
  for (const { key, value } of volume.store.range(TABLE.inodes, place, prefixEnd(place), {})) {
    if (layerOf(TABLE.inodes, key) === BASE_LAYER) continue;
    const inode = new Inode(ino);
    if (!decodeInode(Buffer.from(value), inode, () => `inode ${ino}`)) continue;
    if (!inode.isDirectory && inode.base !== undefined && !isOfState(kept, inode.base)) return true;
  }
  return false;
}
