/**
 * Changes inside one LMDB transaction. It maintains rule D2: a versioned table
 * has a record in layer L exactly if the delta map has its place in L. Callers
 * never write those delta entries themselves.
 */
import { copyBytes } from '../lib/copy-bytes.js';
import {
  isVersioned,
  MAX_STEP,
  TABLE,
  type TableName,
  type TableNumber,
  versionLength,
} from '../format/records/tables.js';
import { deltaKeyOf } from './batch-order.js';
import type { KeyBytes } from './env.js';
import { TableReader } from './reader.js';
import { Span } from './span.js';

const EMPTY = Buffer.alloc(0);
/** Layer and table in front of the place. */
const DELTA_PREFIX_LENGTH = 7;
const LAYER_LENGTH = 6;
/** A key is at most 1978 bytes. */
const KEY_ROOM = 2048;
const ONLY_IF_ABSENT = { noOverwrite: true };
const STEP_LENGTH = 4;

/** lmdb reads a value's bytes from `start` to `end` when the buffer has these fields. */
interface ValueRoom extends Buffer {
  start?: number;
  end?: number;
}

export class WriteTransaction extends TableReader {
  #scratch: ValueRoom = Buffer.allocUnsafeSlow(64 * 1024);
  readonly #delta = new Span(Buffer.allocUnsafeSlow(KEY_ROOM));

  /** Makes a table that an older volume does not have. */
  addTable(name: TableName): void {
    this.env.addTable(name);
  }

  put(table: TableNumber, key: Buffer, value: Uint8Array): void {
    this.putRecord(table, key, value);
    if (isVersioned(table)) this.noteDelta(deltaKeyOf(table, key));
  }

  /** Deleting a missing record does nothing. */
  del(table: TableNumber, key: Buffer): void {
    this.deleteRecord(table, key);
    if (isVersioned(table)) this.dropDelta(table, key);
  }

  /** Stores only the record; the caller maintains the delta map. */
  putRecord(table: TableNumber, key: KeyBytes, value: Uint8Array | Span): void {
    const stored =
      value instanceof Span
        ? this.#copy(value.bytes, value.start, value.length)
        : this.#copy(value, 0, value.length);
    this.env.table(table).putSync(key, stored);
  }

  /** lmdb takes a wrong address of shared memory and would store other bytes. */
  #copy(bytes: Uint8Array, start: number, length: number): Buffer {
    if (this.#scratch.length < length) this.#scratch = Buffer.allocUnsafeSlow(length * 2);
    const scratch = this.#scratch;
    copyBytes(bytes, start, length, scratch, 0);
    scratch.start = 0;
    scratch.end = length;
    return scratch;
  }

  deleteRecord(table: TableNumber, key: KeyBytes): void {
    this.env.table(table).removeSync(key);
  }

  /** `noteDelta` for the key of a record. */
  noteDeltaOf(table: TableNumber, key: Span): void {
    const delta = this.#delta;
    const { bytes } = delta;
    const placeLength = key.length - versionLength(table);
    const layerAt = key.start + placeLength;
    // The record's key holds the layer's complement.
    for (let i = 0; i < LAYER_LENGTH; i++) bytes[i] = 255 - (key.bytes[layerAt + i] as number);
    bytes[LAYER_LENGTH] = table;
    copyBytes(key.bytes, key.start, placeLength, bytes, DELTA_PREFIX_LENGTH);
    delta.length = DELTA_PREFIX_LENGTH + placeLength;
    this.noteDelta(delta);
  }

  /** Dirties no page when the entry already exists. */
  noteDelta(key: KeyBytes): void {
    this.env.table(TABLE.delta).putSync(key, EMPTY, ONLY_IF_ABSENT);
  }

  /**
   * Removes the delta entry of a deleted record, unless another step of its
   * place and layer remains.
   */
  dropDelta(table: TableNumber, key: Buffer): void {
    if (table === TABLE.blocks && this.#hasOtherStep(key)) return;
    this.env.table(TABLE.delta).removeSync(deltaKeyOf(table, key));
  }

  #hasOtherStep(key: Buffer): boolean {
    const first = Buffer.from(key);
    first.fill(0, key.length - STEP_LENGTH);
    const last = Buffer.from(key);
    last.writeUInt32BE(MAX_STEP, key.length - STEP_LENGTH);
    const keys = this.env
      .table(TABLE.blocks)
      .getKeys({ start: first, end: last, inclusiveEnd: true, limit: 1 });
    for (const _ of keys) return true;
    return false;
  }
}
