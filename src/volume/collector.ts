/**
 * The collector (rules D1, D13, F5, F6): gives back what no view can see.
 *
 * It works beside the writer, in small transactions, on sealed layers and on
 * the `reap` table only, so it never meets what the open group holds. It can
 * stop anywhere: everything it does may be repeated. It never touches the
 * layers table: a layer that it has emptied is reported, and the volume takes
 * the record out with its next group.
 */
import { decodeInode, type InodeFields } from '../format/inode-record.js';
import {
  blockIndexOf,
  decodeDeltaKey,
  deltaPrefix,
  filesetOf,
  inodeKey,
  inodeOf,
  inodePlace,
  layerOf,
  prefixEnd,
  stepOf,
  versionedKey,
} from '../format/keys.js';
import { BASE_LAYER, TABLE, type TableNumber } from '../format/tables.js';
import { decodeJson } from '../format/values.js';
import type { WriteTransaction } from '../store/write-transaction.js';
import { REAP_ALL } from './file-data.js';
import { Inode } from './inode.js';
import { type Layer, LayerTree } from './lineage.js';

/** A layer with more than this left is not folded: folding copies (rule F6). */
const FOLD_RECORDS = 4096;
const FOLD_BYTES = 8 * 1024 * 1024;
/** A round has at least so many records, and as many as a sweep looks at: so it costs O(1) each. */
const ROUND_RECORDS = 4096;
/** Places looked at in one transaction. */
export const SLICE_PLACES = 400;

interface LayerJob {
  layer: number;
  /** As it was when the sweep began: what changes meanwhile calls for another one. */
  signature: string;
  phase: 'sweep' | 'fold';
  cursor: Buffer;
  kept: number;
  keptBytes: number;
}

type InodeState = InodeFields | 'gone' | 'absent';

export interface CollectorStats {
  removedRecords: number;
  foldedRecords: number;
  emptiedLayers: number;
}

export class Collector {
  readonly stats: CollectorStats = { removedRecords: 0, foldedRecords: 0, emptiedLayers: 0 };
  #tree = new LayerTree();
  #keptTops = new Set<number>();
  #pinned: readonly number[] = [];
  /** Layer → the kept tops that decide over it, in this tree. */
  readonly #frontiers = new Map<number, string>();
  #stale = true;
  #job: LayerJob | undefined;
  /** What each layer looked like when it was last swept, and what was left in it. */
  readonly #swept = new Map<number, { signature: string; kept: number }>();
  /** Open layers hide ever more of the layers below: those are swept again every so often. */
  #round = 0;
  /** Records stored in this round. */
  #written = 0;
  readonly #reported = new Set<number>();

  constructor(
    readonly blockSize: number,
    readonly hasBase: boolean,
    readonly emptied: (layer: number) => void,
  ) {}

  /** A group of so many records was stored: layers or snapshots may have changed. */
  refresh(records: number): void {
    this.#stale = true;
    this.#written += records;
    const below = [...this.#swept.values()].reduce((sum, { kept }) => sum + kept, 0);
    if (this.#written < Math.max(ROUND_RECORDS, below)) return;
    this.#written = 0;
    this.#round++;
  }

  pin(layers: readonly number[]): void {
    this.#pinned = layers;
    this.#stale = true;
  }

  #load(tx: WriteTransaction): void {
    const tree = new LayerTree();
    const kept = new Set<number>(this.#pinned);
    for (const { key, value } of tx.range(TABLE.layers, undefined, undefined)) {
      const number = key.readUIntBE(0, 6);
      const layer = { ...decodeJson<Omit<Layer, 'number'>>(value, `layer ${number}`), number };
      tree.add(layer);
      if (layer.state === 'open') kept.add(number);
    }
    for (const { key, value } of tx.range(TABLE.snapshots, undefined, undefined)) {
      kept.add(decodeJson<{ layer: number }>(value, `snapshot ${key.toString()}`).layer);
    }
    // Empty and on their way out: nothing may be folded into them any more.
    for (const layer of this.#reported) {
      if (tree.has(layer)) tree.remove(layer);
      else this.#reported.delete(layer);
      this.#swept.delete(layer);
    }
    this.#tree = tree;
    this.#keptTops = kept;
    this.#frontiers.clear();
    this.#stale = false;
    if (this.#job !== undefined && !this.#isSweepable(this.#job.layer)) this.#job = undefined;
  }

  #isSweepable(layer: number): boolean {
    return (
      layer !== BASE_LAYER &&
      this.#tree.has(layer) &&
      this.#tree.get(layer).state === 'sealed' &&
      !this.#keptTops.has(layer)
    );
  }

  /** What decides which of a layer's records are garbage, and whether it can be folded. */
  #signature(layer: number): string {
    return `${this.#tree.children(layer).join()} ${this.#frontier(layer)}`;
  }

  /** The first kept tops on every way up from a layer, and whether they still change. */
  #frontier(layer: number): string {
    let frontier = this.#frontiers.get(layer);
    if (frontier === undefined) {
      frontier = this.#tree
        .children(layer)
        .map((c) => (this.#keptTops.has(c) ? this.#keptTop(c) : this.#frontier(c)))
        .join();
      this.#frontiers.set(layer, frontier);
    }
    return frontier;
  }

  #keptTop(layer: number): string {
    return this.#tree.get(layer).state === 'open' ? `${layer}open${this.#round}` : `${layer}`;
  }

  #nextJob(): LayerJob | undefined {
    // Newest first: a dead leaf frees its parent to be folded.
    for (const { number } of this.#tree.all().reverse()) {
      if (!this.#isSweepable(number)) continue;
      const signature = this.#signature(number);
      if (this.#swept.get(number)?.signature === signature) continue;
      const cursor = deltaPrefix(number);
      return { layer: number, signature, phase: 'sweep', cursor, kept: 0, keptBytes: 0 };
    }
    return undefined;
  }

  /** One small piece of work inside a transaction. Returns false when nothing is left to do. */
  slice(tx: WriteTransaction): boolean {
    if (this.#stale) this.#load(tx);
    if (this.#reapSlice(tx)) return true;
    this.#job ??= this.#nextJob();
    if (this.#job === undefined) return false;
    if (this.#job.phase === 'sweep') this.#sweepSlice(tx, this.#job);
    else this.#foldSlice(tx, this.#job);
    return true;
  }

  /** Works on the first item of the reap table. Returns false when it is empty. */
  #reapSlice(tx: WriteTransaction): boolean {
    const item = tx.range(TABLE.reap, undefined, undefined, { limit: 1 }).next();
    if (item.done) return false;
    const { key, value } = item.value;
    const fileset = key.readUInt32BE(0);
    const ino = inodeOf(key);
    const layer = key.readUIntBE(key.length - 6, 6);
    const isAll = value[0] === REAP_ALL;
    const tables = isAll ? [TABLE.blocks, TABLE.attributes, TABLE.entries] : [TABLE.blocks];
    const state = isAll ? 'gone' : this.#inodeAt(tx, fileset, ino, layer);
    let left = SLICE_PLACES;
    for (const table of tables) {
      left -= this.#reapTable(tx, layer, table, inodePlace(fileset, ino), state, key, left);
      if (left <= 0) return true;
    }
    tx.del(TABLE.reap, key);
    this.#reapCursor = undefined;
    return true;
  }

  /** Where the clip work on a large file goes on. */
  #reapCursor: { item: Buffer; cursor: Buffer } | undefined;

  #reapTable(
    tx: WriteTransaction,
    layer: number,
    table: TableNumber,
    place: Buffer,
    state: InodeState,
    item: Buffer,
    limit: number,
  ): number {
    const prefix = Buffer.concat([deltaPrefix(layer, table), place]);
    const resume = this.#reapCursor?.item.equals(item) === true ? this.#reapCursor.cursor : prefix;
    const start = resume.compare(prefix) > 0 && state !== 'gone' ? resume : prefix;
    const keys = [...tx.range(TABLE.delta, start, prefixEnd(prefix), { limit, keysOnly: true })];
    for (const { key } of keys) {
      const { place: found } = decodeDeltaKey(key);
      if (state === 'gone') this.#removeAll(tx, table, found, layer);
      else this.#removeHidden(tx, found, layer, state);
      this.#reapCursor = { item, cursor: Buffer.concat([key, Buffer.of(0)]) };
    }
    return keys.length;
  }

  #versionsIn(tx: WriteTransaction, table: TableNumber, place: Buffer, layer: number): Buffer[] {
    const start = versionedKey(table, place, layer, 2 ** 32 - 1);
    const end = versionedKey(table, place, layer - 1, 2 ** 32 - 1);
    return [...tx.range(table, start, end, { keysOnly: true })].map(({ key }) => key);
  }

  #removeAll(tx: WriteTransaction, table: TableNumber, place: Buffer, layer: number): void {
    for (const key of this.#versionsIn(tx, table, place, layer)) {
      tx.del(table, key);
      this.stats.removedRecords++;
    }
  }

  /** Versions of a block in one layer that its own inode record hides, or newer steps replace. */
  #removeHidden(tx: WriteTransaction, place: Buffer, layer: number, state: InodeState): void {
    if (state === 'gone' || state === 'absent') return;
    for (const [i, key] of this.#versionsIn(tx, TABLE.blocks, place, layer).entries()) {
      if (i === 0 && !this.#isClipped(state, blockIndexOf(place), layer, stepOf(key))) continue;
      tx.del(TABLE.blocks, key);
      this.stats.removedRecords++;
    }
  }

  #isClipped(inode: InodeFields, index: number, layer: number, step: number): boolean {
    return inode.clips.some(
      (clip) =>
        clip.size <= index * this.blockSize &&
        (layer < clip.layer || (layer === clip.layer && step < clip.step)),
    );
  }

  #inodeAt(tx: WriteTransaction, fileset: number, ino: number, layer: number): InodeState {
    const value = tx.get(TABLE.inodes, inodeKey(fileset, ino, layer));
    if (value === undefined) return 'absent';
    const inode = new Inode(ino);
    return decodeInode(value, inode, `inode ${ino} in layer ${layer}`) ? inode : 'gone';
  }

  #sweepSlice(tx: WriteTransaction, job: LayerJob): void {
    const end = prefixEnd(deltaPrefix(job.layer));
    const keys = [
      ...tx.range(TABLE.delta, job.cursor, end, { limit: SLICE_PLACES, keysOnly: true }),
    ];
    for (const { key } of keys) {
      const { table, place } = decodeDeltaKey(key);
      const versions = this.#versionsIn(tx, table, place, job.layer);
      const newest = versions.shift();
      for (const older of versions) tx.del(table, older);
      if (newest === undefined) continue;
      if (this.#isNeeded(tx, table, place, newest, job.layer)) {
        job.kept++;
        job.keptBytes += table === TABLE.blocks ? this.blockSize : place.length;
      } else {
        tx.del(table, newest);
        this.stats.removedRecords++;
      }
    }
    const last = keys.at(-1);
    if (keys.length === SLICE_PLACES && last !== undefined) {
      job.cursor = Buffer.concat([last.key, Buffer.of(0)]);
      return;
    }
    this.#swept.set(job.layer, { signature: job.signature, kept: job.kept });
    const mayFold = this.#foldTarget(job.layer) !== undefined;
    if (job.kept === 0) this.#reportEmptied(job.layer);
    else if (mayFold && job.kept <= FOLD_RECORDS && job.keptBytes <= FOLD_BYTES) {
      this.#job = { ...job, phase: 'fold', cursor: deltaPrefix(job.layer) };
      return;
    }
    this.#job = undefined;
  }

  #reportEmptied(layer: number): void {
    this.#reported.add(layer);
    this.#tree.remove(layer);
    this.stats.emptiedLayers++;
    this.emptied(layer);
  }

  /** The only child, if it is sealed. */
  #foldTarget(layer: number): number | undefined {
    const children = this.#tree.children(layer);
    const only = children.length === 1 ? (children[0] as number) : undefined;
    return only !== undefined && this.#tree.get(only).state === 'sealed' ? only : undefined;
  }

  #foldSlice(tx: WriteTransaction, job: LayerJob): void {
    const target = this.#foldTarget(job.layer);
    if (target === undefined) {
      this.#job = undefined;
      return;
    }
    const prefix = deltaPrefix(job.layer);
    const range = { limit: SLICE_PLACES, keysOnly: true };
    const keys = [...tx.range(TABLE.delta, prefix, prefixEnd(prefix), range)];
    for (const { key } of keys) {
      const { table, place } = decodeDeltaKey(key);
      const newest = this.#versionsIn(tx, table, place, job.layer)[0];
      if (newest !== undefined) {
        const isReplaced = this.#versionsIn(tx, table, place, target).length > 0;
        const value = tx.get(table, newest);
        if (!isReplaced && value !== undefined) {
          tx.put(table, versionedKey(table, place, target, 0), Buffer.from(value));
          this.stats.foldedRecords++;
        }
      }
      this.#removeAll(tx, table, place, job.layer);
    }
    if (keys.length < SLICE_PLACES) {
      this.#reportEmptied(job.layer);
      this.#job = undefined;
    }
  }

  /** Rule D13: does a kept top read this version of the place? */
  #isNeeded(
    tx: WriteTransaction,
    table: TableNumber,
    place: Buffer,
    key: Buffer,
    layer: number,
  ): boolean {
    const ino = inodeOf(place);
    const fileset = filesetOf(place);
    if (this.#hides(tx, table, place, fileset, ino, layer, layer, key)) return false;
    const versions = new Set<number>();
    for (const found of tx.range(table, place, prefixEnd(place), { keysOnly: true })) {
      versions.add(layerOf(table, found.key));
    }
    const isCovered = (child: number): boolean => {
      if (versions.has(child)) return true;
      if (this.#hides(tx, table, place, fileset, ino, child, layer, key)) return true;
      return !this.#keptTops.has(child) && this.#tree.children(child).every(isCovered);
    };
    return !this.#tree.children(layer).every(isCovered);
  }

  /** The inode's own record in layer `at` hides the version `key` of `layer`. */
  #hides(
    tx: WriteTransaction,
    table: TableNumber,
    place: Buffer,
    fileset: number,
    ino: number,
    at: number,
    layer: number,
    key: Buffer,
  ): boolean {
    if (table === TABLE.inodes || table === TABLE.orphans) return false;
    const state = this.#inodeAt(tx, fileset, ino, at);
    if (state === 'gone') return true;
    if (state === 'absent' || table !== TABLE.blocks) return false;
    return this.#isClipped(state, blockIndexOf(place), layer, stepOf(key));
  }
}
