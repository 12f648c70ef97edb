/**
 * The collector removes records that no view can see (rules D1, D13, F5, F6).
 *
 * Doors inside volume/: collector, slice-size, stored-keeps.
 */
import {
  afterKey,
  decodeDeltaKey,
  deltaPrefix,
  prefixEnd,
  versionedKey,
} from '../../format/records/keys.js';
import { TABLE } from '../../format/records/tables.js';
import { decodeJson } from '../../format/records/values.js';
import { returningFiles, storedKeeps } from './stored-keeps.js';
import type { WriteTransaction } from '../../store/write-transaction.js';
import { Garbage, isTombstone, versionsIn } from './garbage.js';
import { type Layer, LayerTree } from '../lineage.js';
import { type ReapCursor, Reaper, removeAll } from './reaper.js';
import { ReleasedTops } from './released-tops.js';
import { isSmall, recordBytes, Removals, type Swept } from './removals.js';
import { SLICE_PLACES } from './slice-size.js';

/**
 * A round has at least this many records, and as many as a sweep reads: so a
 * sweep costs O(1) per record.
 */
const ROUND_RECORDS = 4096;

/** The signature is from the start of the sweep: a change meanwhile requires another sweep. */
interface LayerJob extends Swept {
  layer: number;
  phase: 'sweep' | 'fold';
  cursor: Buffer;
}

export interface CollectorStats {
  removedRecords: number;
  foldedRecords: number;
  emptiedLayers: number;
}

export class Collector {
  readonly stats: CollectorStats = { removedRecords: 0, foldedRecords: 0, emptiedLayers: 0 };
  readonly #removals = new Removals(this.stats);
  readonly #reaper = new Reaper(this.stats, (layer) =>
    this.#removals.lessIn(layer, this.blockSize),
  );
  readonly #released = new ReleasedTops(this.#removals);
  #garbage: Garbage;
  #pinned: readonly number[] = [];
  /** Layer → the kept tops that decide about it, in this tree. */
  readonly #frontiers = new Map<number, string>();
  #stale = true;
  #job: LayerJob | undefined;
  /** Open layers hide ever more of the layers below: those are swept again from time to time. */
  #round = 0;
  /** Records stored in this round. */
  #written = 0;
  readonly #reported = new Set<number>();
  /** Where the last slice began. */
  #before: { job?: LayerJob; reapCursor?: ReapCursor } = {};
  /** Layers emptied in the transaction that is not stored yet. */
  #unreported: number[] = [];

  constructor(
    readonly blockSize: number,
    readonly hasBase: boolean,
    readonly emptied: (layer: number) => void,
  ) {
    this.#garbage = new Garbage(new LayerTree(), new Set(), blockSize, hasBase);
  }

  /** A txg of `records` records was stored: layers or snapshots may have changed. */
  refresh(records: number): void {
    this.#stale = true;
    this.#written += records;
    const below = [...this.#removals.swept.values()].reduce((sum, left) => sum + left.records, 0);
    if (this.#written < Math.max(ROUND_RECORDS, below)) return;
    this.#written = 0;
    this.#round++;
  }

  /** The transaction of the last slice was stored. */
  committed(): void {
    for (const layer of this.#unreported.splice(0)) this.emptied(layer);
  }

  /** The transaction of the last slice was not stored: its work is to be repeated. */
  aborted(): void {
    for (const layer of this.#unreported.splice(0)) this.#reported.delete(layer);
    const { job, reapCursor } = this.#before;
    // The sweeps counted records that were not removed after all: everything is swept again.
    this.#removals.swept.clear();
    this.#released.clear();
    this.#job = job;
    this.#reaper.cursor = reapCursor;
    this.#stale = true;
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
    for (const { layer } of storedKeeps(tx)) kept.add(layer);
    // Empty layers about to be removed: nothing may be folded into them any more.
    for (const layer of this.#reported) {
      if (tree.has(layer)) tree.remove(layer);
      else this.#reported.delete(layer);
      this.#removals.swept.delete(layer);
    }
    this.#keep(tree, kept, returningFiles(tx));
    this.#stale = false;
    if (this.#job !== undefined && !this.#isSweepable(this.#job.layer)) this.#job = undefined;
  }

  #use(garbage: Garbage): void {
    this.#garbage = garbage;
    this.#frontiers.clear();
  }

  /**
   * Continues with this tree. For tops that are no longer kept, the records
   * that only they saw are searched separately. So the layers below, for which
   * nothing else has changed, need no sweep.
   */
  #keep(tree: LayerTree, kept: ReadonlySet<number>, returning: ReadonlySet<number>): void {
    const released = [...this.#garbage.keptTops].filter(
      (top) => !kept.has(top) && tree.has(top) && tree.get(top).state === 'sealed',
    );
    const { blockSize, hasBase } = this;
    const now = new Garbage(tree, kept, blockSize, hasBase, returning);
    if (released.length === 0) {
      this.#use(now);
      return;
    }
    this.#use(now);
    // Below one that has no kept top above it, all that only it saw has become garbage: a sweep.
    const inside = released.filter((top) => this.#frontier(top) !== '');
    const before = new Set([...kept, ...inside]);
    this.#use(new Garbage(tree, before, blockSize, hasBase, returning));
    const unchanged = [...this.#removals.swept].filter(
      ([layer, { signature }]) => tree.has(layer) && this.#frontier(layer) === signature,
    );
    this.#use(now);
    for (const [layer, swept] of unchanged) swept.signature = this.#frontier(layer);
    for (const top of released) this.#released.add(now, top);
  }

  #isSweepable(layer: number): boolean {
    return this.#removals.isSweepable(this.#garbage, layer);
  }

  /**
   * What decides which of a layer's records are garbage: the first kept tops on
   * every path up from it, and whether they still change.
   */
  #frontier(layer: number): string {
    // Computes all at once, newest first: a layer's children are younger, so no recursion is
    // needed.
    if (this.#frontiers.size === 0) {
      for (const { number } of this.#garbage.tree.all().reverse()) {
        const above = this.#garbage.tree.children(number).map((child) => this.#topsFrom(child));
        this.#frontiers.set(number, above.join());
      }
    }
    return this.#frontiers.get(layer) ?? '';
  }

  /** The first kept tops on the paths up that begin with this layer. */
  #topsFrom(layer: number): string {
    return this.#garbage.keptTops.has(layer)
      ? this.#keptTop(layer)
      : (this.#frontiers.get(layer) ?? '');
  }

  #keptTop(layer: number): string {
    return this.#garbage.tree.get(layer).state === 'open'
      ? `${layer}open${this.#round}`
      : `${layer}`;
  }

  #nextJob(): LayerJob | undefined {
    // Newest first: removing an empty leaf allows its parent to be folded.
    for (const { number } of this.#garbage.tree.all().reverse()) {
      if (!this.#isSweepable(number)) continue;
      const signature = this.#frontier(number);
      const cursor = deltaPrefix(number);
      const swept = this.#removals.swept.get(number);
      if (swept?.signature === signature) {
        if (!isSmall(swept) || this.#foldTarget(number) === undefined) continue;
        return { layer: number, ...swept, phase: 'fold', cursor };
      }
      this.#removals.touched.delete(number);
      return { layer: number, signature, phase: 'sweep', cursor, records: 0, bytes: 0 };
    }
    return undefined;
  }

  /**
   * Works on about `places` places inside a transaction. Returns false when
   * nothing is left to do.
   */
  slice(tx: WriteTransaction, places = SLICE_PLACES): boolean {
    if (this.#stale) this.#load(tx);
    this.#garbage.forget();
    this.#before = {
      ...(this.#job !== undefined && { job: { ...this.#job } }),
      ...(this.#reaper.cursor !== undefined && { reapCursor: this.#reaper.cursor }),
    };
    if (this.#reaper.slice(tx, this.#garbage, places)) return true;
    if (this.#released.slice(tx, this.#garbage, places)) return true;
    this.#job ??= this.#nextJob();
    if (this.#job === undefined) return false;
    this.#before.job = { ...this.#job };
    if (this.#job.phase === 'sweep') this.#sweepSlice(tx, this.#job, places);
    else this.#foldSlice(tx, this.#job, places);
    return true;
  }

  #sweepSlice(tx: WriteTransaction, job: LayerJob, limit: number): void {
    const end = prefixEnd(deltaPrefix(job.layer));
    const keys = [...tx.range(TABLE.delta, job.cursor, end, { limit, keysOnly: true })];
    for (const { key } of keys) {
      const { table, place } = decodeDeltaKey(key);
      const versions = versionsIn(tx, table, place, job.layer);
      const newest = versions.shift();
      for (const older of versions) tx.del(table, older);
      if (newest === undefined) continue;
      const isNeeded = this.#garbage.isNeeded(tx, table, place, newest, job.layer);
      const isIdle =
        isNeeded &&
        isTombstone(tx, table, newest) &&
        this.#garbage.hidesNothing(tx, table, place, job.layer);
      if (isNeeded && !isIdle) {
        job.records++;
        job.bytes += recordBytes(table, place, this.blockSize);
      } else {
        removeAll(tx, table, place, job.layer, this.stats);
        if (table === TABLE.inodes) this.#garbage.forget();
        this.#removals.dropTombstones(tx, this.#garbage, table, place);
      }
    }
    const last = keys.at(-1);
    if (keys.length === limit && last !== undefined) {
      job.cursor = afterKey(last.key);
      return;
    }
    const { layer, signature, records, bytes } = job;
    this.#job = undefined;
    // Counted records were removed meanwhile: the sweep starts again.
    if (records > 0 && this.#removals.touched.has(layer)) return;
    this.#removals.swept.set(layer, { signature, records, bytes });
    if (records === 0) this.#reportEmptied(layer);
  }

  #reportEmptied(layer: number): void {
    this.#reported.add(layer);
    this.#unreported.push(layer);
    this.#garbage.tree.remove(layer);
    this.#removals.swept.delete(layer);
    this.stats.emptiedLayers++;
  }

  /** The only child, if it is sealed. */
  #foldTarget(layer: number): number | undefined {
    const children = this.#garbage.tree.children(layer);
    const only = children.length === 1 ? (children[0] as number) : undefined;
    return only !== undefined && this.#garbage.tree.get(only).state === 'sealed' ? only : undefined;
  }

  #foldSlice(tx: WriteTransaction, job: LayerJob, limit: number): void {
    const target = this.#foldTarget(job.layer);
    if (target === undefined) {
      this.#job = undefined;
      return;
    }
    const prefix = deltaPrefix(job.layer);
    const range = { limit, keysOnly: true };
    const keys = [...tx.range(TABLE.delta, prefix, prefixEnd(prefix), range)];
    for (const { key } of keys) {
      const { table, place } = decodeDeltaKey(key);
      const newest = versionsIn(tx, table, place, job.layer)[0];
      const isReplaced = versionsIn(tx, table, place, target).length > 0;
      // Since the sweep, a needed record may have become hidden: an orphan was released, a file was
      // cut.
      const isNeeded =
        newest !== undefined && this.#garbage.isNeeded(tx, table, place, newest, job.layer);
      if (table === TABLE.inodes) this.#garbage.forget();
      const value = newest === undefined ? undefined : tx.get(table, newest);
      if (!isReplaced && value !== undefined && isNeeded) {
        tx.put(table, versionedKey(table, place, target, 0), Buffer.from(value));
        this.stats.foldedRecords++;
        this.#removals.moved(target, recordBytes(table, place, this.blockSize));
      }
      removeAll(tx, table, place, job.layer, this.stats);
      if (isReplaced || !isNeeded) this.#removals.dropTombstones(tx, this.#garbage, table, place);
    }
    this.#garbage.forget();
    if (keys.length < limit) {
      this.#reportEmptied(job.layer);
      this.#job = undefined;
    }
  }
}
