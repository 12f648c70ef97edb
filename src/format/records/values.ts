/** Codecs of entry, block, xattr and orphan values (native-notes/format.md). Pure. */
import { crc32 } from 'node:zlib';
import { CorruptionError } from '../../lib/errors.js';
import { uint32At, uint64At } from '../big-endian.js';
import { checksum } from '../checksum.js';

/** A child of a directory, or a whiteout (`ino` 0). */
export interface EntryValue {
  /** 0: whiteout, the name is gone from this layer on. */
  ino: number;
  /** S_IFMT >> 12. */
  type: number;
  /** No entry of this name was visible below when it was made (rule F2). */
  fresh: boolean;
}

export const BLOCK_HEADER_LENGTH = 8;
export const BLOCK_HOLE = 0;
export const BLOCK_RAW = 1;

const entryScratch = Buffer.alloc(16);

/** The value's bytes, in a buffer that the next call overwrites. */
export function encodeEntry(entry: EntryValue): Buffer {
  entryScratch[0] = entry.ino === 0 ? 0 : 1;
  entryScratch[1] = entry.type;
  entryScratch[2] = entry.fresh ? 1 : 0;
  entryScratch[3] = 0;
  entryScratch.writeUInt32BE(Math.floor(entry.ino / 2 ** 32), 4);
  entryScratch.writeUInt32BE(entry.ino >>> 0, 8);
  entryScratch.writeUInt32BE(checksum(entryScratch, 0, 12), 12);
  return entryScratch;
}

/**
 * The entry in the first `length` bytes of `value`. Throws CorruptionError
 * (`where` names the record).
 */
export function decodeEntry(
  value: Uint8Array,
  where: () => string,
  length = value.length,
): EntryValue {
  if (length !== 16 || checksum(value, 0, 12) !== uint32At(value, 12)) {
    throw new CorruptionError('directory entry', where());
  }
  const ino = value[0] === 0 ? 0 : uint64At(value, 4);
  return { ino, type: value[1] as number, fresh: value[2] === 1 };
}

/** Writes a raw block's header in front of `length` bytes at `value[8…]`. */
export function sealBlock(value: Buffer, length: number): void {
  value[0] = BLOCK_RAW;
  value[1] = 0;
  value[2] = 0;
  value[3] = 0;
  value.writeUInt32BE(crc32(value.subarray(BLOCK_HEADER_LENGTH, BLOCK_HEADER_LENGTH + length)), 4);
}

export function holeBlock(): Buffer {
  return Buffer.alloc(BLOCK_HEADER_LENGTH);
}

/**
 * The block's bytes (a view); undefined for a hole. Throws CorruptionError when
 * the checksum is wrong.
 */
export function blockBytes(value: Buffer, where: string): Buffer | undefined {
  if (value.length < BLOCK_HEADER_LENGTH) throw new CorruptionError('block', where);
  if (value[0] === BLOCK_HOLE) return undefined;
  const bytes = value.subarray(BLOCK_HEADER_LENGTH);
  if (value[0] !== BLOCK_RAW || crc32(bytes) !== value.readUInt32BE(4)) {
    throw new CorruptionError('block', where);
  }
  return bytes;
}

/**
 * Whether a value that was read in two parts is a raw block of `bytes`; its
 * header is at `headers[at…]`.
 */
export function isRawBlock(headers: Buffer, at: number, bytes: Uint8Array): boolean {
  return headers[at] === BLOCK_RAW && headers.readUInt32BE(at + 4) === crc32(bytes);
}

/** An xattr's value, or *gone* for undefined. */
export function encodeAttribute(value: Uint8Array | undefined): Buffer {
  const length = value === undefined ? 0 : value.length;
  const out = Buffer.alloc(1 + length + 4);
  out[0] = value === undefined ? 0 : 1;
  if (value !== undefined) out.set(value, 1);
  out.writeUInt32BE(crc32(out.subarray(0, 1 + length)), 1 + length);
  return out;
}

export function decodeAttribute(value: Buffer, where: string): Buffer | undefined {
  const end = value.length - 4;
  if (end < 1 || crc32(value.subarray(0, end)) !== value.readUInt32BE(end)) {
    throw new CorruptionError('extended attribute', where);
  }
  return value[0] === 0 ? undefined : Buffer.from(value.subarray(1, end));
}

export function encodeOrphan(alive: boolean): Buffer {
  return Buffer.of(alive ? 1 : 0);
}

export function encodeJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

export function decodeJson<T>(value: Buffer, where: string): T {
  try {
    return JSON.parse(value.toString()) as T;
  } catch {
    throw new CorruptionError('JSON record', where);
  }
}
