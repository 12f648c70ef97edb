/**
 * Codec of the inode record (native-notes/format.md, table 1). Pure: takes and
 * returns plain fields, so that the volume's Inode class stays out of the format.
 */
import { crc32 } from 'node:zlib';
import { CorruptionError } from '../base/errors.js';
import { MAX_CLIPS, MAX_LINK_NAMES } from './tables.js';

export interface InodeFields {
  mode: number;
  uid: number;
  gid: number;
  rdev: number;
  nlink: number;
  size: number;
  allocated: number;
  atimeS: number;
  atimeNs: number;
  mtimeS: number;
  mtimeNs: number;
  ctimeS: number;
  ctimeNs: number;
  btimeS: number;
  btimeNs: number;
  birthLayer: number;
  dataLayer: number;
  step: number;
  clips: readonly { layer: number; step: number; size: number }[];
  links: readonly { parent: number; name: string }[];
  target: string | undefined;
  base:
    | {
        path: string;
        device: number;
        hostInode: number;
        size: number;
        mtimeS: number;
        mtimeNs: number;
        ctimeS: number;
        ctimeNs: number;
      }
    | undefined;
}

const FLAG_BASE = 1;
const FLAG_TARGET = 2;
const FIXED_LENGTH = 4 + 20 + 16 + 48 + 6 + 6 + 4;
const CLIP_LENGTH = 18;

/** Room for the largest record: names, target and base path at their limits. */
const scratch = Buffer.alloc(
  FIXED_LENGTH + MAX_CLIPS * CLIP_LENGTH + 2 + MAX_LINK_NAMES * 264 + 2 * (2 + 65535) + 64,
);
let at = 0;

function putUint64(value: number): void {
  scratch.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  scratch.writeUInt32BE(value >>> 0, at + 4);
  at += 8;
}

function putTime(seconds: number, nanoseconds: number): void {
  scratch.writeInt32BE(Math.floor(seconds / 2 ** 32), at);
  scratch.writeUInt32BE(seconds >>> 0, at + 4);
  scratch.writeUInt32BE(nanoseconds, at + 8);
  at += 12;
}

function putLayer(layer: number): void {
  scratch.writeUIntBE(layer, at, 6);
  at += 6;
}

function putUint32(value: number): void {
  scratch.writeUInt32BE(value >>> 0, at);
  at += 4;
}

/** The first bytes of `scratch`, by their number: most records have one of a few lengths. */
const VIEWS_MAX = 512;
const views = new Array<Buffer | undefined>(VIEWS_MAX).fill(undefined);

function firstBytes(length: number): Buffer {
  if (length >= VIEWS_MAX) return scratch.subarray(0, length);
  let view = views[length];
  if (view === undefined) {
    view = scratch.subarray(0, length);
    views[length] = view;
  }
  return view;
}

function seal(): Buffer {
  putUint32(crc32(firstBytes(at)));
  return firstBytes(at);
}

/** The record's bytes, in a buffer that the next call overwrites. */
export function encodeInode(inode: InodeFields): Buffer {
  at = 4;
  scratch[0] = 1;
  scratch[1] =
    (inode.base === undefined ? 0 : FLAG_BASE) | (inode.target === undefined ? 0 : FLAG_TARGET);
  scratch[2] = inode.clips.length;
  scratch[3] = 0;
  putUint32(inode.mode);
  putUint32(inode.uid);
  putUint32(inode.gid);
  putUint32(inode.rdev);
  putUint32(inode.nlink);
  putUint64(inode.size);
  putUint64(inode.allocated);
  putTime(inode.atimeS, inode.atimeNs);
  putTime(inode.mtimeS, inode.mtimeNs);
  putTime(inode.ctimeS, inode.ctimeNs);
  putTime(inode.btimeS, inode.btimeNs);
  putLayer(inode.birthLayer);
  putLayer(inode.dataLayer);
  putUint32(inode.step);
  for (const clip of inode.clips) {
    putLayer(clip.layer);
    putUint32(clip.step);
    putUint64(clip.size);
  }
  scratch.writeUInt16BE(inode.links.length, at);
  at += 2;
  for (const link of inode.links) {
    putUint64(link.parent);
    scratch[at++] = link.name.length;
    at += scratch.write(link.name, at, 'latin1');
  }
  if (inode.target !== undefined) {
    scratch.writeUInt16BE(inode.target.length, at);
    at += 2;
    at += scratch.write(inode.target, at, 'latin1');
  }
  if (inode.base !== undefined) {
    const base = inode.base;
    putUint64(base.device);
    putUint64(base.hostInode);
    putUint64(base.size);
    putTime(base.mtimeS, base.mtimeNs);
    putTime(base.ctimeS, base.ctimeNs);
    scratch.writeUInt16BE(base.path.length, at);
    at += 2;
    at += scratch.write(base.path, at, 'latin1');
  }
  return seal();
}

/** The record that says "no such inode from this layer on". */
export function encodeGoneInode(): Buffer {
  scratch[0] = 0;
  at = 1;
  return seal();
}

class Cursor {
  at = 4;
  constructor(readonly buffer: Buffer) {}

  uint16(): number {
    const value = this.buffer.readUInt16BE(this.at);
    this.at += 2;
    return value;
  }
  uint32(): number {
    const value = this.buffer.readUInt32BE(this.at);
    this.at += 4;
    return value;
  }
  uint64(): number {
    return this.uint32() * 2 ** 32 + this.uint32();
  }
  int64(): number {
    const high = this.buffer.readInt32BE(this.at);
    this.at += 4;
    return high * 2 ** 32 + this.uint32();
  }
  layer(): number {
    const value = this.buffer.readUIntBE(this.at, 6);
    this.at += 6;
    return value;
  }
  bytes(length: number): string {
    const value = this.buffer.toString('latin1', this.at, this.at + length);
    this.at += length;
    return value;
  }
}

function checkSum(value: Buffer, where: string): void {
  const end = value.length - 4;
  if (end < 1 || crc32(value.subarray(0, end)) !== value.readUInt32BE(end)) {
    throw new CorruptionError('inode record', where);
  }
}

/**
 * Fills `into` from a stored record. Returns false when the record is *gone*.
 * Throws CorruptionError (with `where`) when the bytes are not a record.
 */
export function decodeInode(value: Buffer, into: InodeFields, where: string): boolean {
  checkSum(value, where);
  if (value[0] === 0) return false;
  try {
    const flags = value[1] as number;
    const clipCount = value[2] as number;
    const c = new Cursor(value);
    into.mode = c.uint32();
    into.uid = c.uint32();
    into.gid = c.uint32();
    into.rdev = c.uint32();
    into.nlink = c.uint32();
    into.size = c.uint64();
    into.allocated = c.uint64();
    into.atimeS = c.int64();
    into.atimeNs = c.uint32();
    into.mtimeS = c.int64();
    into.mtimeNs = c.uint32();
    into.ctimeS = c.int64();
    into.ctimeNs = c.uint32();
    into.btimeS = c.int64();
    into.btimeNs = c.uint32();
    into.birthLayer = c.layer();
    into.dataLayer = c.layer();
    into.step = c.uint32();
    const clips = [];
    for (let i = 0; i < clipCount; i++) {
      clips.push({ layer: c.layer(), step: c.uint32(), size: c.uint64() });
    }
    into.clips = clips;
    const linkCount = c.uint16();
    const links = [];
    for (let i = 0; i < linkCount; i++) {
      const parent = c.uint64();
      const length = value[c.at] as number;
      c.at++;
      links.push({ parent, name: c.bytes(length) });
    }
    into.links = links;
    into.target = flags & FLAG_TARGET ? c.bytes(c.uint16()) : undefined;
    into.base =
      flags & FLAG_BASE
        ? {
            device: c.uint64(),
            hostInode: c.uint64(),
            size: c.uint64(),
            mtimeS: c.int64(),
            mtimeNs: c.uint32(),
            ctimeS: c.int64(),
            ctimeNs: c.uint32(),
            path: c.bytes(c.uint16()),
          }
        : undefined;
    if (c.at !== value.length - 4) throw new CorruptionError('inode record length', where);
    return true;
  } catch (error) {
    if (error instanceof CorruptionError) throw error;
    throw new CorruptionError('inode record', where);
  }
}
