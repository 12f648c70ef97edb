/**
 * Finds the garbage of a top that is no longer kept (rule D13): a snapshot was
 * deleted, a view closed. Only this top may have seen the newest version, at or
 * below it, of each place that was written between it and the next kept tops.
 * So only those layers' delta maps are read, and no layer below: the cost is
 * proportional to the changes, however much is stored.
 */
import {
  afterKey,
  decodeDeltaKey,
  deltaPrefix,
  filesetOf,
  inodeOf,
  inodePlace,
  placeOf,
  prefixEnd,
} from '../../format/records/keys.js';
import { TABLE, type TableNumber } from '../../format/records/tables.js';
import type { WriteTransaction } from '../../store/write-transaction.js';
import { newestKeyOf, type Sight } from '../newest.js';
import type { Garbage } from './garbage.js';
import type { Removals } from './removals.js';

/** Tables whose records an inode's own record can hide without newer versions of them. */
const HIDDEN_TABLES = [TABLE.entries, TABLE.blocks, TABLE.attributes] as const;

interface Hidden {
  /** The inode's place. */
  inode: Buffer;
  tables: TableNumber[];
  cursor: Buffer;
}

interface Release {
  /** What the top saw. */
  sight: Sight;
  /** Above it, up to the next kept ones: those still to be gone through. */
  layers: number[];
  /** Position in the delta map of the first of them. */
  cursor: Buffer | undefined;
  /** An inode that is gone or cut there: all its records are to be checked. */
  hidden: Hidden | undefined;
}

export class ReleasedTops {
  #left: Release[] = [];

  constructor(readonly removals: Removals) {}

  add(garbage: Garbage, top: number): void {
    const layers: number[] = [];
    const above = [...garbage.tree.children(top)];
    for (let layer = above.pop(); layer !== undefined; layer = above.pop()) {
      layers.push(layer);
      if (!garbage.keptTops.has(layer)) above.push(...garbage.tree.children(layer));
    }
    const sight = { top, lineage: garbage.tree.lineage(top) };
    this.#left.push({ sight, layers, cursor: undefined, hidden: undefined });
  }

  /** Drops all work: everything is swept again anyway. */
  clear(): void {
    this.#left = [];
  }

  /** Works on about `places` places. False when nothing was left to do. */
  slice(tx: WriteTransaction, garbage: Garbage, places: number): boolean {
    let budget = places;
    while (budget > 0) {
      const release = this.#left[0];
      if (release === undefined) return budget < places;
      const layer = release.layers[0];
      if (release.hidden !== undefined) {
        budget -= this.#hiddenSlice(tx, garbage, release, release.hidden, budget);
      } else if (layer === undefined) {
        this.#left.shift();
        budget--;
      } else {
        budget -= this.#layerSlice(tx, garbage, release, layer, budget);
      }
    }
    return true;
  }

  #layerSlice(
    tx: WriteTransaction,
    garbage: Garbage,
    release: Release,
    layer: number,
    limit: number,
  ): number {
    const start = release.cursor ?? deltaPrefix(layer);
    const end = prefixEnd(deltaPrefix(layer));
    const keys = [...tx.range(TABLE.delta, start, end, { limit, keysOnly: true })];
    let count = 0;
    for (const { key } of keys) {
      count++;
      const { table, place } = decodeDeltaKey(key);
      this.#lookBelow(tx, garbage, release, table, place);
      if (table !== TABLE.inodes) continue;
      const hidden = this.#hiddenBy(tx, garbage, place, layer);
      if (hidden === undefined) continue;
      release.cursor = afterKey(key);
      release.hidden = hidden;
      return count;
    }
    const last = keys.at(-1);
    if (keys.length === limit && last !== undefined) {
      release.cursor = afterKey(last.key);
    } else {
      release.layers.shift();
      release.cursor = undefined;
    }
    return count + 1;
  }

  #hiddenBy(
    tx: WriteTransaction,
    garbage: Garbage,
    place: Buffer,
    layer: number,
  ): Hidden | undefined {
    const state = garbage.inodeAt(tx, filesetOf(place), inodeOf(place), layer);
    if (state === 'absent') return undefined;
    const isCut = state !== 'gone' && (state.clips.length > 0 || state.given !== undefined);
    if (state !== 'gone' && !isCut) return undefined;
    const inode = inodePlace(filesetOf(place), inodeOf(place));
    return { inode, tables: isCut ? [TABLE.blocks] : [...HIDDEN_TABLES], cursor: inode };
  }

  /** Every place of an inode: the version that the top saw may be hidden now. */
  #hiddenSlice(
    tx: WriteTransaction,
    garbage: Garbage,
    release: Release,
    hidden: Hidden,
    limit: number,
  ): number {
    const [table] = hidden.tables;
    if (table === undefined) {
      release.hidden = undefined;
      return 1;
    }
    const end = prefixEnd(hidden.inode);
    const keys = [...tx.range(table, hidden.cursor, end, { limit, keysOnly: true })];
    let before: Buffer | undefined;
    for (const { key } of keys) {
      const place = placeOf(table, key);
      if (before?.equals(place) === true) continue;
      before = place;
      this.#lookBelow(tx, garbage, release, table, place);
    }
    const last = keys.at(-1);
    if (keys.length === limit && last !== undefined) {
      hidden.cursor = afterKey(last.key);
    } else {
      hidden.tables.shift();
      hidden.cursor = hidden.inode;
    }
    return keys.length + 1;
  }

  /** Removes the version that the top saw, if no kept top sees it. */
  #lookBelow(
    tx: WriteTransaction,
    garbage: Garbage,
    { sight }: Release,
    table: TableNumber,
    place: Buffer,
  ): void {
    const found = newestKeyOf(tx, sight, table, place);
    if (found === undefined || !this.removals.isSweepable(garbage, found.layer)) return;
    if (!garbage.isNeeded(tx, table, place, found.key, found.layer)) {
      this.removals.remove(tx, garbage, table, place, found.layer);
    }
  }
}
