/**
 * The part of the collector that processes the reap table (rule F5): records
 * left over from gone inodes, records hidden by clips, and blocks whose bytes
 * the base has (rule G3). Repeating an item changes nothing.
 */
import {
  afterKey,
  decodeDeltaKey,
  deltaKey,
  deltaPrefix,
  filesetOf,
  inodeOf,
  prefixEnd,
} from '../../format/records/keys.js';
import { TABLE, type TableNumber } from '../../format/records/tables.js';
import type { WriteTransaction } from '../../store/write-transaction.js';
import { REAP_ALL, REAP_GIVEN } from '../files/file-data.js';
import { type Garbage, type InodeState, versionsIn } from './garbage.js';

/** Items of the reap table processed together. */
const REAP_ITEMS = 128;
/** Tables that may hold records of a gone inode. */
const REAPED_TABLES = [TABLE.blocks, TABLE.attributes, TABLE.entries] as const;

/** The parts of a key of the reap table. */
function reapedLayer(key: Buffer): number {
  return key.readUIntBE(key.length - 6, 6);
}

function reapedPlace(key: Buffer): Buffer {
  return key.subarray(0, key.length - 6);
}

export interface ReapCursor {
  item: Buffer;
  cursor: Buffer;
}

interface RemovalCount {
  removedRecords: number;
}

/** Removes every version of a place in one layer. */
export function removeAll(
  tx: WriteTransaction,
  table: TableNumber,
  place: Buffer,
  layer: number,
  stats: RemovalCount,
): void {
  const versions = versionsIn(tx, table, place, layer);
  for (const key of versions) {
    tx.deleteRecord(table, key);
    stats.removedRecords++;
  }
  // Also for an entry without a record (a damaged volume), which would otherwise be found again for
  // ever.
  tx.deleteRecord(TABLE.delta, deltaKey(layer, table, place));
}

export class Reaper {
  /** Where the clip work on a large file continues. */
  cursor: ReapCursor | undefined;

  /** `lost`: a layer has one block less. */
  constructor(
    readonly stats: RemovalCount,
    readonly lost: (layer: number) => void,
  ) {}

  /**
   * Works on about `places` places of the first items of the reap table.
   * Returns false when it is empty.
   */
  slice(tx: WriteTransaction, garbage: Garbage, places: number): boolean {
    let left = places;
    while (left > 0) {
      const items = [...tx.range(TABLE.reap, undefined, undefined, { limit: REAP_ITEMS })];
      if (items.length === 0) return left < places;
      const tables = this.#tablesOf(tx, items);
      for (const { key, value } of items) {
        left -= 1 + this.#reapItem(tx, garbage, key, value, tables, left);
        if (left <= 0) break;
      }
    }
    return true;
  }

  /**
   * The tables that have any record of these inodes: one lookup for all inodes,
   * if they are of one layer.
   */
  #tablesOf(tx: WriteTransaction, items: readonly { key: Buffer }[]): readonly TableNumber[] {
    const keys = items.map(({ key }) => key);
    const first = keys[0] as Buffer;
    const last = keys[keys.length - 1] as Buffer;
    const layer = reapedLayer(first);
    const isAlike = keys.every((key) => reapedLayer(key) === layer);
    if (!isAlike) return REAPED_TABLES;
    return REAPED_TABLES.filter((table) => {
      const prefix = deltaPrefix(layer, table);
      const start = Buffer.concat([prefix, reapedPlace(first)]);
      const end = prefixEnd(Buffer.concat([prefix, reapedPlace(last)]));
      return tx.seek(TABLE.delta, start, end) !== undefined;
    });
  }

  /** Returns the number of places read; the item is done if they are fewer than `limit`. */
  #reapItem(
    tx: WriteTransaction,
    garbage: Garbage,
    key: Buffer,
    value: Buffer,
    tables: readonly TableNumber[],
    limit: number,
  ): number {
    const layer = reapedLayer(key);
    const place = reapedPlace(key);
    const isAll = value[0] === REAP_ALL;
    const state = isAll ? 'gone' : garbage.inodeAt(tx, filesetOf(place), inodeOf(place), layer);
    let left = limit;
    for (const table of tables) {
      if (!isAll && table !== TABLE.blocks) continue;
      const isGiven = value[0] === REAP_GIVEN;
      left -= this.#reapTable(tx, garbage, layer, table, place, state, isGiven, key, left);
      if (left <= 0) return limit;
    }
    tx.del(TABLE.reap, key);
    this.cursor = undefined;
    return limit - left;
  }

  #reapTable(
    tx: WriteTransaction,
    garbage: Garbage,
    layer: number,
    table: TableNumber,
    place: Buffer,
    state: InodeState,
    isGiven: boolean,
    item: Buffer,
    limit: number,
  ): number {
    const prefix = Buffer.concat([deltaPrefix(layer, table), place]);
    const resume = this.cursor?.item.equals(item) === true ? this.cursor.cursor : prefix;
    const mayStay = isGiven || state !== 'gone';
    const start = resume.compare(prefix) > 0 && mayStay ? resume : prefix;
    const keys = [...tx.range(TABLE.delta, start, prefixEnd(prefix), { limit, keysOnly: true })];
    for (const { key } of keys) {
      const { place: found } = decodeDeltaKey(key);
      if (isGiven) this.#removeUnneeded(tx, garbage, found, layer);
      else if (state === 'gone') removeAll(tx, table, found, layer, this.stats);
      else this.#removeHidden(tx, garbage, found, layer, state);
      this.cursor = { item, cursor: afterKey(key) };
    }
    return keys.length;
  }

  /** A block that no view reads since the base has it. */
  #removeUnneeded(tx: WriteTransaction, garbage: Garbage, place: Buffer, layer: number): void {
    const [newest, ...older] = versionsIn(tx, TABLE.blocks, place, layer);
    if (newest === undefined) return;
    if (garbage.isNeeded(tx, TABLE.blocks, place, newest, layer)) {
      for (const key of older) tx.del(TABLE.blocks, key);
      return;
    }
    removeAll(tx, TABLE.blocks, place, layer, this.stats);
    this.lost(layer);
  }

  /** Versions of a block in one layer that its own inode record hides, or newer steps replace. */
  #removeHidden(
    tx: WriteTransaction,
    garbage: Garbage,
    place: Buffer,
    layer: number,
    state: InodeState,
  ): void {
    if (state === 'gone' || state === 'absent') return;
    for (const [i, key] of versionsIn(tx, TABLE.blocks, place, layer).entries()) {
      if (i === 0 && !garbage.hides(state, key)) continue;
      tx.del(TABLE.blocks, key);
      this.stats.removedRecords++;
    }
  }
}
