/** Attributes in the package's form: unsigned 32-bit integers in a fixed order. Pure. */
import type { Attributes, StatFs } from '../tree/operations.js';

const STAT_INTS = 18;
const STATFS_INTS = 11;
const HALF = 2 ** 32;

function setLong(ints: Uint32Array, at: number, value: number): void {
  ints[at] = value % HALF;
  ints[at + 1] = Math.floor(value / HALF);
}

/** Whole milliseconds; times before 1970 can't be expressed. */
function milliseconds(s: number, ns: number): number {
  return Math.max(0, s * 1000 + Math.floor(ns / 1_000_000));
}

export function statArray(attr: Attributes, ino: number): Uint32Array {
  const ints = new Uint32Array(STAT_INTS);
  ints[0] = attr.mode;
  ints[1] = attr.uid;
  ints[2] = attr.gid;
  setLong(ints, 3, attr.size);
  ints[6] = attr.nlink;
  ints[7] = ino;
  ints[8] = attr.rdev;
  ints[9] = attr.blksize;
  setLong(ints, 10, attr.blocks);
  setLong(ints, 12, milliseconds(attr.atimeS, attr.atimeNs));
  setLong(ints, 14, milliseconds(attr.mtimeS, attr.mtimeNs));
  setLong(ints, 16, milliseconds(attr.ctimeS, attr.ctimeNs));
  return ints;
}

/** What a listing gives for a name: type and number. */
export function listedArray(type: number, ino: number): Uint32Array {
  const ints = new Uint32Array(STAT_INTS);
  ints[0] = type;
  ints[7] = ino;
  return ints;
}

export function statFsArray(space: StatFs): Uint32Array {
  let { bsize, blocks, bfree, bavail } = space;
  // The unit grows until the counts fit into 32 bits.
  while (Math.max(blocks, bfree, bavail) >= HALF) {
    bsize *= 2;
    blocks = Math.ceil(blocks / 2);
    bfree = Math.floor(bfree / 2);
    bavail = Math.floor(bavail / 2);
  }
  const ints = new Uint32Array(STATFS_INTS);
  const files = Math.min(space.files, HALF - 1);
  const ffree = Math.min(space.ffree, HALF - 1);
  ints.set([bsize, bsize, blocks, bfree, bavail, files, ffree, ffree, 0, 0, space.namelen]);
  return ints;
}
