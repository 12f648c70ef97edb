/**
 * A volume: one LMDB environment, optionally over a base directory. The one
 * class that the tree, the commands and the tools work with; what it does lies
 * in the parts it puts together here. Serves synchronously; knows neither FUSE
 * nor sockets.
 */
import { realClock } from '../base/clock.js';
import { Deferred } from '../base/deferred.js';
import { FsError } from '../base/errors.js';
import { invariant } from '../base/invariant.js';
import { deltaPrefix, prefixEnd } from '../format/keys.js';
import { ALLOCATOR, inodeNumber, ROOT_FILESET, TABLE } from '../format/tables.js';
import { Attributes } from './attributes.js';
import { BaseIds } from './base-ids.js';
import { BlockMap } from './block-map.js';
import { type BlockRun, blockRuns } from './block-runs.js';
import { Catalog, type HistoryRecord, readHistory, type Snapshot } from './catalog.js';
import { type Change, changedPlaces } from './changes.js';
import { Commands, type Restored, type SaveAnswer } from './commands.js';
import { VolumeCore } from './core.js';
import { type StoredBase, storedBase } from './create-volume.js';
import { Directories } from './directories.js';
import { FileData } from './file-data.js';
import type { SinkEvents } from './group-sink.js';
import { Inodes, joinPath } from './inode-reader.js';
import type { Inode } from './inode.js';
import { InlineSink } from './inline-sink.js';
import { LayerTree } from './lineage.js';
import { Namespace } from './namespace.js';
import type { VolumeOptions } from './options.js';
import { openStore, type VolumeOpenOptions } from './open-volume.js';
import { Paths } from './paths.js';
import { ThreadSink } from './thread-sink.js';
import { View } from './view.js';

/** A group is closed when it is this old. */
export const GROUP_AGE_MS = 700;

export class Volume {
  readonly uuid: string;
  readonly options: VolumeOptions;
  readonly core: VolumeCore;
  readonly inodes: Inodes;
  readonly directories: Directories;
  readonly blocks: BlockMap;
  readonly data: FileData;
  readonly attributes: Attributes;
  readonly names: Namespace;
  readonly paths: Paths;
  readonly catalog: Catalog;
  readonly #commands: Commands;
  readonly #waiting: { ticket: number; done: Deferred<void> }[] = [];
  readonly #pinned = new Map<number, number>();
  readonly #views = new Map<number, View>();
  #committed = 0;
  /** A group must be closed as soon as the writer is free. */
  #closeWanted = false;

  private constructor(core: VolumeCore, catalog: Catalog, uuid: string) {
    this.core = core;
    this.catalog = catalog;
    this.uuid = uuid;
    this.options = core.options;
    const baseIds = new BaseIds(
      core.reader,
      core.base,
      (allocator) => catalog.takeInode(allocator),
      (key, value) => core.putSystem(TABLE.baseids, key, value),
    );
    this.inodes = new Inodes(core, baseIds);
    this.directories = new Directories(core, this.inodes);
    this.blocks = new BlockMap(core);
    this.data = new FileData(core, this.inodes, this.blocks);
    this.attributes = new Attributes(core, this.inodes);
    this.names = new Namespace(core, this.inodes, this.directories, this.data, () =>
      inodeNumber(ALLOCATOR.local, catalog.takeInode(ALLOCATOR.local)),
    );
    this.paths = new Paths(core, this.inodes, this.directories);
    this.#commands = new Commands(core, catalog, this.names);
    catalog.attach(core);
    core.beforeClose = () => catalog.storeCounters();
  }

  /** Throws CommandError: not-a-volume, volume-damaged, newer-format, base-mismatch … */
  static open(what: VolumeOpenOptions): Volume {
    const { reader, sink, options, stored, uuid, readOnly } = openStore(what);
    const layers = new LayerTree();
    const catalog = Catalog.load(reader, (layer) => layers.add(layer));
    const open = layers.all().find((l) => l.state === 'open' && l.fileset === ROOT_FILESET);
    invariant(open !== undefined, 'the root fileset has an open layer');
    const live = new View(ROOT_FILESET, open.number, layers.lineage(open.number), true);
    const core = new VolumeCore(
      reader,
      sink,
      options,
      what.base?.directory,
      what.clock ?? realClock(),
      live,
      layers,
    );
    const volume = new Volume(core, catalog, uuid);
    if (sink instanceof ThreadSink || sink instanceof InlineSink) sink.events = volume.#events();
    if (!readOnly) volume.#start(what, stored);
    core.readOnly = readOnly;
    return volume;
  }

  #start(what: VolumeOpenOptions, stored: StoredBase | undefined): void {
    if (what.base !== undefined && stored !== undefined && what.reattach === true) {
      this.catalog.putMeta('base', storedBase(what.base.path, what.base.directory));
    }
    this.names.reapOrphans();
  }

  #events(): SinkEvents {
    return {
      committed: (id) => {
        this.core.groupCommitted(id);
        this.#committed = id;
        if (this.#closeWanted) this.#closeNow();
        this.#answer();
      },
      failed: (id, error) => {
        this.core.failure = error;
        const failed = new FsError('EIO', 'commit', `group ${id}: ${error.message}`);
        for (const { done } of this.#waiting.splice(0)) done.reject(failed);
      },
      emptied: (layer) => this.#removeLayer(layer),
    };
  }

  #answer(): void {
    const ready = this.#waiting.filter((w) => w.ticket <= this.#committed);
    if (ready.length === 0) return;
    const rest = this.#waiting.filter((w) => w.ticket > this.#committed);
    this.#waiting.splice(0, this.#waiting.length, ...rest);
    for (const { done } of ready) done.resolve();
  }

  /** The collector has emptied a layer: take its record out. */
  #removeLayer(number: number): void {
    const { layers } = this.core;
    if (this.core.readOnly || !layers.has(number) || number === this.core.live.top) return;
    for (const child of layers.remove(number)) this.catalog.putLayer(child);
    this.catalog.deleteLayer(number);
    this.#views.delete(number);
  }

  // Views

  get live(): View {
    return this.core.live;
  }

  viewOf(snapshot: Snapshot): View {
    return this.viewAt(snapshot.layer);
  }

  viewAt(layer: number): View {
    let view = this.#views.get(layer);
    if (view === undefined) {
      view = new View(ROOT_FILESET, layer, this.core.layers.lineage(layer), false);
      if (this.#views.size > 64) this.#views.clear();
      this.#views.set(layer, view);
    }
    return view;
  }

  snapshots(): Snapshot[] {
    return this.catalog.list();
  }

  snapshot(name: string): Snapshot | undefined {
    return this.catalog.snapshots.get(name);
  }

  /** The newest snapshot that a user made. */
  latest(): Snapshot | undefined {
    return this.snapshots()
      .filter((s) => s.kind === 'user')
      .at(-1);
  }

  // Reads

  inode(view: View, ino: number): Inode | undefined {
    return this.inodes.get(view, ino);
  }

  lookup(view: View, directory: Inode, name: string): Inode | undefined {
    return this.directories.lookup(view, directory, name);
  }

  list(
    view: View,
    directory: Inode,
    afterHash: number,
    visit: (name: string, ino: number, type: number, hash: number) => boolean,
  ): void {
    this.directories.list(view, directory, afterHash, visit);
  }

  /** The inode behind a listed name. */
  inodeForListing(view: View, directory: Inode, name: string, ino: number): Inode | undefined {
    const inode = this.inodes.get(view, ino);
    if (inode !== undefined || directory.base === undefined) return inode;
    this.inodes.rememberBase(ino, joinPath(directory.base.path, name));
    return this.inodes.get(view, ino);
  }

  read(
    view: View,
    inode: Inode,
    offset: number,
    length: number,
    out: Buffer,
    outOffset: number,
  ): number {
    return this.data.read(view, inode, offset, length, out, outOffset);
  }

  seek(view: View, inode: Inode, offset: number, whence: 'data' | 'hole'): number {
    return this.data.seek(view, inode, offset, whence);
  }

  readAttribute(view: View, inode: Inode, name: string): Uint8Array | undefined {
    return this.attributes.read(view, inode, name);
  }

  listAttributes(view: View, inode: Inode): string[] {
    return this.attributes.list(view, inode);
  }

  pathOf(view: View, ino: number): string | undefined {
    return this.paths.of(view, ino);
  }

  /** Where each run of blocks is addressed. */
  runs(view: View, inode: Inode): BlockRun[] {
    return blockRuns(this.blocks, view, inode);
  }

  // Commands

  save(name: string | undefined, source: string): SaveAnswer {
    const answer = this.#commands.save(name, source);
    this.commit();
    return answer;
  }

  restore(name: string, source: string): Restored['answer'] & { from: View; to: View } {
    const { answer, from, to } = this.#commands.restore(name, source, this.openLayerIsEmpty());
    this.commit();
    return { ...answer, from, to };
  }

  deleteSnapshot(name: string, source: string): Record<string, unknown> {
    const answer = this.#commands.delete(name, source);
    this.commit();
    return answer;
  }

  renameSnapshot(from: string, to: string, source: string): Record<string, unknown> {
    const answer = this.#commands.rename(from, to, source);
    this.commit();
    return answer;
  }

  /** The snapshot of that name. Throws no-such-snapshot. */
  requireSnapshot(name: string): Snapshot {
    return this.#commands.require(name);
  }

  /** Nothing has been written since the last command. */
  openLayerIsEmpty(): boolean {
    const { top } = this.live;
    for (const group of [this.core.open, this.core.closing]) {
      const changes = group?.layers.get(top);
      if (changes === undefined) continue;
      const { inodes, directories, files } = changes;
      if (inodes.size + directories.size + files.size + changes.attributes.size > 0) return false;
    }
    const prefix = deltaPrefix(top);
    return this.core.reader.seek(TABLE.delta, prefix, prefixEnd(prefix)) === undefined;
  }

  /** The last `limit` stored commands, oldest first. */
  history(limit = Number.POSITIVE_INFINITY): HistoryRecord[] {
    return readHistory(this.core.reader, limit);
  }

  changes(from: View, to: View): Generator<Change> {
    return changedPlaces(this.core.reader, this.core.layers, from.top, to.top);
  }

  /** Keeps what a layer sees, although no snapshot names it. Counted. */
  pin(layer: number): void {
    this.#pinned.set(layer, (this.#pinned.get(layer) ?? 0) + 1);
    if (this.#pinned.get(layer) === 1) this.core.sink.pin([...this.#pinned.keys()]);
  }

  unpin(layer: number): void {
    const count = (this.#pinned.get(layer) ?? 0) - 1;
    if (count > 0) {
      this.#pinned.set(layer, count);
      return;
    }
    this.#pinned.delete(layer);
    this.core.sink.pin([...this.#pinned.keys()]);
  }

  // Groups

  acceptsWrites(): boolean {
    return this.core.acceptsWrites();
  }

  /** Closes the open group (now or when the writer is free); the ticket to wait for. */
  commit(): number {
    if (this.core.open.isEmpty) return this.core.closing?.id ?? this.#committed;
    const ticket = this.core.open.id;
    this.#closeWanted = true;
    this.#closeNow();
    return ticket;
  }

  #closeNow(): void {
    if (this.core.closeGroup()) this.#closeWanted = false;
  }

  /** Resolves when the group is on disk; rejects when it could not be stored. */
  whenCommitted(ticket: number): Deferred<void> {
    const done = new Deferred<void>();
    if (this.core.failure !== undefined) done.reject(new FsError('EIO', 'commit'));
    else if (ticket <= this.#committed) done.resolve();
    else this.#waiting.push({ ticket, done });
    return done;
  }

  /** Commits and waits in this thread: for tools, tests and closing. Not for the serving loop. */
  flush(): void {
    const ticket = this.commit();
    const { sink } = this.core;
    while (this.#committed < ticket && this.core.failure === undefined) {
      if (sink instanceof ThreadSink) sink.wait(1000);
      else sink.pump();
    }
    if (this.core.failure !== undefined) throw this.core.failure;
  }

  pump(): void {
    this.core.sink.pump();
  }

  /** Closes the group when it is old enough; returns ms until the next call is due. */
  tick(nowMs: number): number {
    const { openedMs } = this.core.open;
    if (openedMs === undefined) return GROUP_AGE_MS;
    const left = openedMs + GROUP_AGE_MS - nowMs;
    if (left > 0) return left;
    this.#closeWanted = true;
    this.#closeNow();
    return GROUP_AGE_MS;
  }

  set mayBlock(value: boolean) {
    this.core.mayBlock = value;
  }

  get mayBlock(): boolean {
    return this.core.mayBlock;
  }

  /** Bytes: what the volume uses and what it could still take. */
  space(): { usedBytes: number; freeBytes: number } {
    const space = this.core.sink.space();
    const disk = Math.max(space.availableBytes, space.diskFreeBytes);
    const { quotaBytes } = this.options;
    const free = quotaBytes > 0 ? Math.min(disk, quotaBytes - space.usedBytes) : disk;
    return { usedBytes: space.usedBytes, freeBytes: Math.max(0, free) };
  }

  status(): Record<string, unknown> {
    const { base, layers, failure } = this.core;
    return {
      uuid: this.uuid,
      blockSize: this.options.blockSize,
      openLayer: this.live.top,
      layers: layers.size,
      snapshots: this.catalog.snapshots.size,
      ...this.space(),
      openGroupBytes: this.core.open.bytes,
      writing: this.core.closing !== undefined,
      baseMismatches: base?.mismatches ?? [],
      ...(failure !== undefined && { failure: failure.message }),
    };
  }

  close(): void {
    if (!this.core.readOnly && this.core.failure === undefined) this.flush();
    this.core.sink.close();
    this.core.reader.close();
    this.core.base?.close();
  }
}
