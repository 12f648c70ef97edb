/**
 * Removes records that no view needs, with the consequences: a tombstone above
 * that no longer hides anything also goes, and a layer that has become small is
 * checked again. Owns the results of the sweeps.
 */
import { filesetOf, inodeOf, inodePlace, layerOf, prefixEnd } from '../../format/records/keys.js';
import { BASE_LAYER, TABLE, type TableNumber } from '../../format/records/tables.js';
import type { WriteTransaction } from '../../store/write-transaction.js';
import { type Garbage, isTombstone } from './garbage.js';
import { removeAll } from './reaper.js';

/** A layer with more than this left is not folded: folding copies (rule F6). */
const FOLD_RECORDS = 4096;
const FOLD_BYTES = 8 * 1024 * 1024;

/** The records left in a layer. */
export interface Left {
  records: number;
  bytes: number;
}

export function isSmall({ records, bytes }: Left): boolean {
  return records <= FOLD_RECORDS && bytes <= FOLD_BYTES;
}

/** The approximate size of a record. */
export function recordBytes(table: TableNumber, place: Buffer, blockSize: number): number {
  return table === TABLE.blocks ? blockSize : place.length;
}

export interface Swept extends Left {
  /** What decided about its records at that time; a change requires another sweep. */
  signature: string;
}

export class Removals {
  /** The state of each layer at its last sweep. */
  readonly swept = new Map<number, Swept>();
  /** Layers that lost records outside their sweep: a running sweep has miscounted. */
  readonly touched = new Set<number>();

  constructor(readonly stats: { removedRecords: number }) {}

  /** A sealed layer without a name: records that no view needs may go. */
  isSweepable({ tree, keptTops }: Garbage, layer: number): boolean {
    return (
      layer !== BASE_LAYER &&
      tree.has(layer) &&
      tree.get(layer).state === 'sealed' &&
      !keptTops.has(layer)
    );
  }

  /** Removes a place from a layer; tombstones above it go with the last record that they hide. */
  remove(
    tx: WriteTransaction,
    garbage: Garbage,
    table: TableNumber,
    place: Buffer,
    layer: number,
  ): void {
    this.#take(tx, garbage, table, place, layer);
    this.dropTombstones(tx, garbage, table, place);
  }

  /** Removes the tombstones at a place, and of its inode, that hide nothing. */
  dropTombstones(tx: WriteTransaction, garbage: Garbage, table: TableNumber, place: Buffer): void {
    this.#dropAt(tx, garbage, table, place);
    if (table === TABLE.inodes) return;
    this.#dropAt(tx, garbage, TABLE.inodes, inodePlace(filesetOf(place), inodeOf(place)));
  }

  #dropAt(tx: WriteTransaction, garbage: Garbage, table: TableNumber, place: Buffer): void {
    for (const { key } of tx.range(table, place, prefixEnd(place), { keysOnly: true })) {
      const layer = layerOf(table, key);
      if (!this.isSweepable(garbage, layer) || !isTombstone(tx, table, key)) continue;
      if (!garbage.hidesNothing(tx, table, place, layer)) continue;
      this.#take(tx, garbage, table, place, layer);
    }
  }

  #take(
    tx: WriteTransaction,
    garbage: Garbage,
    table: TableNumber,
    place: Buffer,
    layer: number,
  ): void {
    removeAll(tx, table, place, layer, this.stats);
    if (table === TABLE.inodes) garbage.forget();
    this.lessIn(layer, recordBytes(table, place, garbage.blockSize));
  }

  /** A record was folded into the layer. */
  moved(layer: number, bytes: number): void {
    const swept = this.swept.get(layer);
    if (swept === undefined) return;
    swept.records++;
    swept.bytes += bytes;
  }

  /** A record of the layer is gone. */
  lessIn(layer: number, bytes: number): void {
    this.touched.add(layer);
    const swept = this.swept.get(layer);
    if (swept === undefined) return;
    const wasSmall = isSmall(swept);
    swept.records--;
    swept.bytes -= bytes;
    if (swept.records <= 0 || (!wasSmall && isSmall(swept))) this.swept.delete(layer);
  }
}
