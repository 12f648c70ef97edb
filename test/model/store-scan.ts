/** What lies in a volume's tables, read from the store alone. */
import assert from 'node:assert/strict';
import { layerOf } from '../../src/format/keys.js';
import { TABLE, type TableNumber } from '../../src/format/tables.js';
import { deltaKeyOf } from '../../src/store/batch-order.js';
import type { TableReader } from '../../src/store/reader.js';

export const VERSIONED: readonly TableNumber[] = [
  TABLE.inodes,
  TABLE.entries,
  TABLE.blocks,
  TABLE.attributes,
  TABLE.orphans,
];

/** Rule D2, both ways; and every record's layer exists. */
export function checkDelta(reader: TableReader): void {
  const places = new Set<string>();
  const layers = new Set<number>();
  for (const table of VERSIONED) {
    for (const { key } of reader.range(table, undefined, undefined, { keysOnly: true })) {
      places.add(deltaKeyOf(table, key).toString('hex'));
      layers.add(layerOf(table, key));
    }
  }
  const noted: string[] = [];
  for (const { key } of reader.range(TABLE.delta, undefined, undefined, { keysOnly: true })) {
    noted.push(key.toString('hex'));
  }
  assert.deepEqual(noted, [...places].sort(), 'D2: the delta map is the set of places');
  const known = new Set(layerNumbers(reader));
  for (const layer of layers) assert.ok(known.has(layer), `layer ${layer} of a record exists`);
}

export function layerNumbers(reader: TableReader): number[] {
  const layers = reader.range(TABLE.layers, undefined, undefined, { keysOnly: true });
  return [...layers].map(({ key }) => key.readUIntBE(0, 6));
}

export function countRecords(reader: TableReader, table: TableNumber): number {
  return [...reader.range(table, undefined, undefined, { keysOnly: true })].length;
}
