/**
 * The name space over a volume, as drivers see it: finds out which kind of node
 * a request is about and passes it on. Live inodes go to `LiveNodes`; every
 * other node is a `SpecialNode`, which answers reads itself and refuses changes
 * with its `refusal`, except that `.snapshots` accepts commands.
 *
 * Doors: operations, tree, xattr-names.
 * Doors inside tree/: attributes, if-readable, listing, tree-context,
 *   tree-options, tree-volume.
 */
import { after, type Deferred } from '../lib/deferred.js';
import { FsError } from '../lib/errors.js';
import type { View } from '../volume/view.js';
import { allocate, statFsOf } from './live/space.js';
import { BaseChanges } from './coherence/base-changes.js';
import { type CoherenceJob, coherence } from './coherence/coherence.js';
import { ControlLink } from './control-link.js';
import { Cookies } from './cookies.js';
import { Forgetting } from './nodes/forgetting.js';
import { epochInodes, NODE_LIMITS } from './nodes/forgetting-plan.js';
import { HiddenNames } from './nodes/hidden-names.js';
import { LiveNodes } from './live/live-nodes.js';
import { NodePaths } from './nodes/node-paths.js';
import { NodeTable } from './nodes/node-table.js';
import { type Notifier, SILENT_NOTIFIER } from './coherence/notification.js';
import { OpenSnapshots } from './snapshots/open-snapshots.js';
import type {
  AttributeChanges,
  Attributes,
  Caller,
  Created,
  Entry,
  FillDirectory,
  FillDirectoryPlus,
  Opened,
  Operations,
  StatFs,
} from './operations.js';
import { ShadowNodes } from './snapshots/shadow-nodes.js';
import { SnapshotDirectories, SnapshotDirectoryNode } from './snapshots/snapshot-directory.js';
import type { SpecialNode } from './nodes/special-node.js';
import { type Transition, Transitions } from './coherence/transitions.js';
import { TreeContext } from './tree-context.js';
import type { Touch } from './watchers/touch.js';
import { Touching } from './watchers/touching.js';
import type { Watched } from './watchers/watched.js';
import { forsaken } from './watchers/forsaken.js';
import { watchedChanges } from './watchers/watched-changes.js';
import type { TreeOptions } from './tree-options.js';
import type { TreeVolume } from './tree-volume.js';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../lib/file-mode.js';

/** How long the kernel may keep names and attributes: there is no other writer. */
const DEFAULT_TIMEOUT_S = 24 * 3600;
const SEEK_DATA = 3;
/**
 * Bytes copied in one call; the caller continues. Other requests wait for as
 * long as that takes.
 */
const MAX_COPY_BYTES = 8 * 1024 * 1024;
const NOT_OPENED: Opened = { fh: 0, flags: 0 };

export class Tree implements Operations {
  readonly neverOpens = true;
  /** Set when a driver is connected. */
  notifier: Notifier = SILENT_NOTIFIER;
  /**
   * Set like `notifier`: the kernel keeps writes back; obeys ACLs; mixes the pages of old and new versions.
   */
  writeback = false;
  acls = false;
  sharesPages = false;

  readonly paths: NodePaths;
  readonly forgetting: Forgetting;
  readonly touching: Touching;
  readonly #context: TreeContext;
  readonly #nodes: NodeTable;
  readonly #live: LiveNodes;
  /** What others change in the base. */
  readonly baseChanges: BaseChanges;
  readonly #transitions: Transitions;
  readonly #directories: SnapshotDirectories;
  readonly #control: ControlLink | undefined;

  constructor(
    readonly volume: TreeVolume,
    readonly options: TreeOptions,
  ) {
    const { controlTarget, nodeLimits } = options;
    this.#nodes = new NodeTable(
      (ino) => void (options.readOnly || volume.release(ino)),
      (ino) => {
        if (options.isKnownElsewhere?.(ino) !== true) volume.forgetPath(ino);
      },
      epochInodes(nodeLimits ?? NODE_LIMITS),
    );
    const names = volume.options.hiddenNames;
    this.#context = new TreeContext(
      volume,
      this.#nodes,
      new HiddenNames(names.snapshots, controlTarget === undefined ? undefined : names.control),
      new Cookies(),
      options.timeoutS ?? DEFAULT_TIMEOUT_S,
      options.readOnly,
      options.ownerUid,
      () => this.notifier,
      () => this.writeback,
      () => this.acls,
      () => this.sharesPages,
    );
    this.paths = new NodePaths(this.#context);
    this.forgetting = new Forgetting(this.#context, options.runJob, nodeLimits);
    this.#transitions = new Transitions(this.#context);
    this.touching = new Touching(this.#context);
    this.#live = new LiveNodes(this.#context, this.#transitions);
    const shadows = new ShadowNodes(this.#context, new OpenSnapshots(volume));
    this.baseChanges = new BaseChanges(this.#context, shadows);
    this.#directories = new SnapshotDirectories(this.#context, shadows, options.commands);
    if (controlTarget !== undefined) this.#control = new ControlLink(this.#context, controlTarget);
  }

  /**
   * A restore has switched the live view. Call it at once, before any other
   * request; O(1). Run `coherence` afterwards.
   */
  transition(from: View, to: View): Transition {
    return this.#transitions.begin(from, to);
  }

  /** The rest of a transition, as a job for the loop; run it after the restore was committed. */
  coherence(transition: Transition): CoherenceJob {
    return coherence(this.#context, this.#transitions, transition, this.options.epochThreshold);
  }

  /**
   * What to touch after a transition, for programs that watch; `undefined` now and then. The views
   * must be pinned until the end.
   */
  watchedChanges({ from, to }: Transition, watched: Watched): Iterable<Touch | undefined> {
    return watchedChanges(this.#context, from, to, watched);
  }

  /** What to touch before that: watched directories that are gone. */
  forsaken({ from }: Transition, watched: Watched): Touch[] {
    return forsaken(this.#context, from, watched);
  }

  /** The kernel knows the inode of this mount, live or in a snapshot. */
  knows(ino: number): boolean {
    return this.#nodes.isKnown(ino);
  }

  /** The mount is gone, and others of the volume go on: nothing is kept for this one any more. */
  close(): void {
    this.#transitions.close();
  }

  /** Nodes held by the kernel. */
  status(): { live: number; special: number } {
    return { live: this.#nodes.liveCount, special: this.#nodes.specialCount };
  }

  /** The toucher makes a file that is there already. */
  #touchAdded(parent: number, name: string, mode: number): Entry {
    const directory = this.#nodes.resolve(parent);
    if (typeof directory !== 'number') throw new FsError(directory.refusal, 'touch', name);
    this.touching.added(directory, name, mode);
    return this.#live.lookup(directory, name);
  }

  /** The toucher removes a name that is gone already. */
  #touchRemoved(parent: number, name: string): void {
    const directory = this.#nodes.resolve(parent);
    if (typeof directory !== 'number') throw new FsError(directory.refusal, 'touch', name);
    this.touching.removed(directory, name);
  }

  /** The live inode to change. Throws the node's `refusal` for other nodes. */
  #changing(id: number, syscall: string): number {
    const node = this.#nodes.resolve(id);
    if (typeof node !== 'number') throw new FsError(node.refusal, syscall);
    this.#context.refuseChanges(syscall);
    return node;
  }

  lookup(caller: Caller, parent: number, name: string): Entry {
    const node = this.#nodes.resolve(parent);
    if (typeof node !== 'number') return node.lookup(name);
    const touched = this.touching.lookup(caller, node, name);
    if (touched !== undefined) return touched;
    const { hidden } = this.#context;
    if (!hidden.isHidden(node, name)) return this.#live.lookup(node, name);
    if (name === hidden.snapshots) return this.#directories.entry(node);
    if (this.#control === undefined) throw new FsError('ENOENT', 'lookup', name);
    return this.#control.entry();
  }

  forget(node: number, count: number): void {
    this.#nodes.forget(node, count);
  }

  getattr(caller: Caller, id: number, isOpen?: boolean): Attributes {
    const node = this.#nodes.resolve(id);
    if (typeof node !== 'number') return node.attributes(isOpen);
    return this.touching.attributes(caller, node) ?? this.#live.attributes(node);
  }

  setattr(caller: Caller, id: number, changes: AttributeChanges): Attributes {
    if (this.touching.isToucher(caller)) return this.getattr(caller, id);
    return this.#live.setAttributes(this.#changing(id, 'setattr'), changes);
  }

  readlink(_caller: Caller, id: number): string {
    const node = this.#nodes.resolve(id);
    return typeof node === 'number' ? this.#live.readlink(node) : node.readlink();
  }

  mknod(
    caller: Caller,
    parent: number,
    name: string,
    mode: number,
    rdev: number,
    umask = 0,
  ): Entry {
    if (this.touching.isToucher(caller)) return this.#touchAdded(parent, name, mode);
    return this.#live.make(caller, this.#changing(parent, 'mknod'), name, { mode, umask, rdev });
  }

  mkdir(
    caller: Caller,
    parent: number,
    name: string,
    mode: number,
    umask = 0,
  ): Entry | Deferred<Entry> {
    if (this.touching.isToucher(caller)) return this.#touchAdded(parent, name, S_IFDIR);
    const node = this.#nodes.resolve(parent);
    if (node instanceof SnapshotDirectoryNode) return node.save(caller, name);
    const directory = this.#changing(parent, 'mkdir');
    return this.#live.make(caller, directory, name, { mode: S_IFDIR | (mode & ~S_IFMT), umask });
  }

  symlink(caller: Caller, parent: number, name: string, target: string): Entry {
    if (this.touching.isToucher(caller)) return this.#touchAdded(parent, name, S_IFLNK);
    return this.#live.symlink(caller, this.#changing(parent, 'symlink'), name, target);
  }

  link(_caller: Caller, id: number, newParent: number, newName: string): Entry {
    const directory = this.#changing(newParent, 'link');
    const node = this.#nodes.resolve(id);
    if (typeof node === 'number') return this.#live.link(node, directory, newName);
    // A snapshot's file counts as on another device: the caller then copies.
    throw new FsError(node.refusal === 'EROFS' ? 'EXDEV' : node.refusal, 'link', newName);
  }

  unlink(caller: Caller, parent: number, name: string): void {
    if (this.touching.isToucher(caller)) this.#touchRemoved(parent, name);
    else this.#live.unlink(this.#changing(parent, 'unlink'), name);
  }

  rmdir(caller: Caller, parent: number, name: string): void | Deferred<void> {
    if (this.touching.isToucher(caller)) return this.#touchRemoved(parent, name);
    const node = this.#nodes.resolve(parent);
    if (node instanceof SnapshotDirectoryNode) return node.remove(caller, name);
    return this.#live.removeDirectory(this.#changing(parent, 'rmdir'), name);
  }

  rename(
    caller: Caller,
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
  ): void | Deferred<void> {
    const node = this.#nodes.resolve(parent);
    if (node instanceof SnapshotDirectoryNode) {
      if (newParent === parent) return node.rename(caller, name, newName, flags);
      throw new FsError('EXDEV', 'rename', name);
    }
    const from = this.#changing(parent, 'rename');
    const to = this.#changing(newParent, 'rename');
    return this.#live.rename(caller, from, name, to, newName, flags);
  }

  open(): 'no-open' {
    return 'no-open';
  }

  opendir(): 'no-open' {
    return 'no-open';
  }

  create(
    caller: Caller,
    parent: number,
    name: string,
    mode: number,
    _flags = 0,
    umask = 0,
  ): Created {
    const directory = this.#changing(parent, 'create');
    const what = { mode: S_IFREG | (mode & ~S_IFMT), umask };
    return { entry: this.#live.make(caller, directory, name, what), opened: NOT_OPENED };
  }

  tmpfile(caller: Caller, parent: number, mode: number, _flags = 0, umask = 0): Created {
    const directory = this.#changing(parent, 'tmpfile');
    const what = { mode: S_IFREG | (mode & ~S_IFMT), umask };
    return { entry: this.#live.makeUnnamed(caller, directory, what), opened: NOT_OPENED };
  }

  read(
    _caller: Caller,
    id: number,
    _fh: number,
    offset: number,
    length: number,
    out: Buffer,
    outOffset: number,
  ): number {
    const node = this.#nodes.resolve(id);
    if (typeof node !== 'number') return node.read(offset, length, out, outOffset);
    return this.#live.read(node, offset, length, out, outOffset);
  }

  write(
    _caller: Caller,
    id: number,
    _fh: number,
    offset: number,
    data: Buffer,
    killSetId: boolean,
    keepTimes = false,
  ): number | Deferred<number> {
    const node = this.#nodes.resolve(id);
    if (typeof node !== 'number') {
      node.writeRefused();
      throw new FsError(node.refusal, 'write');
    }
    this.#context.refuseChanges('write');
    return this.#live.write(node, offset, data, killSetId, keepTimes);
  }

  flush(): 'no-flush' {
    return 'no-flush';
  }

  release(): void {}

  fsync(_caller: Caller, id: number): undefined | Deferred<void> {
    const node = this.#nodes.resolve(id);
    if (typeof node !== 'number') {
      if (node.refusal === 'ESTALE') throw new FsError('ESTALE', 'fsync');
      return undefined;
    }
    if (this.options.readOnly) return undefined;
    return this.volume.durable();
  }

  fsyncdir(caller: Caller, id: number): undefined | Deferred<void> {
    return this.fsync(caller, id);
  }

  readdir(_caller: Caller, id: number, _fh: number, offset: number, fill: FillDirectory): void {
    const node = this.#nodes.resolve(id);
    if (typeof node === 'number') this.#live.readdir(node, offset, fill);
    else node.readdir(offset, fill);
  }

  readdirplus(
    _caller: Caller,
    id: number,
    _fh: number,
    offset: number,
    fill: FillDirectoryPlus,
  ): void {
    const node = this.#nodes.resolve(id);
    if (typeof node === 'number') this.#live.readdirplus(node, offset, fill);
    else node.readdirplus(offset, fill);
  }

  statfs(): StatFs {
    return statFsOf(this.volume.space());
  }

  setxattr(
    caller: Caller,
    id: number,
    name: string,
    value: Buffer,
    flags: number,
    killSetGid?: boolean,
  ): void {
    this.#live.setxattr(caller, this.#changing(id, 'setxattr'), name, value, flags, killSetGid);
  }

  getxattr(_caller: Caller, id: number, name: string): Uint8Array {
    const node = this.#nodes.resolve(id);
    return typeof node === 'number' ? this.#live.getxattr(node, name) : node.getxattr(name);
  }

  listxattr(_caller: Caller, id: number): string[] {
    const node = this.#nodes.resolve(id);
    return typeof node === 'number' ? this.#live.listxattr(node) : node.listxattr();
  }

  removexattr(_caller: Caller, id: number, name: string): void {
    this.#live.removexattr(this.#changing(id, 'removexattr'), name);
  }

  fallocate(
    _caller: Caller,
    id: number,
    _fh: number,
    offset: number,
    length: number,
    mode: number,
    keepTimes = false,
  ): void {
    const ino = this.#changing(id, 'fallocate');
    this.#live.changeContent(ino, keepTimes, () =>
      allocate(this.volume, ino, offset, length, mode),
    );
  }

  /** On a live file the kernel may hold newer data, so everything is written out first. */
  lseek(
    _caller: Caller,
    id: number,
    _fh: number,
    offset: number,
    whence: number,
  ): number | Deferred<number> {
    const wanted = whence === SEEK_DATA ? 'data' : 'hole';
    const seek = (node: number | SpecialNode): number =>
      typeof node === 'number' ? this.#live.seek(node, offset, wanted) : node.seek(offset, wanted);
    const node = this.#nodes.resolve(id);
    if (typeof node !== 'number') return seek(node);
    return after(this.options.quiesce(), () => seek(this.#nodes.resolve(id)));
  }

  copyFileRange(
    _caller: Caller,
    id: number,
    offset: number,
    newId: number,
    newOffset: number,
    length: number,
    keepTimes = false,
  ): number {
    const target = this.#changing(newId, 'copy_file_range');
    const source = this.#nodes.resolve(id);
    // From an old version the caller copies by reading and writing.
    if (typeof source !== 'number') throw new FsError('EXDEV', 'copy_file_range');
    const bounded = Math.min(length, MAX_COPY_BYTES);
    return this.#live.changeContent(target, keepTimes, () =>
      this.volume.copyRange(source, offset, target, newOffset, bounded),
    );
  }

  beginChange(): boolean {
    return this.volume.beginChange();
  }
}
