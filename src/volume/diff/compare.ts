/** What differs between two inodes, each in its own view: for `diff`. */
import { FsError } from '../../lib/errors.js';
import { areSameClips } from '../../format/clips.js';
import { isSameGiven } from '../../format/given.js';
import { type BlockSource, isSameVersion } from '../files/block-map.js';
import type { Inode } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';

export type DiffDetail =
  | 'type'
  | 'content'
  | 'target'
  | 'device'
  | 'mode'
  | 'owner'
  | 'times'
  | 'xattr'
  | 'link'
  | 'replaced';

/** Blocks looked up, and bytes compared, at a time. */
const PIECE_BLOCKS = 64;

/**
 * All differences, in a fixed order. File content is compared byte by byte
 * unless both sides are the same stored block.
 */
export function compareInodes(
  volume: ReadableVolume,
  from: View,
  before: Inode,
  to: View,
  after: Inode,
): DiffDetail[] {
  const details: DiffDetail[] = [];
  if (before.mode >>> 12 !== after.mode >>> 12) return ['type'];
  if (after.isRegular && !isSameContent(volume, from, before, to, after)) details.push('content');
  if (before.target !== after.target) details.push('target');
  if (before.rdev !== after.rdev) details.push('device');
  if (before.mode !== after.mode) details.push('mode');
  if (before.uid !== after.uid || before.gid !== after.gid) details.push('owner');
  const isSameTime = before.mtimeS === after.mtimeS && before.mtimeNs === after.mtimeNs;
  // The times of a directory change with its names, which are reported anyway.
  if (!isSameTime && !after.isDirectory) details.push('times');
  if (!hasSameAttributes(volume, from, before, to, after)) details.push('xattr');
  return details;
}

function isSameContent(
  volume: ReadableVolume,
  from: View,
  before: Inode,
  to: View,
  after: Inode,
): boolean {
  if (before.size !== after.size) return false;
  if (before.size === 0) return true;
  if (before.ino === after.ino && hasSameData(before, after)) return true;
  const { blockSize } = volume.options;
  const count = Math.ceil(before.size / blockSize);
  const room = PIECE_BLOCKS * blockSize;
  const left = Buffer.alloc(Math.min(before.size, room));
  const right = Buffer.alloc(left.length);
  for (let first = 0; first < count; first += PIECE_BLOCKS) {
    const last = Math.min(first + PIECE_BLOCKS, count) - 1;
    const differ = differingBlocks(volume, from, before, to, after, first, last);
    if (!differ.includes(true)) continue;
    const offset = first * blockSize;
    const length = Math.min(room, before.size - offset);
    try {
      volume.read(from, before, offset, length, left, 0);
      volume.read(to, after, offset, length, right, 0);
    } catch (error) {
      // Unreadable bytes can't be called equal.
      if (error instanceof FsError && error.code === 'EIO') return false;
      throw error;
    }
    if (left.compare(right, 0, length, 0, length) !== 0) return false;
  }
  return true;
}

/** True when no block and no clip was written between the two versions of one inode. */
function hasSameData(before: Inode, after: Inode): boolean {
  if (before.dataLayer !== after.dataLayer || !isSameGiven(before.given, after.given)) return false;
  return areSameClips(before.clips, after.clips);
}

/** Of the blocks first … last: which are not the same stored block, or the same place of the base. */
export function differingBlocks(
  volume: ReadableVolume,
  from: View,
  before: Inode,
  to: View,
  after: Inode,
  first: number,
  last: number,
): boolean[] {
  const left = volume.blocks.sources(from, before, first, last);
  const right = volume.blocks.sources(to, after, first, last);
  const [ours, theirs] = [before.bytesInBase, after.bytesInBase];
  const isSameBase =
    ours !== undefined && ours.path === theirs?.path && ours.hostInode === theirs.hostInode;
  const isSame = (a: BlockSource, b: BlockSource): boolean => {
    if (a.where === 'stored') return before.ino === after.ino && isSameVersion(a, b);
    if (a.where === 'base') return b.where === 'base' && isSameBase;
    if (a.where === 'memory') return false;
    return b.where === 'hole' || b.where === 'none';
  };
  return left.map((source, i) => !isSame(source, right[i] as BlockSource));
}

function hasSameAttributes(
  volume: ReadableVolume,
  from: View,
  before: Inode,
  to: View,
  after: Inode,
): boolean {
  const names = attributeNames(volume, from, before);
  const others = attributeNames(volume, to, after);
  if (names.join('\0') !== others.join('\0')) return false;
  return names.every((name) => {
    const value = volume.readAttribute(from, before, name);
    const other = volume.readAttribute(to, after, name);
    return (
      value === other ||
      (value !== undefined && other !== undefined && Buffer.compare(value, other) === 0)
    );
  });
}

/** Sorted. A missing base file has none. */
function attributeNames(volume: ReadableVolume, view: View, inode: Inode): string[] {
  try {
    return volume.listAttributes(view, inode).sort();
  } catch (error) {
    if (error instanceof FsError && error.code === 'ENOENT') return [];
    throw error;
  }
}
