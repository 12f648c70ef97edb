/**
 * A volume: one LMDB environment, optionally over a base directory. The one
 * class that the tree, the commands and the tools work with; what it does lies
 * in the parts it puts together here. Serves synchronously; knows neither FUSE
 * nor sockets. Changes work on the live view, in memory, and throw FsError;
 * commands throw CommandError. Both are durable when their txg is.
 *
 * Doors: cache-figures, catalog, create-volume, inode, lineage, option-commands, options,
 *   readable-volume, view, volume.
 * Doors inside volume/: core, newest, open-volume.
 */
import { isDeepStrictEqual } from 'node:util';
import { shownName } from '../lib/byte-text.js';
import { realClock } from '../lib/clock.js';
import { after, type Deferred } from '../lib/deferred.js';
import { invariant } from '../lib/invariant.js';
import type { WaitPolicy } from '../lib/wait-policy.js';
import { BASE_LAYER, ROOT_FILESET, type TableNumber } from '../format/records/tables.js';
import type { XattrValue } from './files/xattrs.js';
import { forgetReturning } from './apply/take-back.js';
import { Applied } from './apply/applied.js';
import { Catalog, type Snapshot } from './catalog.js';
import { SnapshotCommands, type SaveAnswer } from './snapshots/snapshot-commands.js';
import { SnapshotSets } from './snapshots/snapshot-sets.js';
import {
  type BaseUndo,
  type PlannedUndo,
  type RestoreAnswer,
  type TreeCommand,
  type TreeMoved,
  TreeMoves,
  type UndoAnswer,
  type UndoNext,
} from './snapshots/tree-moves.js';
import type { ShownStep, UndoDirection } from './snapshots/undo-line.js';
import { BranchCommands } from './branches/branch-commands.js';
import { MAIN_BRANCH, Seat } from './branches/branch.js';
import { Branches } from './branches/branches.js';
import { VolumeCore } from './core.js';
import { Pins } from './pins.js';
import { type StoredBase, storedBase } from './create-volume.js';
import type { Compacting } from './commit/compacting.js';
import { TxgPipeline } from './commit/txgs.js';
import type { Inode } from './inode.js';
import { InlineSink } from './commit/inline-sink.js';
import { LayerTree } from './lineage.js';
import {
  type AttributeChange,
  type InUse,
  Namespace,
  type NewFile,
  type Owner,
} from './names/namespace.js';
import type { Copied } from './files/file-data.js';
import { openLog } from './log/open-log.js';
import { dropUnfinished } from './merge/unfinished.js';
import { openStore, type VolumeOpenOptions } from './open-volume.js';
import { OptionCommands } from './option-commands.js';
import { PrunedSnapshots } from './peers/pruned-snapshots.js';
import { PullSchedule } from './peers/pull-schedule.js';
import { Frozen, frozenOf } from './freeze/frozen.js';
import { GroupPoints } from './snapshots/group-points.js';
import { ReadableVolume } from './readable-volume.js';
import { RoleCommands } from './peers/role-commands.js';
import { shownMismatches } from './shown-mismatches.js';
import { type ScheduledAnswer, Schedules } from './snapshots/schedules.js';
import { ThreadSink } from './commit/thread-sink.js';
import { View } from './view.js';

export type { VolumeOpenOptions } from './open-volume.js';

interface FilesBegun {
  command: 'restore-files' | 'apply';
  name?: string;
  /** Null: the volume keeps no undo snapshots. */
  undo: string | null;
}

export class Volume extends ReadableVolume {
  readonly names: Namespace;
  readonly txgs: TxgPipeline;
  readonly roles: RoleCommands;
  readonly schedules: Schedules;
  readonly sets: SnapshotSets;
  readonly pulls: PullSchedule;
  readonly pruned: PrunedSnapshots;
  readonly optionCommands: OptionCommands;
  readonly groupPoints: GroupPoints;
  readonly applied: Applied;
  readonly frozen: Frozen;
  readonly branches: Branches;
  /** About all branches, given at the one that this is. */
  readonly branchCommands: BranchCommands;
  readonly #commands: SnapshotCommands;
  readonly #moves: TreeMoves;
  readonly #pins: Pins;

  /** `main`: the same volume, of which this is another branch. */
  private constructor(
    core: VolumeCore,
    catalog: Catalog,
    uuid: string,
    seat?: Seat,
    readonly main?: Volume,
  ) {
    super(core, catalog, uuid, seat, main);
    this.names = new Namespace(core, this.seat, this.inodes, this.directories, this.data, () =>
      this.newInodeNumber(),
    );
    this.txgs = main?.txgs ?? new TxgPipeline(core);
    this.#pins = main === undefined ? new Pins(core.sink) : main.#pins;
    this.branches = main?.branches ?? new Branches(core, catalog);
    const { seat: own, locks, peers, branches } = this;
    this.#commands = new SnapshotCommands(core, own, catalog, locks, peers, branches);
    this.#moves = new TreeMoves(this.#commands, this.names);
    this.branchCommands = new BranchCommands(this, this.#commands, this.#moves);
    this.roles = main?.roles ?? new RoleCommands(this, this.#commands, this.#moves);
    this.schedules = new Schedules(core, catalog, this.#commands, this.locks);
    this.sets = new SnapshotSets(core, catalog, this.#commands, this.schedules, this.locks);
    this.pulls = main?.pulls ?? new PullSchedule(core, catalog, this.#commands);
    this.pruned = main?.pruned ?? new PrunedSnapshots(core, catalog, this.#commands, this.locks);
    this.optionCommands = main?.optionCommands ?? new OptionCommands(core, catalog, this.#commands);
    this.applied = new Applied(this, this.#commands, this.#moves);
    this.frozen = main?.frozen ?? new Frozen(core, catalog);
    this.groupPoints = new GroupPoints(core, catalog, this.#commands);
    if (main !== undefined) return;
    catalog.attach(core);
    core.onClose((txg) => {
      if (txg.layers.has(BASE_LAYER)) catalog.noteApplied();
      catalog.storeCounters();
      this.txgs.log?.closing(txg);
    });
  }

  /** Throws CommandError: not-a-volume, volume-damaged, newer-format, base-mismatch … */
  static open(what: VolumeOpenOptions): Volume {
    const { reader, sink, options, stored, uuid, readOnly } = openStore(what);
    const layers = new LayerTree();
    const catalog = Catalog.load(reader, (layer) => layers.add(layer));
    const open = layers.all().find((l) => l.state === 'open' && l.branch === MAIN_BRANCH);
    invariant(open !== undefined, 'the root fileset has an open layer');
    const live = new View(ROOT_FILESET, open.number, layers.lineage(open.number), true);
    // Nothing is read from what was the base of a frozen volume.
    const isFrozen = frozenOf(reader) !== undefined;
    if (isFrozen) what.base?.directory.close();
    const base = isFrozen ? undefined : what.base?.directory;
    const clock = what.clock ?? realClock();
    const core = new VolumeCore(reader, sink, options, base, clock, live, layers);
    core.isStandby = catalog.role.role === 'standby';
    const volume = new Volume(core, catalog, uuid);
    if (sink instanceof ThreadSink || sink instanceof InlineSink) {
      sink.events = volume.txgs.events((layer) => volume.#removeLayer(layer));
    }
    if (!readOnly) volume.#start(what, stored);
    // Applied by a version that did not note it.
    if (!readOnly && core.hasBaseRecords) catalog.noteApplied();
    if (!readOnly) volume.txgs.log = openLog(what, core, catalog, uuid);
    core.readOnly = readOnly;
    return volume;
  }

  #start(what: VolumeOpenOptions, stored: StoredBase | undefined): void {
    if (what.base !== undefined && stored !== undefined) {
      const now = storedBase(what.base.path, what.base.directory);
      // Renamed, reattached, or its disk has another number: tools look for it there.
      if (!isDeepStrictEqual(now, stored)) this.catalog.putMeta('base', now);
    }
    if (!this.isStandby) this.names.reapOrphans();
    dropUnfinished(this.catalog, this.layers);
    forgetReturning(this);
  }

  /** The collector has emptied a layer: remove its record. */
  #removeLayer(number: number): void {
    const { layers } = this.core;
    if (
      this.core.readOnly ||
      !layers.has(number) ||
      this.core.lives().some(({ top }) => top === number)
    )
      return;
    const children = layers.remove(number);
    for (const child of children) this.catalog.putLayer(child);
    this.catalog.layerGone(
      number,
      children.map((child) => child.number),
    );
    this.catalog.deleteLayer(number);
    this.views.delete(number);
  }

  get isReadOnly(): boolean {
    return this.core.readOnly;
  }

  /** Why the volume takes no more changes: its writer has failed. */
  get failure(): Error | undefined {
    return this.core.failure;
  }

  get isStandby(): boolean {
    return this.seat.isStandby;
  }

  // Changes of the live view

  create(who: Owner, directory: number, name: string, what: NewFile): Inode {
    return this.names.create(who, directory, name, what);
  }

  /** A file without a name (O_TMPFILE). */
  createUnnamed(who: Owner, directory: number, mode: number): Inode {
    return this.names.createUnnamed(who, directory, mode);
  }

  /**
   * Changes an inode together with its xattrs (null: remove the xattr): does both, or neither
   * (ENOSPC). `change` gives the inode.
   */
  withXattrs(values: readonly XattrValue[], change: () => Inode): Inode {
    const bytes = values.reduce(
      (sum, [name, value]) => sum + name.length + (value?.length ?? 0),
      0,
    );
    return this.core.change(4 + values.length, 2048 + 64 * values.length + bytes, () => {
      const inode = change();
      for (const [name, value] of values) this.xattrs.put(inode.ino, name, value);
      return inode;
    });
  }

  link(ino: number, directory: number, name: string): Inode {
    return this.names.link(ino, directory, name);
  }

  /** Returns the inode that lost the name. `inUse`: it stays as an orphan until `release`. */
  unlink(directory: number, name: string, inUse: InUse): number {
    return this.core.withReserve(() => this.names.unlink(directory, name, inUse));
  }

  removeDirectory(directory: number, name: string, inUse: InUse): number {
    return this.core.withReserve(() => this.names.removeDirectory(directory, name, inUse));
  }

  rename(
    from: number,
    name: string,
    to: number,
    newName: string,
    flags: number,
    inUse: InUse,
    whiteoutOwner?: Owner,
  ): void {
    this.names.rename(from, name, to, newName, flags, inUse, whiteoutOwner);
  }

  setAttributes(ino: number, changes: AttributeChange): Inode {
    const shrinks =
      changes.size !== undefined && changes.size < (this.inode(this.live, ino)?.size ?? 0);
    if (!shrinks) return this.names.setAttributes(ino, changes);
    return this.core.withReserve(() => this.names.setAttributes(ino, changes));
  }

  /** Returns the bytes written: all of them. Throws ENOSPC, EFBIG, WouldWait. */
  write(ino: number, offset: number, data: Buffer): number {
    return this.data.write(ino, offset, data);
  }

  /** Returns the bytes copied. */
  copyRange(...what: Copied): number {
    return this.data.copyRange(...what);
  }

  get knownPaths(): number {
    return this.core.basePaths.size;
  }

  /** No caller holds this nameless inode any more. */
  release(ino: number): void {
    // Those of a standby are removed when it is promoted.
    if (this.core.readOnly || this.isStandby || this.core.failure !== undefined) return;
    this.core.withReserve(() => this.names.release(ino));
  }

  /** Refuses a change that the disk or the quota can't hold, before it begins. Throws ENOSPC. */
  admit(records: number, metaBytes: number, blockBytes: number): void {
    this.core.admit(records, metaBytes, blockBytes);
  }

  /** For what always has to work: it may use the reserve. */
  withReserve<T>(body: () => T): T {
    return this.core.withReserve(body);
  }

  /** Puts a record of an unversioned table into the open txg; undefined: it goes. */
  putSystem(table: TableNumber, key: Buffer, value: Buffer | undefined): void {
    this.core.putSystem(table, key, value);
  }

  // Commands

  save(name: string | undefined, source: string, note?: string): SaveAnswer {
    const answer = this.#commands.save(name, source, 'user', note);
    this.commit();
    return answer;
  }

  /** `keepsUndo` false: what the tree is now is given up. */
  restore(
    name: string,
    source: string,
    keepsUndo = true,
  ): RestoreAnswer & { from: View; to: View } {
    return this.#moved(() => this.#moves.restore(name, source, this.openLayerIsEmpty(), keepsUndo));
  }

  /** Takes the last command that changed the tree back, or goes forward again after that. */
  undo(
    direction: UndoDirection | undefined,
    source: string,
  ): UndoAnswer & { from: View; to: View } {
    return this.#moved(() => this.#moves.undo(direction, source, this.openLayerIsEmpty()));
  }

  /** What `undo` would do. Throws as `undo` does. */
  planUndo(direction: UndoDirection | undefined): PlannedUndo {
    return this.#moves.planUndo(direction);
  }

  /** When `undo` passes an apply: what the base becomes. Throws as `undo` does. */
  planBaseUndo(direction: UndoDirection | undefined): BaseUndo | undefined {
    return this.#moves.planBaseUndo(direction);
  }

  /** What `undo` does next. */
  get nextUndo(): UndoNext {
    return this.#moves.nextUndo;
  }

  /** The commands on the undo line, oldest first. */
  undoSteps(): ShownStep[] {
    return this.#commands.line.shown();
  }

  /**
   * Call it before the first change of a command that changes the live tree file by file: `undo`
   * then leads back to what the tree is now. Returns the undo snapshot's name.
   */
  leaveUndo(what: TreeCommand, source: string): string | undefined {
    const undo = this.core.withReserve(() =>
      this.#moves.leaveUndo(what, source, this.openLayerIsEmpty()),
    );
    this.commit();
    return undo;
  }

  #moved<A>(move: () => TreeMoved<A>): A & { from: View; to: View } {
    const { answer, from, to } = this.core.withReserve(move);
    this.leaveBehind(from);
    return { ...answer, from, to };
  }

  /**
   * Begins the restore of some paths, which somebody then changes file by file: what the tree is now
   * stays as an undo snapshot, and the history says what is done.
   */
  restoreFiles(name: string, paths: readonly string[], source: string): FilesBegun {
    const { layer } = this.requireSnapshot(name);
    const record = { name, layer, outcome: 'restored files' };
    const undo = this.#beginFiles({ command: 'restore', name }, record, paths, source);
    return { command: 'restore-files', name, undo };
  }

  /** As `restoreFiles`: the paths are to become what the base has there, before an apply. */
  takeTheirs(paths: readonly string[], source: string): FilesBegun {
    const { parent } = this.layers.get(this.live.top);
    const record = { layer: parent, outcome: 'took files of the base' };
    const step = { command: 'apply', name: '--theirs' };
    return { command: 'apply', undo: this.#beginFiles(step, record, paths, source) };
  }

  #beginFiles(
    step: TreeCommand,
    record: { name?: string; layer: number; outcome: string },
    paths: readonly string[],
    source: string,
  ): string | null {
    return this.core.withReserve(() => {
      const detail = paths.map((path) => shownName(path === '' ? '.' : path)).join(' ');
      const undo = this.leaveUndo({ ...step, detail }, source);
      this.#commands.addHistory({
        command: step.command,
        ...record,
        newLayer: this.live.top,
        source,
        details: { undo, paths },
      });
      this.commit();
      return undo ?? null;
    });
  }

  /**
   * Commits a move of the live tree. The files left behind may have no name, and programs go on
   * reading the open ones. The volume keeps them until the txg is stored; by then the tree has
   * pinned them.
   */
  leaveBehind(from: View): void {
    this.pin(from.top);
    this.whenCommitted(this.commit()).settled(
      () => this.unpin(from.top),
      () => {},
    );
  }

  /** Throws snapshot-locked, unless by force. */
  deleteSnapshot(name: string, source: string, force = false): Record<string, unknown> {
    const answer = this.core.withReserve(() => this.#commands.delete(name, source, force));
    this.commit();
    return { ...answer };
  }

  /** A person states that a snapshot is needed. */
  lockSnapshot(name: string, reason: string, source: string): Record<string, unknown> {
    return this.locks.lock(this.requireSnapshot(name), reason, source);
  }

  unlockSnapshot(
    name: string,
    reason: string | undefined,
    source: string,
  ): Record<string, unknown> {
    return this.locks.unlock(this.requireSnapshot(name), reason, source);
  }

  /** Releases all locks of an origin: a peer's name, or the beginning of a volume's UUID. */
  releaseLocks(from: string, source: string): Record<string, unknown> {
    const answer = this.locks.release(this.peers.byName(from)?.volume ?? from, source);
    return { ...answer, peer: this.peers.nameOf(String(answer['origin'])) ?? null };
  }

  /** Runs the schedule's save when it is due. */
  runSchedule(): ScheduledAnswer {
    return this.core.withReserve(() => this.schedules.run(this.openLayerIsEmpty()));
  }

  renameSnapshot(from: string, to: string, source: string): Record<string, unknown> {
    const answer = this.#commands.rename(from, to, source);
    this.commit();
    return answer;
  }

  /** The snapshot of that name. Throws no-such-snapshot, with near matches. */
  requireSnapshot(name: string): Snapshot {
    return this.#commands.require(name);
  }

  // Branches

  /**
   * The same volume, at another branch: for another mount, until `leave`. `where` says where that
   * is. Throws no-such-branch.
   */
  at(branch: string, where?: () => string): Volume {
    const opened = this.branches.open(branch);
    const seat = new Seat(opened);
    seat.where = where;
    if (where !== undefined) opened.where = where;
    const volume = new Volume(this.core, this.catalog, this.uuid, seat, this.main ?? this);
    if (!this.isReadOnly && !volume.isStandby) volume.names.reapOrphans();
    return volume;
  }

  /** The mount that `at` was for is gone; files that only it had open are gone, too. */
  leave(): void {
    if (!this.isReadOnly && !this.isStandby && this.failure === undefined) {
      this.core.withReserve(() => this.names.reapOrphans());
    }
    this.branches.close(this.seat.branch);
  }

  /** Nothing has been written since the last command. */
  openLayerIsEmpty(): boolean {
    return this.core.isEmptyLayer(this.live.top);
  }

  /** Keeps what a layer sees, although no snapshot names it. Pins are counted. */
  pin(layer: number): void {
    this.#pins.pin(layer);
  }

  unpin(layer: number): void {
    this.#pins.unpin(layer);
  }

  // Txgs

  /** Call before each change. False: it must wait, since the writer is behind. Reads go on. */
  beginChange(): boolean {
    return this.txgs.beginChange();
  }

  commit(): number {
    return this.txgs.commit();
  }

  /** Resolves when everything done until now is on disk. */
  durable(): Deferred<void> {
    return this.txgs.durable();
  }

  whenCommitted(ticket: number): Deferred<void> {
    return this.txgs.whenCommitted(ticket);
  }

  flush(): void {
    this.txgs.flush();
  }

  /** Takes in the writer's messages; the loop calls it when woken. */
  pump(): void {
    this.core.sink.pump();
    this.txgs.pump();
  }

  /** Gives free space back to the disk, beside all other work. Throws compact-running, read-only. */
  compact(): Deferred<Record<string, unknown>> {
    this.#commands.writable();
    return after(this.core.compacting.start(), (answer): Record<string, unknown> => answer);
  }

  get compactProgress(): Compacting['progress'] {
    return this.core.compacting.progress;
  }

  tick(nowMs: number): number {
    return this.txgs.tick(nowMs);
  }

  /** Whether reads of this volume, and of its base, may wait for a disk. */
  get waits(): WaitPolicy {
    return this.core.waits;
  }

  status(): Record<string, unknown> {
    const { base, layers, failure } = this.core;
    return {
      uuid: this.uuid,
      branch: this.seat.branch.name,
      role: this.catalog.role.role,
      epoch: this.catalog.role.epoch,
      openLayer: this.live.top,
      layerCount: layers.size,
      snapshotCount: this.catalog.snapshots.size,
      lockCount: this.locks.all().length,
      ...this.space(),
      openGroupBytes: this.core.open.bytes,
      isWriting: this.core.closing !== undefined,
      ...(base !== undefined && { isApplied: !this.applied.isBehind }),
      frozenMs: this.frozen.sinceMs,
      baseMismatches: shownMismatches(base),
      ...(failure !== undefined && { failure: failure.message }),
    };
  }

  /**
   * Stores the rest and releases everything. Throws, after the release, when something was not
   * stored.
   */
  close(): void {
    this.core.compacting.ended();
    try {
      this.#storeRest();
    } finally {
      this.txgs.log?.close();
      try {
        this.core.sink.close();
      } finally {
        this.core.reader.close();
        this.core.base?.close();
      }
    }
  }

  #storeRest(): void {
    const isLogKnown = this.txgs.endLog();
    if (this.core.readOnly) return;
    if (this.core.failure !== undefined) throw this.core.failure;
    if (isLogKnown) this.catalog.forgetLog();
    this.flush();
  }
}
