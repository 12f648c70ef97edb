/** The collector: gives back what no view can see (rules D1, D13, F5, F6). */
import { decodeDeltaKey, deltaPrefix, prefixEnd, versionedKey } from '../format/keys.js';
import { BASE_LAYER, TABLE } from '../format/tables.js';
import { decodeJson } from '../format/values.js';
import type { WriteTransaction } from '../store/write-transaction.js';
import { Garbage, isTombstone, versionsIn } from './garbage.js';
import { type Layer, LayerTree } from './lineage.js';
import { type ReapCursor, Reaper, removeAll, SLICE_PLACES } from './reaper.js';

/** A layer with more than this left is not folded: folding copies (rule F6). */
const FOLD_RECORDS = 4096;
const FOLD_BYTES = 8 * 1024 * 1024;
/** A round has at least so many records, and as many as a sweep looks at: so it costs O(1) each. */
const ROUND_RECORDS = 4096;

interface LayerJob {
  layer: number;
  /** As it was when the sweep began: what changes meanwhile calls for another one. */
  signature: string;
  phase: 'sweep' | 'fold';
  cursor: Buffer;
  kept: number;
  keptBytes: number;
  /** Tombstones among what is kept. */
  tombstones: number;
  removed: number;
}

export interface CollectorStats {
  removedRecords: number;
  foldedRecords: number;
  emptiedLayers: number;
}

export class Collector {
  readonly stats: CollectorStats = { removedRecords: 0, foldedRecords: 0, emptiedLayers: 0 };
  readonly #reaper = new Reaper(this.stats);
  #garbage: Garbage;
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
  /** Where the last slice began. */
  #before: { job?: LayerJob; reapCursor?: ReapCursor } = {};
  /** Emptied in the transaction that is not stored yet. */
  #unreported: number[] = [];
  /** Layers in which tombstones were left, since something lay below them. */
  readonly #withTombstones = new Set<number>();

  constructor(
    readonly blockSize: number,
    readonly hasBase: boolean,
    readonly emptied: (layer: number) => void,
  ) {
    this.#garbage = new Garbage(new LayerTree(), new Set(), blockSize, hasBase);
  }

  /** A group of so many records was stored: layers or snapshots may have changed. */
  refresh(records: number): void {
    this.#stale = true;
    this.#written += records;
    const below = [...this.#swept.values()].reduce((sum, { kept }) => sum + kept, 0);
    if (this.#written < Math.max(ROUND_RECORDS, below)) return;
    this.#written = 0;
    this.#round++;
  }

  /** The transaction of the last slice was stored. */
  committed(): void {
    for (const layer of this.#unreported.splice(0)) this.emptied(layer);
  }

  /** The transaction of the last slice was not stored: what was done in it is to be done again. */
  aborted(): void {
    for (const layer of this.#unreported.splice(0)) this.#reported.delete(layer);
    const { job, reapCursor } = this.#before;
    if (job !== undefined) this.#swept.delete(job.layer);
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
    // Empty and on their way out: nothing may be folded into them any more.
    for (const layer of this.#reported) {
      if (tree.has(layer)) tree.remove(layer);
      else this.#reported.delete(layer);
      this.#swept.delete(layer);
    }
    this.#garbage = new Garbage(tree, kept, this.blockSize, this.hasBase);
    this.#frontiers.clear();
    this.#stale = false;
    if (this.#job !== undefined && !this.#isSweepable(this.#job.layer)) this.#job = undefined;
  }

  #isSweepable(layer: number): boolean {
    return (
      layer !== BASE_LAYER &&
      this.#garbage.tree.has(layer) &&
      this.#garbage.tree.get(layer).state === 'sealed' &&
      !this.#garbage.keptTops.has(layer)
    );
  }

  /** What decides which of a layer's records are garbage, and whether it can be folded. */
  #signature(layer: number): string {
    return `${this.#garbage.tree.children(layer).join()} ${this.#frontier(layer)}`;
  }

  /** The first kept tops on every way up from a layer, and whether they still change. */
  #frontier(layer: number): string {
    let frontier = this.#frontiers.get(layer);
    if (frontier === undefined) {
      frontier = this.#garbage.tree
        .children(layer)
        .map((c) => (this.#garbage.keptTops.has(c) ? this.#keptTop(c) : this.#frontier(c)))
        .join();
      this.#frontiers.set(layer, frontier);
    }
    return frontier;
  }

  #keptTop(layer: number): string {
    return this.#garbage.tree.get(layer).state === 'open'
      ? `${layer}open${this.#round}`
      : `${layer}`;
  }

  #nextJob(): LayerJob | undefined {
    // Newest first: a dead leaf frees its parent to be folded.
    for (const { number } of this.#garbage.tree.all().reverse()) {
      if (!this.#isSweepable(number)) continue;
      const signature = this.#signature(number);
      if (this.#swept.get(number)?.signature === signature) continue;
      const cursor = deltaPrefix(number);
      const counts = { kept: 0, keptBytes: 0, tombstones: 0, removed: 0 };
      return { layer: number, signature, phase: 'sweep', cursor, ...counts };
    }
    return undefined;
  }

  /** One small piece of work inside a transaction. Returns false when nothing is left to do. */
  slice(tx: WriteTransaction): boolean {
    if (this.#stale) this.#load(tx);
    this.#before = {
      ...(this.#job !== undefined && { job: { ...this.#job } }),
      ...(this.#reaper.cursor !== undefined && { reapCursor: this.#reaper.cursor }),
    };
    if (this.#reaper.slice(tx, this.#garbage)) return true;
    this.#job ??= this.#nextJob();
    if (this.#job === undefined) return false;
    this.#before.job = { ...this.#job };
    if (this.#job.phase === 'sweep') this.#sweepSlice(tx, this.#job);
    else this.#foldSlice(tx, this.#job);
    return true;
  }

  #sweepSlice(tx: WriteTransaction, job: LayerJob): void {
    const end = prefixEnd(deltaPrefix(job.layer));
    const keys = [
      ...tx.range(TABLE.delta, job.cursor, end, { limit: SLICE_PLACES, keysOnly: true }),
    ];
    for (const { key } of keys) {
      const { table, place } = decodeDeltaKey(key);
      const versions = versionsIn(tx, table, place, job.layer);
      const newest = versions.shift();
      for (const older of versions) tx.del(table, older);
      if (newest === undefined) continue;
      const isNeeded = this.#garbage.isNeeded(tx, table, place, newest, job.layer);
      const hides = isNeeded && isTombstone(tx, table, newest);
      if (isNeeded && !(hides && this.#garbage.hidesNothing(tx, table, place, job.layer))) {
        job.kept++;
        job.keptBytes += table === TABLE.blocks ? this.blockSize : place.length;
        if (hides) job.tombstones++;
      } else {
        tx.del(table, newest);
        job.removed++;
        this.stats.removedRecords++;
      }
    }
    const last = keys.at(-1);
    if (keys.length === SLICE_PLACES && last !== undefined) {
      job.cursor = Buffer.concat([last.key, Buffer.of(0)]);
      return;
    }
    this.#noteTombstones(job);
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
    this.#unreported.push(layer);
    this.#garbage.tree.remove(layer);
    this.#withTombstones.delete(layer);
    this.stats.emptiedLayers++;
  }

  /** Where something went, tombstones above it may hide nothing any more: they are looked at again. */
  #noteTombstones({ layer, tombstones, removed }: LayerJob): void {
    if (removed > 0) {
      for (const above of this.#withTombstones) {
        const isAbove =
          this.#garbage.tree.has(above) && this.#garbage.tree.path(above).includes(layer);
        if (isAbove && above !== layer) this.#swept.delete(above);
      }
    }
    if (tombstones > 0) this.#withTombstones.add(layer);
    else this.#withTombstones.delete(layer);
  }

  /** The only child, if it is sealed. */
  #foldTarget(layer: number): number | undefined {
    const children = this.#garbage.tree.children(layer);
    const only = children.length === 1 ? (children[0] as number) : undefined;
    return only !== undefined && this.#garbage.tree.get(only).state === 'sealed' ? only : undefined;
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
      const newest = versionsIn(tx, table, place, job.layer)[0];
      if (newest !== undefined) {
        const isReplaced = versionsIn(tx, table, place, target).length > 0;
        const value = tx.get(table, newest);
        if (!isReplaced && value !== undefined) {
          tx.put(table, versionedKey(table, place, target, 0), Buffer.from(value));
          this.stats.foldedRecords++;
        }
      }
      removeAll(tx, table, place, job.layer, this.stats);
    }
    if (keys.length < SLICE_PLACES) {
      // The target may have got tombstones, and versions under its own are gone.
      this.#noteTombstones({ ...job, removed: 1 });
      if (job.tombstones > 0) this.#withTombstones.add(target);
      this.#swept.delete(target);
      this.#reportEmptied(job.layer);
      this.#job = undefined;
    }
  }
}
