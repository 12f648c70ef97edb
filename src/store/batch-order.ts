/**
 * A batch's operations in the order in which LMDB takes them best: by table
 * and key, the last operation of a key only, with the delta map's work
 * derived from them (rule D2). Pure.
 */
import { deltaKey, layerOf, placeOf } from '../format/keys.js';
import { isVersioned, type TableNumber } from '../format/tables.js';
import { OPERATION, type WriteBatch } from './batch.js';

/** The delta map's key of a versioned record. */
export function deltaKeyOf(table: TableNumber, key: Buffer): Buffer {
  return deltaKey(layerOf(table, key), table, placeOf(table, key));
}

export interface Operation {
  table: TableNumber;
  key: Buffer;
  /** undefined: delete. A view of shared memory. */
  value: Buffer | undefined;
}

interface Sortable {
  table: TableNumber;
  /** The key's bytes as a string: compares fast and in byte order. */
  text: string;
  /** Position in the batch. */
  index: number;
}

function compare(a: Sortable, b: Sortable): number {
  if (a.table !== b.table) return a.table - b.table;
  if (a.text !== b.text) return a.text < b.text ? -1 : 1;
  return a.index - b.index;
}

/** The operations that count, sorted by table and key. */
export function orderedOperations(batch: WriteBatch): Operation[] {
  const words = new Int32Array(batch.operations);
  const word = (index: number, field: number): number =>
    words[index * OPERATION.words + field] as number;
  const slabs = batch.slabs.map((slab) => Buffer.from(slab));
  const part = (slab: number, offset: number, length: number): Buffer =>
    (slabs[slab] as Buffer).subarray(offset, offset + length);
  const keyAt = (i: number): Buffer =>
    part(word(i, OPERATION.keySlab), word(i, OPERATION.keyOffset), word(i, OPERATION.keyLength));

  const order: Sortable[] = [];
  for (let index = 0; index < batch.count; index++) {
    const table = word(index, OPERATION.table) as TableNumber;
    order.push({ table, text: keyAt(index).toString('latin1'), index });
  }
  order.sort(compare);

  const operations: Operation[] = [];
  for (let i = 0; i < order.length; i++) {
    const { table, text, index } = order[i] as Sortable;
    const next = order[i + 1];
    if (next !== undefined && next.table === table && next.text === text) continue;
    const valueSlab = word(index, OPERATION.valueSlab);
    const value =
      valueSlab < 0
        ? undefined
        : part(valueSlab, word(index, OPERATION.valueOffset), word(index, OPERATION.valueLength));
    operations.push({ table, key: keyAt(index), value });
  }
  return operations;
}

/** The sorted delta keys of all puts to versioned tables, each once. */
export function deltaKeysOfPuts(operations: readonly Operation[]): Buffer[] {
  const keys: { text: string; key: Buffer }[] = [];
  for (const { table, key, value } of operations) {
    if (value === undefined || !isVersioned(table)) continue;
    const delta = deltaKeyOf(table, key);
    keys.push({ text: delta.toString('latin1'), key: delta });
  }
  keys.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  return keys.filter(({ text }, i) => keys[i - 1]?.text !== text).map(({ key }) => key);
}

/** The deletes that may take a delta entry with them. */
export function versionedDeletes(operations: readonly Operation[]): Operation[] {
  return operations.filter(({ table, value }) => value === undefined && isVersioned(table));
}
