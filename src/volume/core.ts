/**
 * What the parts of a volume share: the committed state (reader), the txgs
 * (transaction groups) in memory, the layer tree, the base and the clock. Owns
 * the rotation of txgs and the promises of disk space; commit/txgs.ts decides
 * when a txg closes. Does not know what inodes or directories mean.
 */
import { Compacting } from './commit/compacting.js';
import { performance } from 'node:perf_hooks';
import type { Clock } from '../lib/clock.js';
import { FsError } from '../lib/errors.js';
import { invariant } from '../lib/invariant.js';
import { WaitPolicy } from '../lib/wait-policy.js';
import { deltaPrefix, prefixEnd } from '../format/records/keys.js';
import { BASE_LAYER, ROOT_FILESET, TABLE, type TableNumber } from '../format/records/tables.js';
import { CommitCounts } from '../measure/commit-counts.js';
import { SlabArena } from '../store/batch.js';
import type { StoreReader } from '../store/reader.js';
import type { BaseDirectory } from '../base/base-directory.js';
import { Branch, MAIN_BRANCH } from './branches/branch.js';
import type { TxgSink } from './commit/txg-sink.js';
import type { LayerTree } from './lineage.js';
import { Txg, type LayerChanges } from './commit/txg.js';
import { newestOf, type StoredVersion } from './newest.js';
import type { VolumeOptions } from './options.js';
import type { View } from './view.js';

const NONE: readonly LayerChanges[] = [];
/** Views whose changes in memory are remembered, until there are others. */
const PENDING_VIEWS = 64;

/** Called for every inode that is looked up; the result is mostly empty. */
function changesIn({ layers }: Txg, view: View): readonly LayerChanges[] {
  let seen = NONE;
  for (const changes of layers.values()) {
    // What is put into the base layer is older than what LMDB has of the layers above: those views
    // go on reading the base until it is stored.
    if (changes.layer === BASE_LAYER && view.top !== BASE_LAYER) continue;
    if (changes.layer <= view.top && view.includes(changes.layer)) seen = [...seen, changes];
  }
  return seen.length > 1 ? seen.toSorted((a, b) => b.layer - a.layer) : seen;
}

export class VolumeCore {
  open: Txg;
  closing: Txg | undefined = undefined;
  /** Number of the txg that was stored last. */
  committed = 0;
  /** Why the volume takes no more changes: the writer failed. */
  failure: Error | undefined = undefined;
  /** Whether reads of this thread may wait for a disk. */
  readonly waits = new WaitPolicy();
  readOnly = false;
  /** The main branch takes no changes; commands and received layers do. */
  isStandby = false;
  readonly commits = new CommitCounts();
  /** Called before a txg closes, to add what belongs to every txg. */
  readonly #closeListeners: ((txg: Txg) => void)[] = [];
  /** Those that somebody works in. */
  readonly branches = new Set<Branch>();
  /** The branch that peers know. */
  readonly main: Branch;
  readonly compacting: Compacting;
  /** Paths of base files that have no record and whose number a caller knows. */
  readonly basePaths = new Map<number, string>();
  /** The base layer has records: something was applied to the base, or is being (rule F10). */
  hasBaseRecords: boolean;
  /** Raised when what views remember of base files may no longer be so. */
  baseEpoch = 0;
  /** The changes in memory that views see, until there are others. */
  readonly #pending = new Map<View, readonly LayerChanges[]>();
  /** The view that was asked for last, which mostly is asked for again. */
  #lastView: View | undefined;
  #lastPending: readonly LayerChanges[] = NONE;
  /** Formerly live views that have changes in a txg that is not stored yet. */
  #retired: View[] = [];
  #nextGroup = 1;
  #usesReserve = false;
  /** The arena of a stored txg, for reuse. */
  #spareArena: SlabArena | undefined;

  constructor(
    readonly reader: StoreReader,
    readonly sink: TxgSink,
    readonly options: VolumeOptions,
    public base: BaseDirectory | undefined,
    readonly clock: Clock,
    main: View,
    readonly layers: LayerTree,
  ) {
    this.open = this.#newGroup();
    this.compacting = new Compacting(sink);
    this.main = new Branch(this, MAIN_BRANCH, main);
    this.branches.add(this.main);
    const records = deltaPrefix(BASE_LAYER);
    this.hasBaseRecords = reader.seek(TABLE.delta, records, prefixEnd(records)) !== undefined;
  }

  #newGroup(): Txg {
    const arena = this.#spareArena ?? new SlabArena();
    this.#spareArena = undefined;
    return new Txg(this.#nextGroup++, arena);
  }

  get fileset(): number {
    return ROOT_FILESET;
  }

  /** The open txg's changes in the open layer of a branch. Throws when nothing may change. */
  changesIn(openLayer: number): LayerChanges {
    this.#mayChange();
    const existing = this.open.layers.get(openLayer);
    if (existing !== undefined) return existing;
    this.#forgetPending();
    return this.open.layer(openLayer);
  }

  /**
   * The open txg's changes in the base layer, which every view sees: nothing may be put there that
   * a view reads differently from before.
   */
  baseChanges(): LayerChanges {
    this.hasBaseRecords = true;
    return this.changesOf(BASE_LAYER);
  }

  /** The open txg's changes in a layer that no view sees yet. */
  changesOf(layer: number): LayerChanges {
    const changes = this.changesIn(layer);
    this.open.isUnloggable = true;
    return changes;
  }

  #mayChange(): void {
    if (this.failure !== undefined) throw new FsError('EIO', 'write', 'the volume');
    if (this.readOnly) throw new FsError('EROFS', 'write', 'the volume');
    if (this.open.openedMs === undefined) this.open.openedMs = this.clock.nowMs();
  }

  /**
   * Calls the listener before each txg closes, in reverse order of registration: the first
   * listeners must see what the others add. Returns a function that removes the listener.
   */
  onClose(listener: (txg: Txg) => void): () => void {
    this.#closeListeners.push(listener);
    return () => {
      const at = this.#closeListeners.indexOf(listener);
      if (at >= 0) this.#closeListeners.splice(at, 1);
    };
  }

  putSystem(table: TableNumber, key: Buffer, value: Buffer | undefined): void {
    if (this.open.openedMs === undefined) this.open.openedMs = this.clock.nowMs();
    this.open.putSystem(table, key, value);
  }

  #forgetPending(): void {
    this.#pending.clear();
    this.#lastView = undefined;
  }

  /** The changes in memory that a view sees, newest first. */
  pendingChanges(view: View): readonly LayerChanges[] {
    if (view === this.#lastView) return this.#lastPending;
    let seen = this.#pending.get(view);
    if (seen === undefined) {
      seen = this.#pendingOf(view);
      if (this.#pending.size >= PENDING_VIEWS) this.#pending.clear();
      this.#pending.set(view, seen);
    }
    this.#lastView = view;
    this.#lastPending = seen;
    return seen;
  }

  #pendingOf(view: View): readonly LayerChanges[] {
    const opened = changesIn(this.open, view);
    const closing = this.closing === undefined ? NONE : changesIn(this.closing, view);
    if (closing.length === 0) return opened;
    return opened.length === 0 ? closing : [...opened, ...closing];
  }

  /**
   * A live view makes room for another one. After a restore, programs still read the view that is
   * left behind (old files, the coherent phase), so its cache must learn when the changes that are
   * in memory are stored. A save hands the cache on.
   */
  retire(view: View, next: View): void {
    if (view.cache !== next.cache) this.#retired.push(view);
  }

  /** The live views of the branches that somebody works in. */
  lives(): View[] {
    return [...this.branches].map(({ live }) => live);
  }

  /** The trees that are mounted have room for as many decoded inodes as one would have. */
  shareCaches(): void {
    const mounted = [...this.branches].filter(({ seats }) => seats > 0).length;
    for (const { cache } of this.lives()) cache.shareWith(Math.max(1, mounted));
  }

  /** Nothing has been written in the layer. */
  isEmptyLayer(layer: number): boolean {
    for (const txg of [this.open, this.closing]) {
      const changes = txg?.layers.get(layer);
      if (changes === undefined) continue;
      const { inodes, directories, files, xattrs } = changes;
      if (inodes.size + directories.size + files.size + xattrs.size > 0) return false;
    }
    const prefix = deltaPrefix(layer);
    return this.reader.seek(TABLE.delta, prefix, prefixEnd(prefix)) === undefined;
  }

  /** True when nothing of the inode is in LMDB or the closing txg. */
  isNew(ino: number): boolean {
    return this.open.newInodes.has(ino);
  }

  /** True when nothing of the inode is in LMDB. */
  isInMemoryOnly(ino: number): boolean {
    return this.open.newInodes.has(ino) || this.closing?.newInodes.has(ino) === true;
  }

  /** The newest version of a place in a view, in LMDB only. See `newestOf`. */
  newest(table: TableNumber, place: Buffer, view: View): StoredVersion | undefined {
    return newestOf(this.reader, view, table, place);
  }

  /** Refuses a change that the disk or the quota can't hold (metadata: at the call). */
  admit(records: number, metaBytes: number, blockBytes = 0): void {
    if (this.#usesReserve || this.sink.canGrow()) return;
    const cost = this.sink.cost(records, metaBytes, blockBytes) + this.pendingCost();
    if (cost > this.sink.space().availableBytes) {
      throw new FsError('ENOSPC', 'write', 'the volume');
    }
  }

  /** A change of several records: refused (ENOSPC) before it begins, or done whole. */
  change<T>(records: number, metaBytes: number, body: () => T): T {
    this.admit(records, metaBytes);
    return this.withReserve(body);
  }

  /** Removing, restoring and collecting always work: they may use the reserve. */
  withReserve<T>(body: () => T): T {
    const before = this.#usesReserve;
    this.#usesReserve = true;
    try {
      return body();
    } finally {
      this.#usesReserve = before;
    }
  }

  /**
   * Worst case of what the txgs in memory add to the volume's file, with so much more in the open
   * one.
   */
  pendingCost(moreRecords = 0, moreBytes = 0): number {
    const { open, closing } = this;
    const cost = this.sink.cost(
      open.records + moreRecords,
      open.metaBytes + moreBytes,
      open.arena.bytesUsed + moreBytes,
    );
    if (closing === undefined) return cost;
    return cost + this.sink.cost(closing.records, closing.metaBytes, closing.arena.bytesUsed);
  }

  /**
   * Hands the open txg to the writer. Returns false when the writer still writes another one.
   */
  closeTxg(): boolean {
    if (this.closing !== undefined) return false;
    // Numbers that base files got while programs only looked at them stay in memory.
    if (this.open.isEmpty || this.readOnly) return true;
    for (const listener of this.#closeListeners.toReversed()) listener(this.open);
    this.closing = this.open;
    this.open = this.#newGroup();
    this.#forgetPending();
    const startMs = performance.now();
    this.sink.submit(this.closing, this.fileset);
    this.commits.handedOver(performance.now() - startMs);
    return true;
  }

  /** The writer has stored the closing txg: LMDB has it now. */
  txgCommitted(id: number): Txg {
    const txg = this.closing;
    invariant(txg !== undefined && txg.id === id, `txg ${id} was closing`);
    this.closing = undefined;
    this.committed = id;
    this.#forgetPending();
    this.reader.refresh();
    // What was just written is likely to be read again.
    const stored = [...txg.layers.values()].sort((a, b) => a.layer - b.layer);
    for (const changes of stored) {
      // Views may have newer versions of what the base layer keeps.
      if (changes.layer === BASE_LAYER) continue;
      for (const view of [...this.lives(), ...this.#retired]) {
        if (!view.includes(changes.layer)) continue;
        for (const [ino, inode] of changes.inodes) view.cache.set(ino, inode);
      }
    }
    const pending = [...this.open.layers.keys()];
    this.#retired = this.#retired.filter((view) => pending.some((layer) => view.includes(layer)));
    txg.arena.recycle();
    this.#spareArena = txg.arena;
    return txg;
  }
}
