/**
 * The records of the intent log (native-notes/intent-log.md): a header and
 * operations on the store's records, padded to whole pages. Pure.
 */
import { checksum } from '../checksum.js';
import { type TableNumber, TABLE_NAMES } from './tables.js';

export const LOG_FORMAT = 1;
export const LOG_PAGE_BYTES = 4096;
const HEADER_BYTES = 64;
/** 'SFIL'. */
const MAGIC = 0x5346494c;
const FIRST_ROOM_BYTES = 64 * 1024;
/** Kind, table, length of the key, length of the value. */
const OPERATION_BYTES = 8;
/** In front of a patch's bytes: their offset, and the length of the value with them. */
const PATCH_BYTES = 8;

const KIND = { delete: 0, put: 1, patch: 2 } as const;

export const LOG_META = 'intent';

/** Where the log begins to hold changes that are not yet in LMDB; `meta/intent`. */
export interface LogPosition {
  format: number;
  /** Drawn at random each time the volume is opened and the log begins: hex, 8 bytes. */
  epoch: string;
  /** Of the next record. */
  sequence: number;
  /** Offset of the record when it is not at 0. */
  offset: number;
}

export interface LogIdentity {
  /** 16 bytes of the volume's UUID and 8 of the epoch. */
  bytes: Buffer;
}

export function logIdentity(uuid: string, epoch: string): LogIdentity {
  return { bytes: Buffer.from(uuid.replaceAll('-', '') + epoch, 'hex') };
}

export interface LogOperation {
  kind: 'delete' | 'put' | 'patch';
  table: TableNumber;
  key: Buffer;
  /** Of a patch: the bytes to write at `offset` of the value. */
  value: Buffer;
  offset: number;
  /** Of a patch: the length of the value with it. */
  length: number;
}

/** Collects one record. Operations that do not fit are left out, and `isTooLarge` is set. */
export class LogRecordBuilder {
  #bytes = Buffer.allocUnsafeSlow(FIRST_ROOM_BYTES);
  #at = HEADER_BYTES;
  #operations = 0;
  isTooLarge = false;

  constructor(readonly maxBytes: number) {}

  begin(): void {
    this.#at = HEADER_BYTES;
    this.#operations = 0;
    this.isTooLarge = false;
  }

  get operations(): number {
    return this.#operations;
  }

  /** Makes room for `bytes` more; returns where they begin, or -1. */
  #room(bytes: number): number {
    const at = this.#at;
    const end = at + bytes;
    if (this.isTooLarge || end > this.maxBytes) {
      this.isTooLarge = true;
      return -1;
    }
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, end));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    this.#at = end;
    return at;
  }

  #operation(kind: number, table: TableNumber, key: Uint8Array, valueBytes: number): number {
    const at = this.#room(OPERATION_BYTES + key.length + valueBytes);
    if (at < 0) return -1;
    const bytes = this.#bytes;
    bytes[at] = kind;
    bytes[at + 1] = table;
    bytes.writeUInt16BE(key.length, at + 2);
    bytes.writeUInt32BE(valueBytes, at + 4);
    bytes.set(key, at + OPERATION_BYTES);
    this.#operations++;
    return at + OPERATION_BYTES + key.length;
  }

  del(table: TableNumber, key: Uint8Array): void {
    this.#operation(KIND.delete, table, key, 0);
  }

  put(table: TableNumber, key: Uint8Array, value: Uint8Array): void {
    const at = this.#operation(KIND.put, table, key, value.length);
    if (at >= 0) this.#bytes.set(value, at);
  }

  /**
   * Writes `bytes` at `offset` of a value that the log already holds; the value
   * is then `length` long.
   */
  patch(
    table: TableNumber,
    key: Uint8Array,
    offset: number,
    length: number,
    bytes: Uint8Array,
  ): void {
    const at = this.#operation(KIND.patch, table, key, PATCH_BYTES + bytes.length);
    if (at < 0) return;
    this.#bytes.writeUInt32BE(offset, at);
    this.#bytes.writeUInt32BE(length, at + 4);
    this.#bytes.set(bytes, at + PATCH_BYTES);
  }

  /** The record, padded to whole pages; valid until the next `begin`. */
  finish(identity: LogIdentity, sequence: number): Buffer {
    const end = this.#at;
    const padded = Math.ceil(end / LOG_PAGE_BYTES) * LOG_PAGE_BYTES;
    if (padded > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(padded);
      this.#bytes.copy(larger, 0, 0, end);
      this.#bytes = larger;
    }
    const bytes = this.#bytes;
    bytes.fill(0, 0, HEADER_BYTES);
    bytes.fill(0, end, padded);
    bytes.writeUInt32BE(MAGIC, 4);
    bytes.writeUInt32BE(LOG_FORMAT, 8);
    identity.bytes.copy(bytes, 12);
    bytes.writeBigUInt64BE(BigInt(sequence), 36);
    bytes.writeUInt32BE(end - HEADER_BYTES, 44);
    bytes.writeUInt32BE(checksum(bytes, 4, end), 0);
    return bytes.subarray(0, padded);
  }
}

/**
 * The operations of the record at the beginning of `bytes`, and the number of
 * pages it takes. Undefined unless the record is whole and has the expected
 * identity and sequence.
 */
export function readLogRecord(
  bytes: Buffer,
  identity: LogIdentity,
  sequence: number,
): { operations: LogOperation[]; pageBytes: number } | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  if (bytes.readUInt32BE(4) !== MAGIC || bytes.readUInt32BE(8) !== LOG_FORMAT) return undefined;
  if (!bytes.subarray(12, 36).equals(identity.bytes)) return undefined;
  if (bytes.readBigUInt64BE(36) !== BigInt(sequence)) return undefined;
  const end = HEADER_BYTES + bytes.readUInt32BE(44);
  if (end > bytes.length || checksum(bytes, 4, end) !== bytes.readUInt32BE(0)) return undefined;
  const operations = readOperations(bytes.subarray(HEADER_BYTES, end));
  if (operations === undefined) return undefined;
  return { operations, pageBytes: Math.ceil(end / LOG_PAGE_BYTES) * LOG_PAGE_BYTES };
}

function readOperations(bytes: Buffer): LogOperation[] | undefined {
  const operations: LogOperation[] = [];
  let at = 0;
  while (at + OPERATION_BYTES <= bytes.length) {
    const keyAt = at + OPERATION_BYTES;
    const valueAt = keyAt + bytes.readUInt16BE(at + 2);
    const end = valueAt + bytes.readUInt32BE(at + 4);
    const table = bytes[at + 1] as TableNumber;
    if (end > bytes.length || table < 1 || table > TABLE_NAMES.length) return undefined;
    const key = bytes.subarray(keyAt, valueAt);
    const value = bytes.subarray(valueAt, end);
    const operation = readOperation(bytes[at] as number, table, key, value);
    if (operation === undefined) return undefined;
    operations.push(operation);
    at = end;
  }
  return at === bytes.length ? operations : undefined;
}

function readOperation(
  kind: number,
  table: TableNumber,
  key: Buffer,
  value: Buffer,
): LogOperation | undefined {
  if (kind === KIND.delete) return { kind: 'delete', table, key, value, offset: 0, length: 0 };
  if (kind === KIND.put) return { kind: 'put', table, key, value, offset: 0, length: value.length };
  if (kind !== KIND.patch || value.length < PATCH_BYTES) return undefined;
  const offset = value.readUInt32BE(0);
  const length = value.readUInt32BE(4);
  const patch = value.subarray(PATCH_BYTES);
  if (offset + patch.length > length) return undefined;
  return { kind: 'patch', table, key, value: patch, offset, length };
}
