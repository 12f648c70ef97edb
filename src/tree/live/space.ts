/** fallocate and statfs: what can be promised about space. */
import { MAX_FILE_SIZE } from '../../format/records/tables.js';
import { FsError } from '../../lib/errors.js';
import type { StatFs } from '../operations.js';
import type { TreeVolume } from '../tree-volume.js';

const FALLOC_KEEP_SIZE = 0x01;
const FALLOC_PUNCH_HOLE = 0x02;
const FALLOC_ZERO_RANGE = 0x10;

const UNIT_BYTES = 4096;
/** The number of files is limited only by space. */
const FILES = 2 ** 32;

/**
 * fallocate of a live file. Nothing is set aside for a plain allocation, since
 * a later write goes to a new place anyway; it fails when the space is not
 * there now. Throws ENOSPC, EFBIG, EOPNOTSUPP.
 */
export function allocate(
  volume: TreeVolume,
  ino: number,
  offset: number,
  length: number,
  mode: number,
): void {
  const keepSize = (mode & FALLOC_KEEP_SIZE) !== 0;
  const what = mode & ~FALLOC_KEEP_SIZE;
  if (what !== 0 && what !== FALLOC_PUNCH_HOLE && what !== FALLOC_ZERO_RANGE) {
    throw new FsError('EOPNOTSUPP', 'fallocate');
  }
  if (offset + length > MAX_FILE_SIZE) throw new FsError('EFBIG', 'fallocate');
  if (what === 0 && length > volume.space().freeBytes) throw new FsError('ENOSPC', 'fallocate');
  const inode = volume.inodes.forChange(ino);
  if (what !== 0) volume.data.punch(inode, offset, length);
  volume.data.touch(inode);
  if (keepSize || what === FALLOC_PUNCH_HOLE) return;
  const size = offset + length;
  if (inode.size < size) volume.setAttributes(ino, { size });
}

/**
 * Under a quota the size is the quota, whatever is used; what can't be had of the rest (a reserve, or
 * a disk that is fuller) is free, but not available, as root's blocks of other file systems.
 */
export function statFsOf(space: {
  usedBytes: number;
  freeBytes: number;
  quotaBytes?: number;
}): StatFs {
  const available = Math.floor(space.freeBytes / UNIT_BYTES);
  const used = Math.ceil(space.usedBytes / UNIT_BYTES);
  const quota = Math.floor((space.quotaBytes ?? 0) / UNIT_BYTES);
  const blocks = Math.max(quota, used + available);
  return {
    blocks,
    bfree: blocks - used,
    bavail: available,
    files: FILES,
    ffree: FILES,
    bsize: UNIT_BYTES,
    namelen: 255,
  };
}
