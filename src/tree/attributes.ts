/**
 * Inodes in the kernel's form, and the two rules about mode bits that the
 * kernel leaves to the file system. Pure.
 */
import { S_IFDIR, S_IFMT, S_ISGID, S_ISUID } from '../lib/file-mode.js';
import type { Inode } from '../volume/inode.js';
import type { Attributes, Entry } from './operations.js';
import type { Ino64 } from './snapshots/shadow-ino.js';

/**
 * st_blksize. It is the kernel's page size, whatever the volume's block size:
 * some kernels take it for the granularity of their page cache.
 */
const PREFERRED_IO_BYTES = 4096;

const S_IXGRP = 0o010;

/** The caller gives `st_ino`: it is the only difference between live and shadow nodes. */
export function attributesOf(inode: Inode, ino: Ino64, attrTimeoutS: number): Attributes {
  return {
    inoHigh: ino.high,
    inoLow: ino.low,
    mode: inode.mode,
    nlink: inode.nlink,
    uid: inode.uid,
    gid: inode.gid,
    rdev: inode.rdev,
    size: inode.size,
    blocks: Math.ceil(inode.allocated / 512),
    blksize: PREFERRED_IO_BYTES,
    atimeS: inode.atimeS,
    atimeNs: inode.atimeNs,
    mtimeS: inode.mtimeS,
    mtimeNs: inode.mtimeNs,
    ctimeS: inode.ctimeS,
    ctimeNs: inode.ctimeNs,
    btimeS: inode.btimeS,
    btimeNs: inode.btimeNs,
    attrTimeoutS,
  };
}

/** Attributes of a node that is not an inode of the volume. All four times are the same. */
export function madeUpAttributes(made: {
  ino: Ino64;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  size: number;
  timeS: number;
  timeNs: number;
  attrTimeoutS: number;
}): Attributes {
  return {
    inoHigh: made.ino.high,
    inoLow: made.ino.low,
    mode: made.mode,
    nlink: made.nlink,
    uid: made.uid,
    gid: made.gid,
    rdev: 0,
    size: made.size,
    blocks: 0,
    blksize: PREFERRED_IO_BYTES,
    atimeS: made.timeS,
    atimeNs: made.timeNs,
    mtimeS: made.timeS,
    mtimeNs: made.timeNs,
    ctimeS: made.timeS,
    ctimeNs: made.timeNs,
    btimeS: made.timeS,
    btimeNs: made.timeNs,
    attrTimeoutS: made.attrTimeoutS,
  };
}

const NO_ATTRIBUTES: Attributes = madeUpAttributes({
  ino: { high: 0, low: 0 },
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  size: 0,
  timeS: 0,
  timeNs: 0,
  attrTimeoutS: 0,
});

/** "No such name", which the kernel may cache for `entryTimeoutS`. */
export function negativeEntry(entryTimeoutS: number): Entry {
  return { nodeId: 0, entryTimeoutS, attr: NO_ATTRIBUTES };
}

/**
 * The mode without set-id bits, as after a change of owner or a write by a
 * caller who may not keep them.
 */
export function withoutSetId(mode: number): number {
  if ((mode & S_IFMT) === S_IFDIR) return mode;
  let left = mode & ~S_ISUID;
  if ((mode & S_IXGRP) !== 0) left &= ~S_ISGID;
  return left;
}

/**
 * Owner, and for directories mode, of a file that `who` makes in `parent`:
 * set-group-id is inherited.
 */
export function inherited(
  parent: Inode,
  who: { uid: number; gid: number },
  mode: number,
  isDirectory: boolean,
): { uid: number; gid: number; mode: number } {
  if ((parent.mode & S_ISGID) === 0) return { uid: who.uid, gid: who.gid, mode };
  return { uid: who.uid, gid: parent.gid, mode: isDirectory ? mode | S_ISGID : mode };
}
