/**
 * Attributes of a base file, and the identity by which a stored reference
 * recognises it (rule D10). Pure, except for the stat buffer.
 */
import { makeDevice } from '../libc/libc.js';
import type { StatxBuffer } from '../libc/statx.js';
import type { BaseReference } from './base-reference.js';

/** Attributes of a base file. Times are (s, ns) pairs. */
export interface BaseStat {
  device: number;
  /** The host's number; exact below 2^52, else a mix of its 64 bits in [2^52, 2^53). */
  hostInode: number;
  mode: number;
  uid: number;
  gid: number;
  rdev: number;
  nlink: number;
  /** Bytes. */
  size: number;
  /** 512-byte units. */
  blocks: number;
  atimeS: number;
  atimeNs: number;
  mtimeS: number;
  mtimeNs: number;
  ctimeS: number;
  ctimeNs: number;
  /** 0 where the host keeps no birth time. */
  btimeS: number;
  btimeNs: number;
  /** STATX_ATTR_*. */
  attributes: number;
}

const EXACT_LIMIT = 2 ** 52;
/** Offset of stx_ino. */
const INO_OFFSET = 32;

/**
 * A number for any 64-bit host inode. Network and overlay file systems use the
 * upper bits. A double would lose the lower bits, and neighbours would become
 * one file; so such numbers are mixed into 52 bits.
 */
export function hostInodeOf(high: number, low: number): number {
  if (high < 2 ** 20) return high * 2 ** 32 + low;
  let a = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ Math.imul(high, 0x9e3779b1);
  a = Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  let b = Math.imul(high ^ (high >>> 15), 0x2c1b3c6d) ^ Math.imul(low, 0x297a2d39);
  b = Math.imul(b ^ (b >>> 12), 0x297a2d39);
  return EXACT_LIMIT + ((b ^ (b >>> 15)) & 0xfffff) * 2 ** 32 + ((a ^ (a >>> 16)) >>> 0);
}

export function deviceOf(buffer: StatxBuffer): number {
  return makeDevice(buffer.devMajor, buffer.devMinor);
}

export function inodeOf(buffer: StatxBuffer): number {
  const exact = buffer.ino;
  if (exact < EXACT_LIMIT) return exact;
  const view = new DataView(buffer.bytes.buffer);
  return hostInodeOf(view.getUint32(INO_OFFSET + 4, true), view.getUint32(INO_OFFSET, true));
}

export function toBaseStat(buffer: StatxBuffer): BaseStat {
  return {
    device: deviceOf(buffer),
    hostInode: inodeOf(buffer),
    mode: buffer.mode,
    uid: buffer.uid,
    gid: buffer.gid,
    rdev: makeDevice(buffer.rdevMajor, buffer.rdevMinor),
    nlink: buffer.nlink,
    size: buffer.size,
    blocks: buffer.blocks,
    atimeS: buffer.atimeS,
    atimeNs: buffer.atimeNs,
    mtimeS: buffer.mtimeS,
    mtimeNs: buffer.mtimeNs,
    ctimeS: buffer.ctimeS,
    ctimeNs: buffer.ctimeNs,
    btimeS: buffer.btimeS,
    btimeNs: buffer.btimeNs,
    attributes: buffer.attributes,
  };
}

/** True when the file just stated is the unchanged file that `ref` was made from. */
export function isSameFile(buffer: StatxBuffer, ref: BaseReference): boolean {
  return (
    buffer.mtimeS === ref.mtimeS &&
    buffer.mtimeNs === ref.mtimeNs &&
    buffer.ctimeS === ref.ctimeS &&
    buffer.ctimeNs === ref.ctimeNs &&
    buffer.size === ref.size &&
    inodeOf(buffer) === ref.hostInode &&
    deviceOf(buffer) === ref.device
  );
}

export function isSameReference(a: BaseReference, b: BaseReference): boolean {
  return (
    a === b ||
    (a.mtimeS === b.mtimeS &&
      a.mtimeNs === b.mtimeNs &&
      a.ctimeS === b.ctimeS &&
      a.ctimeNs === b.ctimeNs &&
      a.size === b.size &&
      a.hostInode === b.hostInode &&
      a.device === b.device &&
      a.path === b.path)
  );
}

/** What the base layer has of a base file is what a record of it refers to (rule F11). */
export function isOfState(kept: BaseReference, own: BaseReference): boolean {
  return (
    kept.isOther !== true ||
    (kept.mtimeS === own.mtimeS &&
      kept.mtimeNs === own.mtimeNs &&
      kept.ctimeS === own.ctimeS &&
      kept.ctimeNs === own.ctimeNs)
  );
}

type State = Pick<BaseReference, 'size' | 'mtimeS' | 'mtimeNs' | 'ctimeS' | 'ctimeNs'>;

/** Nobody has changed the file between the two. */
export function isSameState(a: State, b: State): boolean {
  return (
    a.size === b.size &&
    a.mtimeS === b.mtimeS &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeS === b.ctimeS &&
    a.ctimeNs === b.ctimeNs
  );
}

/**
 * The file with these attributes is the unchanged one that `ref` was made from. A device of 0 in a
 * reference means the base directory's own.
 */
export function isStatOf(stat: BaseStat, ref: BaseReference, ownDevice: number): boolean {
  const device = ref.device === 0 ? ownDevice : ref.device;
  return stat.device === device && stat.hostInode === ref.hostInode && isSameState(stat, ref);
}

/** The reference to store for a base file with these attributes. */
export function referenceTo(path: string, stat: BaseStat): BaseReference {
  return {
    path,
    device: stat.device,
    hostInode: stat.hostInode,
    size: stat.size,
    mtimeS: stat.mtimeS,
    mtimeNs: stat.mtimeNs,
    ctimeS: stat.ctimeS,
    ctimeNs: stat.ctimeNs,
  };
}
