/**
 * The reading half of a volume: its parts, its views and what a view shows.
 * `Volume` adds changes and commands.
 */
import { isStoredRecord } from '../format/records/inode-record.js';
import { inodeKey } from '../format/records/keys.js';
import {
  BASE_LAYER,
  inodeNumber,
  ROOT_FILESET,
  TABLE,
  type TableNumber,
} from '../format/records/tables.js';
import type { BaseDirectory } from '../base/base-directory.js';
import type { StoreReader } from '../store/reader.js';
import type { LayerTree } from './lineage.js';
import type { StoredVersion } from './newest.js';
import { Xattrs } from './files/xattrs.js';
import { BaseIds } from './names/base-ids.js';
import { BlockMap, type BlockRun } from './files/block-map.js';
import {
  type Catalog,
  type HistoryRecord,
  isSaved,
  readHistory,
  type Snapshot,
} from './catalog.js';
import { type Change, changedPlaces } from './diff/changes.js';
import { MAIN_BRANCH, Seat } from './branches/branch.js';
import type { VolumeCore } from './core.js';
import { Directories } from './names/directories.js';
import { FileData } from './files/file-data.js';
import type { Inode } from './inode.js';
import { Inodes, joinPath } from './names/inode-reader.js';
import type { VolumeOptions } from './options.js';
import { type ShownLock, shownLock } from './locks/lock-text.js';
import { Paths } from './names/paths.js';
import { PeerTable } from './peers/peer-table.js';
import { SoftLocks } from './locks/soft-locks.js';
import { S_IFDIR, S_IFMT } from '../lib/file-mode.js';
import { parentOf } from '../lib/paths.js';
import { View } from './view.js';

/** How many views of snapshots are kept; others are made again when needed. */
export const MAX_VIEWS = 64;

export class ReadableVolume {
  readonly options: VolumeOptions;
  readonly inodes: Inodes;
  readonly directories: Directories;
  readonly blocks: BlockMap;
  readonly data: FileData;
  readonly xattrs: Xattrs;
  readonly paths: Paths;
  readonly locks: SoftLocks;
  readonly peers: PeerTable;
  protected readonly views: Map<number, View>;

  protected constructor(
    readonly core: VolumeCore,
    readonly catalog: Catalog,
    readonly uuid: string,
    /** The branch that `live` is. */
    readonly seat = new Seat(core.main),
    /** The same volume, seen at another branch: everything else is shared. */
    shared?: ReadableVolume,
  ) {
    this.options = core.options;
    this.views = shared?.views ?? new Map();
    const baseIds = shared?.inodes.baseIds ?? this.#newBaseIds();
    this.inodes = new Inodes(core, seat, baseIds);
    this.directories = new Directories(core, seat, this.inodes);
    this.blocks = shared?.blocks ?? new BlockMap(core);
    this.data = new FileData(core, seat, this.inodes, this.blocks);
    this.xattrs = new Xattrs(core, seat, this.inodes);
    this.paths = new Paths(core, this.inodes);
    this.locks = shared?.locks ?? new SoftLocks(core, catalog);
    this.peers = shared?.peers ?? new PeerTable(core, catalog);
  }

  #newBaseIds(): BaseIds {
    const { core, catalog } = this;
    return new BaseIds(
      core.reader,
      () => core.base,
      (ino) => this.isRetired(ino),
      (allocator) => catalog.takeInode(allocator),
      (key, value) => core.putSystem(TABLE.baseids, key, value),
    );
  }

  /** The base layer holds all of a file, and the base nothing any more (rule F10). */
  protected isRetired(ino: number): boolean {
    const { core } = this;
    if (!core.hasBaseRecords) return false;
    for (const txg of [core.open, core.closing]) {
      const own = txg?.layers.get(BASE_LAYER)?.inodes.get(ino);
      if (own) return own.base?.isStored === true;
    }
    const value = core.reader.get(TABLE.inodes, inodeKey(core.fileset, ino, BASE_LAYER));
    return value !== undefined && isStoredRecord(value);
  }

  newInodeNumber(): number {
    const { allocator } = this.catalog.identity;
    return inodeNumber(allocator, this.catalog.takeInode(allocator));
  }

  /** The committed state, for those that look at records themselves. */
  get store(): StoreReader {
    return this.core.reader;
  }

  get layers(): LayerTree {
    return this.core.layers;
  }

  /** The base directory, when it is at hand. */
  get base(): BaseDirectory | undefined {
    return this.core.base;
  }

  /** The base layer holds something of the base (rule F10). */
  get hasBaseRecords(): boolean {
    return this.core.hasBaseRecords;
  }

  /** The newest stored version of a place that a view sees. */
  newest(table: TableNumber, place: Buffer, view: View): StoredVersion | undefined {
    return this.core.newest(table, place, view);
  }

  /** No caller knows the inode by its number any more: its place in the base need not be kept. */
  forgetPath(ino: number): void {
    const { base, basePaths } = this.core;
    const path = basePaths.get(ino);
    if (path === undefined) return;
    basePaths.delete(ino);
    base?.unwatch(path);
  }

  /** Inodes whose place in the base is kept, since a caller knows them by their number. */
  pathNumbers(): Iterable<number> {
    return this.core.basePaths.keys();
  }

  /**
   * Hears of what others change in a base-backed directory; call it before the directory is read.
   * False: nothing tells of it, and the answer holds for a moment only.
   */
  watchBase(directory: Inode): boolean {
    const { base } = this.core;
    if (base === undefined || directory.base === undefined) return true;
    return base.watch(directory.base.path);
  }

  /** Whether a change of the inode's base file by others would be heard of. */
  isBaseWatched({ base: ref, isDirectory }: Inode): boolean {
    const { base } = this.core;
    if (base === undefined || ref === undefined) return true;
    if (base.isWatched(parentOf(ref.path))) return true;
    return isDirectory && base.isWatched(ref.path);
  }

  /**
   * Others have changed what is at this path of the base: the views see it as it is now. Returns
   * its number, unless there is nothing any more. `others`: views that are not kept here.
   */
  baseChanged(path: string, others: readonly View[] = []): number | undefined {
    const { base, basePaths } = this.core;
    const stat = base?.lstat(path);
    const ino = stat && base?.inodeNumber(stat);
    if (base === undefined || ino === undefined) return undefined;
    const before = basePaths.get(ino);
    if (before !== undefined && before !== path && (stat?.nlink === 1 || isDirectoryMode(stat)))
      this.#baseMoved(ino, before, path, others);
    for (const view of this.#allViews(others)) forgetUntouched(view, ino);
    return ino;
  }

  baseNumber(path: string): number | undefined {
    const stat = this.core.base?.lstat(path);
    return stat && this.core.base?.inodeNumber(stat);
  }

  /** Anything in the base may have changed: nothing of it is taken from memory any more. */
  baseLost(others: readonly View[]): void {
    for (const view of this.#allViews(others)) view.cache.clear();
  }

  /** What lies below a directory that was renamed is found by its new names, when they are asked for. */
  #baseMoved(ino: number, from: string, to: string, others: readonly View[]): void {
    const { base, basePaths } = this.core;
    basePaths.set(ino, to);
    base?.moved(from);
    for (const [below, path] of basePaths) {
      if (!path.startsWith(`${from}/`)) continue;
      basePaths.delete(below);
      for (const view of this.#allViews(others)) forgetUntouched(view, below);
    }
  }

  #allViews(others: readonly View[]): View[] {
    return [...this.core.lives(), ...this.views.values(), ...others];
  }

  get live(): View {
    return this.seat.live;
  }

  /** Views of snapshots that are kept. */
  get viewCount(): number {
    return this.views.size;
  }

  viewOf(snapshot: { layer: number }): View {
    return this.viewAt(snapshot.layer);
  }

  /** The view whose top is a layer of the tree. */
  viewAt(layer: number): View {
    let view = this.views.get(layer);
    if (view === undefined) {
      view = new View(ROOT_FILESET, layer, this.core.layers.lineage(layer), false);
      if (this.views.size >= MAX_VIEWS) this.views.clear();
      this.views.set(layer, view);
    }
    return view;
  }

  /** Oldest first. */
  snapshots(): Snapshot[] {
    return this.catalog.list();
  }

  snapshot(name: string): Snapshot | undefined {
    return this.catalog.snapshots.get(name);
  }

  /** The newest snapshot that a user or the schedule made of this branch, or of what it is from. */
  latest(): Snapshot | undefined {
    return this.snapshots().findLast((one) => isSaved(one) && this.isOwn(one));
  }

  /** The snapshot is of this branch, or this branch comes from it. */
  isOwn({ branch = MAIN_BRANCH, layer }: { branch?: string; layer: number }): boolean {
    return branch === this.seat.branch.name || this.live.includes(layer);
  }

  /** All soft locks, those of the oldest snapshot first, broken ones at the end. */
  shownLocks(): ShownLock[] {
    const snapshots = this.snapshots();
    const byUuid = new Map(snapshots.map(({ uuid, name }, order) => [uuid, { name, order }]));
    const orderOf = ({ uuid, broken }: ShownLock): number =>
      broken ? snapshots.length : (byUuid.get(uuid)?.order ?? snapshots.length);
    return this.locks
      .all()
      .map((lock) => {
        const name = byUuid.get(lock.snapshot)?.name;
        const { origin } = lock;
        const peer = origin === this.uuid ? 'this volume' : this.peers.nameOf(origin);
        return shownLock(lock, name, peer);
      })
      .sort((a, b) => orderOf(a) - orderOf(b) || a.sinceMs - b.sinceMs);
  }

  /** The snapshots, oldest first, with how many soft locks each has. */
  shownSnapshots(): (Snapshot & { lockCount: number })[] {
    return this.snapshots().map((one) => ({ ...one, lockCount: this.locks.of(one.uuid).length }));
  }

  inode(view: View, ino: number): Inode | undefined {
    return this.inodes.get(view, ino);
  }

  lookup(view: View, directory: Inode, name: string): Inode | undefined {
    return this.directories.lookup(view, directory, name);
  }

  /**
   * Names with hash > `afterHash` in (hash, name) order, until `visit` returns false. `withInodes`:
   * the caller will ask for their inodes.
   */
  list(
    view: View,
    directory: Inode,
    afterHash: number,
    visit: (name: string, ino: number, type: number, hash: number) => boolean,
    withInodes = false,
  ): void {
    this.directories.list(view, directory, afterHash, visit, withInodes);
  }

  /** The inode behind a listed name. */
  inodeForListing(view: View, directory: Inode, name: string, ino: number): Inode | undefined {
    const inode = this.inodes.get(view, ino);
    if (inode !== undefined || directory.base === undefined) return inode;
    this.inodes.rememberBase(ino, joinPath(directory.base.path, name));
    return this.inodes.get(view, ino);
  }

  /** Fills out[outOffset…]; returns the bytes, short only at end of file. Throws WouldWait. */
  read(
    view: View,
    inode: Inode,
    offset: number,
    length: number,
    out: Buffer,
    outOffset: number,
  ): number {
    return this.data.read(view, inode, offset, length, out, outOffset, this.core.waits);
  }

  /** First offset ≥ `offset` that is data, or a hole. Throws ENXIO. */
  seek(view: View, inode: Inode, offset: number, whence: 'data' | 'hole'): number {
    return this.data.seek(view, inode, offset, whence);
  }

  readAttribute(view: View, inode: Inode, name: string): Uint8Array | undefined {
    return this.xattrs.read(view, inode, name);
  }

  listAttributes(view: View, inode: Inode): string[] {
    return this.xattrs.list(view, inode);
  }

  /** One path below the root, '' for the root; undefined: it has no name in this view. */
  pathOf(view: View, ino: number): string | undefined {
    return this.paths.of(view, ino);
  }

  /** Where each run of blocks is addressed. */
  runs(view: View, inode: Inode): BlockRun[] {
    return this.blocks.runs(view, inode);
  }

  /** The last `limit` stored commands, oldest first. */
  history(limit = Number.POSITIVE_INFINITY): HistoryRecord[] {
    return readHistory(this.core.reader, limit);
  }

  /** The differences between two views, in time proportional to them; committed state. */
  changes(from: View, to: View): Generator<Change> {
    return changedPlaces(this.core.reader, this.core.layers, from.top, to.top);
  }

  /** New figures of the space come soon: others take and free it, too. */
  lookAtSpace(): void {
    this.core.sink.look();
  }

  /** Bytes: what the volume uses, what it could still take, and its quota (0: none). */
  space(): VolumeSpace {
    const known = this.core.sink.space();
    const { usedBytes, roomBytes, aheadBytes, lentBytes, reserveBytes } = known;
    const { diskBytes, diskFreeBytes } = known;
    return {
      usedBytes,
      freeBytes: roomBytes,
      quotaBytes: this.options.quotaBytes,
      aheadBytes,
      lentBytes,
      reserveBytes,
      diskBytes,
      diskFreeBytes,
    };
  }
}

export interface VolumeSpace {
  /** What the records take. */
  usedBytes: number;
  freeBytes: number;
  /** 0: none. */
  quotaBytes: number;
  /** On the disk for the volume, and not used. */
  aheadBytes: number;
  /** Pages of the data file that the disk has got from `compact`. */
  lentBytes: number;
  /** Of the rest, what is kept for delete, restore and the collector. */
  reserveBytes: number;
  diskBytes: number;
  diskFreeBytes: number;
}

/** The inode is as the base has it, without a record: it is read again when it is asked for. */
function forgetUntouched(view: View, ino: number): void {
  const cached = view.cache.get(ino);
  if (cached === null || cached?.layer === 0) view.cache.delete(ino);
}

function isDirectoryMode(stat: { mode: number } | undefined): boolean {
  return ((stat?.mode ?? 0) & S_IFMT) === S_IFDIR;
}
