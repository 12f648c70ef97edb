/**
 * Keys and values of the table `locks` (native-notes/format.md, rules K1–K4). Pure.
 *
 * An origin's record is followed by its locks: origin · 0 holds the origin's
 * last report, origin · 0 · snapshot · number one lock each.
 */
import { CorruptionError } from '../../lib/errors.js';
import { int64At, uint16At, uint32At, uint64At } from '../big-endian.js';
import { checksum } from '../checksum.js';

/** What needs the snapshot: a person or program, a destination it is sent to, or a fileset. */
export const LOCK_TYPES = ['owner', 'destination', 'fileset'] as const;
export type LockType = (typeof LOCK_TYPES)[number];

/** The origin of locks set here by hand. */
export const LOCAL_ORIGIN = 'local';

/** The limits of rule K4. */
export const MAX_ORIGINS = 256;
export const MAX_LOCKS_OF_ORIGIN = 4096;
export const MAX_LOCKS = 16_384;
export const MAX_ORIGIN_LENGTH = 64;
/** No sound volume ever counts so far: a number above was given out by something broken. */
export const MAX_LOCK_SEQUENCE = 2 ** 52;
/** In bytes of UTF-8. */
export const MAX_LOCK_TEXT_LENGTH = 1024;
export const MAX_DATASET_LENGTH = 255;

export interface LockRecord {
  type: LockType;
  /** The snapshot was deleted by force; the dependent does not know it yet. */
  isBroken: boolean;
  sinceMs: number;
  /** Names the dependent, for people. */
  text: string;
  /** The dependent's dataset that needs the snapshot. */
  dataset: string;
  /**
   * UUID of the volume that needs the snapshot, when the origin only passes the
   * lock on; else empty.
   */
  dependent: string;
}

export interface OriginRecord {
  /** Of the newest set that was taken from it; never falls, unless it lies above MAX_LOCK_SEQUENCE. */
  sequence: number;
  heardMs: number;
}

export interface LockKey {
  origin: string;
  /** Absent: the origin's own record. */
  lock?: { uuid: string; number: number };
}

const UUID_LENGTH = 16;
const HEADER_LENGTH = 15;
const ORIGIN_VALUE_LENGTH = 20;
const BROKEN = 1;
const ORIGIN = /^[\x21-\x7e]{1,64}$/;

export function isOrigin(text: string): boolean {
  return ORIGIN.test(text);
}

/** Why a text is not allowed in a lock, or undefined when it is. */
export function checkLockText(text: string, maxLength: number): string | undefined {
  if (text.length > maxLength || Buffer.byteLength(text) > maxLength) {
    return `it is longer than ${maxLength} bytes`;
  }
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text)) return 'it holds a control character';
  if (/\p{Surrogate}/u.test(text)) return 'it is not valid Unicode';
  return undefined;
}

export function originKey(origin: string): Buffer {
  return Buffer.from(`${origin}\0`, 'latin1');
}

export function lockKey(origin: string, uuid: string, number: number): Buffer {
  const key = Buffer.alloc(origin.length + 1 + UUID_LENGTH + 2);
  key.write(origin, 0, 'latin1');
  key.write(uuid.replaceAll('-', ''), origin.length + 1, 'hex');
  key.writeUInt16BE(number, key.length - 2);
  return key;
}

/** Undefined when the bytes are not a key of this table. */
export function decodeLockKey(key: Buffer): LockKey | undefined {
  const end = key.indexOf(0);
  const origin = key.toString('latin1', 0, Math.max(0, end));
  if (!isOrigin(origin)) return undefined;
  const rest = key.length - end - 1;
  if (rest === 0) return { origin };
  if (rest !== UUID_LENGTH + 2) return undefined;
  const hex = key.toString('hex', end + 1, end + 1 + UUID_LENGTH);
  const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return { origin, lock: { uuid, number: key.readUInt16BE(key.length - 2) } };
}

/** u8 type · u8 flags · lengths (u16 text, u16 dataset, u8 dependent) · i64 since ms · those three · CRC-32. */
export function encodeLock(lock: LockRecord): Buffer {
  const text = Buffer.from(lock.text);
  const dataset = Buffer.from(lock.dataset);
  const dependent = Buffer.from(lock.dependent);
  const length = HEADER_LENGTH + text.length + dataset.length + dependent.length + 4;
  const value = Buffer.alloc(length);
  value[0] = 1 + LOCK_TYPES.indexOf(lock.type);
  value[1] = lock.isBroken ? BROKEN : 0;
  value.writeUInt16BE(text.length, 2);
  value.writeUInt16BE(dataset.length, 4);
  value[6] = dependent.length;
  value.writeBigInt64BE(BigInt(Math.floor(lock.sinceMs)), 7);
  text.copy(value, HEADER_LENGTH);
  dataset.copy(value, HEADER_LENGTH + text.length);
  dependent.copy(value, length - 4 - dependent.length);
  return sealed(value);
}

/** Throws CorruptionError. */
export function decodeLock(value: Uint8Array, where: string): LockRecord {
  const textLength = uint16At(value, 2);
  const datasetLength = uint16At(value, 4);
  const type = LOCK_TYPES[(value[0] ?? 0) - 1];
  const datasetEnd = HEADER_LENGTH + textLength + datasetLength;
  const length = datasetEnd + (value[6] ?? 0) + 4;
  if (value.length !== length || !isSealed(value) || type === undefined) {
    throw new CorruptionError('soft lock', where);
  }
  const bytes = Buffer.from(value);
  return {
    type,
    isBroken: ((value[1] as number) & BROKEN) !== 0,
    sinceMs: int64At(value, 7),
    text: bytes.toString('utf8', HEADER_LENGTH, HEADER_LENGTH + textLength),
    dataset: bytes.toString('utf8', HEADER_LENGTH + textLength, datasetEnd),
    dependent: bytes.toString('utf8', datasetEnd, length - 4),
  };
}

/** u64 sequence · i64 last heard ms · CRC-32. */
export function encodeOrigin(origin: OriginRecord): Buffer {
  const value = Buffer.alloc(ORIGIN_VALUE_LENGTH);
  value.writeBigUInt64BE(BigInt(origin.sequence), 0);
  value.writeBigInt64BE(BigInt(Math.floor(origin.heardMs)), 8);
  return sealed(value);
}

/** Throws CorruptionError. */
export function decodeOrigin(value: Uint8Array, where: string): OriginRecord {
  if (value.length !== ORIGIN_VALUE_LENGTH || !isSealed(value)) {
    throw new CorruptionError('origin of soft locks', where);
  }
  return { sequence: uint64At(value, 0), heardMs: int64At(value, 8) };
}

function sealed(value: Buffer): Buffer {
  const end = value.length - 4;
  value.writeUInt32BE(checksum(value, 0, end), end);
  return value;
}

function isSealed(value: Uint8Array): boolean {
  const end = value.length - 4;
  return checksum(value, 0, end) === uint32At(value, end);
}
