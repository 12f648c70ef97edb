/**
 * Codec of the inode record (native-notes/format.md, table 1). Pure: takes and
 * returns plain fields, so that the volume's Inode class stays out of the format.
 */
import type { Clips } from '../clips.js';
import type { Given } from '../given.js';
import { CorruptionError } from '../../lib/errors.js';
import { int64At, uint16At, uint32At, uint48At, uint64At } from '../big-endian.js';
import { checksum } from '../checksum.js';
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
  clips: Clips;
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
        isStored?: boolean;
        isOther?: boolean;
        isLost?: boolean;
      }
    | undefined;
  given: Given | undefined;
}

const FLAG_BASE = 1;
const FLAG_TARGET = 2;
/** Nothing of the file is in the base any more: the base layer holds it (rule F10). */
const FLAG_STORED = 4;
/** With FLAG_STORED: what is stored is not what records of another state refer to (rule F11). */
const FLAG_OTHER = 8;
/** A frozen volume does not have what is read from the base here: EIO (rule A14). */
const FLAG_LOST = 16;
/** The base has the bytes of the file as they were at a version (rule G1). */
const FLAG_GIVEN = 32;
/** Where the fields of fixed length end. */
const CLIPS_AT = 4 + 20 + 16 + 48 + 6 + 6 + 4;
const CLIP_LENGTH = 18;
const GONE_WITH_TIME = 1 + 6 + 4;

/** Room for the largest record: names, target and base path at their limits. */
const scratch = Buffer.alloc(
  CLIPS_AT + MAX_CLIPS * CLIP_LENGTH + 2 + MAX_LINK_NAMES * 264 + 3 * (2 + 65535) + 128,
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

/** Views of the first bytes of `scratch`, by length: most records have one of a few lengths. */
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
  putUint32(checksum(scratch, 0, at));
  return firstBytes(at);
}

/** The record's bytes, in a buffer that the next call overwrites. */
export function encodeInode(inode: InodeFields): Buffer {
  at = 4;
  scratch[0] = 1;
  scratch[1] =
    (inode.base === undefined ? 0 : FLAG_BASE) |
    (inode.target === undefined ? 0 : FLAG_TARGET) |
    (inode.base?.isStored === true ? FLAG_STORED : 0) |
    (inode.base?.isOther === true ? FLAG_OTHER : 0) |
    (inode.base?.isLost === true ? FLAG_LOST : 0) |
    (inode.given === undefined ? 0 : FLAG_GIVEN);
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
  if (inode.base !== undefined) putReference(inode.base);
  if (inode.given !== undefined) {
    putLayer(inode.given.layer);
    putUint32(inode.given.step);
    putReference(inode.given.ref);
  }
  return seal();
}

function putReference(base: Given['ref']): void {
  putUint64(base.device);
  putUint64(base.hostInode);
  putUint64(base.size);
  putTime(base.mtimeS, base.mtimeNs);
  putTime(base.ctimeS, base.ctimeNs);
  scratch.writeUInt16BE(base.path.length, at);
  at += 2;
  at += scratch.write(base.path, at, 'latin1');
}

/**
 * The record that means "no such inode from this layer on". `goneMs`: when it went, ms since 1970,
 * where somebody will want to know whether a base file changed after that.
 */
export function encodeGoneInode(goneMs?: number): Buffer {
  scratch[0] = 0;
  at = 1;
  if (goneMs !== undefined) putLayer(goneMs);
  return seal();
}

/** When the inode of a record went, ms since 1970; undefined: it is not gone, or nobody noted it. */
export function goneSince(value: Buffer): number | undefined {
  return value[0] === 0 && value.length === GONE_WITH_TIME ? uint48At(value, 1) : undefined;
}

/** The record, in the base layer, of a file of which nothing is in the base any more. */
export function isStoredRecord(value: Buffer): boolean {
  return value[0] === 1 && ((value[1] as number) & FLAG_STORED) !== 0;
}

/** … or of a file whose bytes were lost when the volume was frozen. */
export function isLostRecord(value: Buffer): boolean {
  return value[0] === 1 && ((value[1] as number) & FLAG_LOST) !== 0;
}

/** The base has bytes of the file since an apply (rule G1). */
export function isGivenRecord(value: Buffer): boolean {
  return value[0] === 1 && ((value[1] as number) & FLAG_GIVEN) !== 0;
}

const NONE: readonly never[] = Object.freeze([]);

/** A record's bytes, from its variable part on. */
class Cursor {
  at = CLIPS_AT;
  constructor(readonly bytes: Buffer) {}

  uint16(): number {
    this.at += 2;
    return uint16At(this.bytes, this.at - 2);
  }
  uint32(): number {
    this.at += 4;
    return uint32At(this.bytes, this.at - 4);
  }
  uint64(): number {
    this.at += 8;
    return uint64At(this.bytes, this.at - 8);
  }
  int64(): number {
    this.at += 8;
    return int64At(this.bytes, this.at - 8);
  }
  layer(): number {
    this.at += 6;
    return uint48At(this.bytes, this.at - 6);
  }
  text(length: number): string {
    this.at += length;
    return this.bytes.toString('latin1', this.at - length, this.at);
  }

  clips(count: number): Clips {
    if (count === 0) return NONE;
    const clips = [];
    for (let i = 0; i < count; i++) {
      clips.push({ layer: this.layer(), step: this.uint32(), size: this.uint64() });
    }
    return clips;
  }

  links(count: number): InodeFields['links'] {
    if (count === 0) return NONE;
    const links = [];
    for (let i = 0; i < count; i++) {
      const parent = this.uint64();
      const length = this.bytes[this.at++] as number;
      links.push({ parent, name: this.text(length) });
    }
    return links;
  }

  reference(): Given['ref'] {
    return {
      device: this.uint64(),
      hostInode: this.uint64(),
      size: this.uint64(),
      mtimeS: this.int64(),
      mtimeNs: this.uint32(),
      ctimeS: this.int64(),
      ctimeNs: this.uint32(),
      path: this.text(this.uint16()),
    };
  }

  given(): Given {
    return { layer: this.layer(), step: this.uint32(), ref: this.reference() };
  }
}

/**
 * Fills `into` from a stored record, the first `length` bytes of `value`.
 * Returns false when the record is *gone*. Throws CorruptionError (`where`
 * names the record) when the bytes are not a record.
 */
export function decodeInode(
  value: Buffer,
  into: InodeFields,
  where: () => string,
  length = value.length,
): boolean {
  const end = length - 4;
  if (end < 1 || checksum(value, 0, end) !== uint32At(value, end)) {
    throw new CorruptionError('inode record', where());
  }
  if (value[0] === 0) return false;
  const flags = value[1] as number;
  into.mode = uint32At(value, 4);
  into.uid = uint32At(value, 8);
  into.gid = uint32At(value, 12);
  into.rdev = uint32At(value, 16);
  into.nlink = uint32At(value, 20);
  into.size = uint64At(value, 24);
  into.allocated = uint64At(value, 32);
  into.atimeS = int64At(value, 40);
  into.atimeNs = uint32At(value, 48);
  into.mtimeS = int64At(value, 52);
  into.mtimeNs = uint32At(value, 60);
  into.ctimeS = int64At(value, 64);
  into.ctimeNs = uint32At(value, 72);
  into.btimeS = int64At(value, 76);
  into.btimeNs = uint32At(value, 84);
  into.birthLayer = uint48At(value, 88);
  into.dataLayer = uint48At(value, 94);
  into.step = uint32At(value, 100);
  const rest = new Cursor(value);
  into.clips = rest.clips(value[2] as number);
  into.links = rest.links(rest.uint16());
  into.target = flags & FLAG_TARGET ? rest.text(rest.uint16()) : undefined;
  into.base = flags & FLAG_BASE ? rest.reference() : undefined;
  if (flags & FLAG_STORED && into.base !== undefined) into.base.isStored = true;
  if (flags & FLAG_OTHER && into.base !== undefined) into.base.isOther = true;
  if (flags & FLAG_LOST && into.base !== undefined) into.base.isLost = true;
  into.given = flags & FLAG_GIVEN ? rest.given() : undefined;
  if (rest.at !== end) throw new CorruptionError('inode record length', where());
  return true;
}
