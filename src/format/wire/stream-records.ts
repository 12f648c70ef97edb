/**
 * Codec of the records in a stream (native-notes/stream.md). Pure.
 *
 * What must hold: `decodeRecord` never reads outside its bytes and returns only
 * valid records (names that are names, numbers within their limits), so that
 * receivers need not check them again. An invalid record throws RangeError,
 * which the framing turns into `stream-damaged`.
 */
import { INODE_LIMIT } from '../records/tables.js';
import {
  MAX_BLOCK_SIZE,
  MAX_FILE_SIZE,
  MAX_LINK_NAMES,
  MAX_NAME_LENGTH,
} from '../records/tables.js';

export interface StreamTime {
  s: number;
  ns: number;
}

export interface StreamLink {
  parent: number;
  name: string;
}

/** An inode that exists in the newer snapshot; the records up to the next inode belong to it. */
export interface InodeRecord {
  kind: 'inode';
  ino: number;
  /** The inode is not in the older snapshot: anything stored for it before does not count. */
  isNew: boolean;
  /** Blocks follow, or were cut off. */
  hasData: boolean;
  mode: number;
  uid: number;
  gid: number;
  rdev: number;
  nlink: number;
  size: number;
  allocated: number;
  atime: StreamTime;
  mtime: StreamTime;
  ctime: StreamTime;
  btime: StreamTime;
  /** Older bytes from this offset on don't count. */
  cut?: number;
  target?: string;
  /** All listed names; or, when `removed` is present, the added ones. */
  links: StreamLink[];
  /**
   * The removed names. When present, `nlink` does not count: the earlier count
   * and these names do.
   */
  removed?: StreamLink[];
}

export type StreamRecord =
  | InodeRecord
  | { kind: 'gone'; ino: number }
  /**
   * Base path, in the older snapshot, of the inode in the next record, for a
   * receiver that has it in a base.
   */
  | { kind: 'path'; ino: number; path: string }
  /** No value: the xattr is gone. */
  | { kind: 'attribute'; name: string; value: Buffer | undefined }
  /** `ino` 0: the name is gone. */
  | { kind: 'entry'; name: string; ino: number; type: number }
  | { kind: 'block'; index: number; bytes: Buffer }
  | { kind: 'hole'; index: number };

const KIND = { inode: 1, gone: 2, attribute: 3, entry: 4, block: 5, hole: 6, path: 7 } as const;
const FLAG = { isNew: 1, hasData: 2, cut: 4, target: 8, removed: 16 } as const;
const MAX_VALUE = 65536;
const MAX_TARGET = 65535;
export const MAX_PATH = 65535;
const NO_VALUE = 0xffffffff;
const FIXED_INODE = 2 + 8 + 5 * 4 + 2 * 8 + 4 * 12;

/** Most bytes that `encodeRecord` needs. */
export function recordRoom(record: StreamRecord): number {
  switch (record.kind) {
    case 'inode': {
      const names = [...record.links, ...(record.removed ?? [])];
      const links = names.reduce((sum, { name }) => sum + 9 + name.length, 4);
      return FIXED_INODE + 8 + 2 + (record.target?.length ?? 0) + links;
    }
    case 'attribute':
      return 6 + record.name.length + (record.value?.length ?? 0);
    case 'entry':
      return 11 + record.name.length;
    case 'path':
      return 11 + record.path.length;
    case 'block':
      return 11 + record.bytes.length;
    default:
      return 9;
  }
}

/** Writes the record at `at`; returns where it ends. */
export function encodeRecord(record: StreamRecord, out: Buffer, at: number): number {
  const writer = new Writer(out, at);
  writer.uint8(KIND[record.kind]);
  switch (record.kind) {
    case 'inode':
      encodeInode(record, writer);
      break;
    case 'gone':
      writer.uint64(record.ino);
      break;
    case 'path':
      writer.uint64(record.ino);
      writer.uint16(record.path.length);
      writer.text(record.path);
      break;
    case 'attribute':
      writer.name(record.name);
      writer.uint32(record.value?.length ?? NO_VALUE);
      if (record.value !== undefined) writer.bytes(record.value);
      break;
    case 'entry':
      writer.name(record.name);
      writer.uint64(record.ino);
      writer.uint8(record.type);
      break;
    case 'block':
      writer.uint48(record.index);
      writer.uint32(record.bytes.length);
      writer.bytes(record.bytes);
      break;
    case 'hole':
      writer.uint48(record.index);
  }
  return writer.at;
}

function encodeInode(record: InodeRecord, writer: Writer): void {
  writer.uint8(
    (record.isNew ? FLAG.isNew : 0) |
      (record.hasData ? FLAG.hasData : 0) |
      (record.cut === undefined ? 0 : FLAG.cut) |
      (record.target === undefined ? 0 : FLAG.target) |
      (record.removed === undefined ? 0 : FLAG.removed),
  );
  writer.uint64(record.ino);
  writer.uint32(record.mode);
  writer.uint32(record.uid);
  writer.uint32(record.gid);
  writer.uint32(record.rdev);
  writer.uint32(record.nlink);
  writer.uint64(record.size);
  writer.uint64(record.allocated);
  for (const time of [record.atime, record.mtime, record.ctime, record.btime]) writer.time(time);
  if (record.cut !== undefined) writer.uint64(record.cut);
  if (record.target !== undefined) {
    writer.uint16(record.target.length);
    writer.text(record.target);
  }
  writer.links(record.links);
  if (record.removed !== undefined) writer.links(record.removed);
}

/** The record at `at` and where it ends. Block and xattr bytes are views into `bytes`. */
export function decodeRecord(bytes: Buffer, at: number): { record: StreamRecord; end: number } {
  const reader = new Reader(bytes, at);
  const record = decode(reader);
  return { record, end: reader.at };
}

function decode(reader: Reader): StreamRecord {
  switch (reader.uint8()) {
    case KIND.inode:
      return decodeInode(reader);
    case KIND.gone:
      return { kind: 'gone', ino: reader.ino() };
    case KIND.path: {
      const ino = reader.ino();
      return { kind: 'path', ino, path: reader.text(reader.uint16(), MAX_PATH) };
    }
    case KIND.attribute: {
      const name = reader.attributeName();
      const length = reader.uint32();
      const value = length === NO_VALUE ? undefined : reader.bytes(length, MAX_VALUE);
      return { kind: 'attribute', name, value };
    }
    case KIND.entry: {
      const name = reader.fileName();
      const ino = reader.uint64();
      const type = reader.uint8();
      const isGone = ino === 0 && type === 0;
      if (!isGone && (ino === 0 || ino >= INODE_LIMIT || !isType(type))) throw bad('entry');
      return { kind: 'entry', name, ino, type };
    }
    case KIND.block: {
      const index = reader.blockIndex();
      const length = reader.uint32();
      return { kind: 'block', index, bytes: reader.bytes(length, MAX_BLOCK_SIZE) };
    }
    case KIND.hole:
      return { kind: 'hole', index: reader.blockIndex() };
    default:
      throw bad('kind of record');
  }
}

function isType(type: number): boolean {
  return [1, 2, 4, 6, 8, 10, 12].includes(type);
}

function decodeInode(reader: Reader): InodeRecord {
  const flags = reader.uint8();
  const ino = reader.ino();
  const mode = reader.uint32();
  if (mode > 0xffff || !isType(mode >>> 12)) throw bad('mode');
  const [uid, gid, rdev, nlink] = [
    reader.uint32(),
    reader.uint32(),
    reader.uint32(),
    reader.uint32(),
  ];
  const size = reader.uint64();
  const allocated = reader.uint64();
  if (size > MAX_FILE_SIZE || allocated > 2 * MAX_FILE_SIZE) throw bad('size');
  const times = { atime: reader.time(), mtime: reader.time() };
  const moreTimes = { ctime: reader.time(), btime: reader.time() };
  const cut = flags & FLAG.cut ? reader.uint64() : undefined;
  if (cut !== undefined && cut > MAX_FILE_SIZE) throw bad('cut');
  const target = flags & FLAG.target ? reader.text(reader.uint16(), MAX_TARGET) : undefined;
  if ((mode >>> 12 === 10) !== (target !== undefined)) throw bad('target');
  const links = reader.links();
  const removed = flags & FLAG.removed ? reader.links() : undefined;
  return {
    kind: 'inode',
    ino,
    isNew: (flags & FLAG.isNew) !== 0,
    hasData: (flags & FLAG.hasData) !== 0,
    ...{ mode, uid, gid, rdev, nlink, size, allocated, ...times, ...moreTimes },
    ...(cut !== undefined && { cut }),
    ...(target !== undefined && { target }),
    links,
    ...(removed !== undefined && { removed }),
  };
}

function bad(what: string): RangeError {
  return new RangeError(`a ${what} that can't be`);
}

class Writer {
  constructor(
    readonly out: Buffer,
    public at: number,
  ) {}

  uint8(value: number): void {
    this.at = this.out.writeUInt8(value, this.at);
  }
  uint16(value: number): void {
    this.at = this.out.writeUInt16BE(value, this.at);
  }
  uint32(value: number): void {
    this.at = this.out.writeUInt32BE(value >>> 0, this.at);
  }
  uint48(value: number): void {
    this.at = this.out.writeUIntBE(value, this.at, 6);
  }
  uint64(value: number): void {
    this.uint32(Math.floor(value / 2 ** 32));
    this.uint32(value);
  }
  time({ s, ns }: StreamTime): void {
    this.at = this.out.writeInt32BE(Math.floor(s / 2 ** 32), this.at);
    this.uint32(s);
    this.uint32(ns);
  }
  text(value: string): void {
    this.at += this.out.write(value, this.at, 'latin1');
  }
  name(value: string): void {
    this.uint8(value.length);
    this.text(value);
  }
  bytes(value: Buffer): void {
    this.at += value.copy(this.out, this.at);
  }
  links(links: readonly StreamLink[]): void {
    this.uint16(links.length);
    for (const { parent, name } of links) {
      this.uint64(parent);
      this.name(name);
    }
  }
}

class Reader {
  constructor(
    readonly buffer: Buffer,
    public at: number,
  ) {}

  uint8(): number {
    const value = this.buffer.readUInt8(this.at);
    this.at += 1;
    return value;
  }
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
  ino(): number {
    const ino = this.uint64();
    if (ino === 0 || ino >= INODE_LIMIT) throw bad('inode number');
    return ino;
  }
  blockIndex(): number {
    const index = this.buffer.readUIntBE(this.at, 6);
    this.at += 6;
    return index;
  }
  time(): StreamTime {
    const high = this.buffer.readInt32BE(this.at);
    this.at += 4;
    const s = high * 2 ** 32 + this.uint32();
    const ns = this.uint32();
    if (!Number.isSafeInteger(s) || ns > 999_999_999) throw bad('time');
    return { s, ns };
  }
  bytes(length: number, most: number): Buffer {
    const end = this.at + length;
    if (length > most || end > this.buffer.length) throw bad('length');
    const value = this.buffer.subarray(this.at, end);
    this.at = end;
    return value;
  }
  text(length: number, most: number): string {
    return this.bytes(length, most).toString('latin1');
  }
  attributeName(): string {
    const name = this.text(this.uint8(), MAX_NAME_LENGTH);
    if (name === '' || name.includes('\0')) throw bad('name of an attribute');
    return name;
  }
  fileName(): string {
    const name = this.text(this.uint8(), MAX_NAME_LENGTH);
    if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) throw bad('file name');
    return name;
  }
  links(): StreamLink[] {
    const count = this.uint16();
    if (count > MAX_LINK_NAMES) throw bad('number of names');
    const links: StreamLink[] = [];
    for (let i = 0; i < count; i++) links.push({ parent: this.ino(), name: this.fileName() });
    return links;
  }
}
