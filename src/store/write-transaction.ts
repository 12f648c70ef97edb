/**
 * Changes inside one LMDB transaction, with rule D2 kept: a record of a
 * versioned table exists in layer L exactly if the delta map has its place
 * in L. Callers never write to the delta map of such a record themselves.
 */
import { isVersioned, MAX_STEP, TABLE, type TableNumber } from '../format/tables.js';
import { deltaKeyOf } from './batch-order.js';
import { TableReader } from './reader.js';

const EMPTY = Buffer.alloc(0);
const ONLY_IF_ABSENT = { noOverwrite: true };
const STEP_LENGTH = 4;

export class WriteTransaction extends TableReader {
  #scratch = Buffer.allocUnsafeSlow(64 * 1024);

  put(table: TableNumber, key: Buffer, value: Uint8Array): void {
    this.putRecord(table, key, value);
    if (isVersioned(table)) this.noteDelta(deltaKeyOf(table, key));
  }

  /** Deleting what is not there does nothing. */
  del(table: TableNumber, key: Buffer): void {
    this.deleteRecord(table, key);
    if (isVersioned(table)) this.dropDelta(table, key);
  }

  /** The record alone; the caller sees to the delta map. */
  putRecord(table: TableNumber, key: Uint8Array, value: Uint8Array): void {
    const memory: unknown = value.buffer;
    const stable = memory instanceof SharedArrayBuffer ? this.#copy(value) : value;
    this.env.table(table).putSync(key, stable);
  }

  /** lmdb takes a wrong address for shared memory and would store whatever is there. */
  #copy(value: Uint8Array): Buffer {
    if (this.#scratch.length < value.length)
      this.#scratch = Buffer.allocUnsafeSlow(value.length * 2);
    this.#scratch.set(value);
    return this.#scratch.subarray(0, value.length);
  }

  deleteRecord(table: TableNumber, key: Uint8Array): void {
    this.env.table(table).removeSync(key);
  }

  /** Dirties no page when the entry is there already. */
  noteDelta(key: Uint8Array): void {
    this.env.table(TABLE.delta).putSync(key, EMPTY, ONLY_IF_ABSENT);
  }

  /** Drops the delta entry of a deleted record, unless another step of its place and layer remains. */
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
