/**
 * The part of `Volume` that the tree calls, and nothing else. `Volume`
 * implements all of it; unit tests of single parts may implement less.
 */
import type { Deferred } from '../lib/deferred.js';
import type { XattrValue } from '../volume/files/xattrs.js';
import type { Inode } from '../volume/inode.js';
import type { View } from '../volume/view.js';
import type { AttributeChanges } from './operations.js';

export interface SnapshotRecord {
  readonly name: string;
  readonly layer: number;
  readonly kind: 'user' | 'undo' | 'auto' | 'diverged';
  readonly createdMs: number;
  /** Absent: `main`. */
  readonly branch?: string;
}

/** Where a run of blocks is addressed; 'layer': in that layer's records. */
export interface BlockRun {
  readonly offset: number;
  readonly length: number;
  readonly where: 'layer' | 'base' | 'hole';
  readonly layer?: number;
}

export type ViewChange =
  | { kind: 'inode'; ino: number }
  | { kind: 'entry'; directory: number; name: string };

export interface Owner {
  uid: number;
  gid: number;
}

type InUse = (ino: number) => boolean;

/** Changes of the live view, by inode number: synchronous, in memory. */
interface VolumeNames {
  create(
    who: Owner,
    directory: number,
    name: string,
    what: { mode: number; rdev?: number; target?: string },
  ): Inode;
  createUnnamed(who: Owner, directory: number, mode: number): Inode;
  link(ino: number, directory: number, name: string): Inode;
  unlink(directory: number, name: string, inUse: InUse): number;
  removeDirectory(directory: number, name: string, inUse: InUse): number;
  rename(
    from: number,
    name: string,
    to: number,
    newName: string,
    flags: number,
    inUse: InUse,
    whiteoutOwner?: Owner,
  ): void;
  setAttributes(ino: number, changes: AttributeChanges): Inode;
  /** Stores the xattrs and makes the change, all or nothing. Returns the changed inode. */
  withXattrs(values: readonly XattrValue[], change: () => Inode): Inode;
  release(ino: number): void;
  /** The kernel no longer knows the inode by its number. */
  forgetPath(ino: number): void;
  /** Inodes whose base path is kept until `forgetPath`. */
  readonly knownPaths?: number;
}

interface VolumeData {
  write(ino: number, offset: number, data: Buffer, keepTimes?: boolean): number;
  /** The range reads as zeros afterwards. */
  punch(inode: Inode, offset: number, length: number): void;
  /** mtime and ctime. */
  touch(inode: Inode): void;
}

/** The base directory, as far as the tree hears of its changes. */
interface TreeBase {
  /** Byte strings. */
  watchedPaths(): Iterable<string>;
  list(path: string): readonly { name: string }[];
}

export interface TreeVolume extends VolumeNames {
  readonly options: { hiddenNames: { snapshots: string; control: string } };
  readonly live: View;
  /** The live tree accepts no changes: it follows another volume. */
  readonly isStandby?: boolean;
  viewOf(snapshot: SnapshotRecord): View;
  snapshots(): readonly SnapshotRecord[];
  snapshot(name: string): SnapshotRecord | undefined;
  /** It is of the branch that is shown here, or that branch comes from it. Absent: all are. */
  isOwn?(snapshot: SnapshotRecord): boolean;

  inode(view: View, ino: number): Inode | undefined;
  lookup(view: View, directory: Inode, name: string): Inode | undefined;
  list(
    view: View,
    directory: Inode,
    afterHash: number,
    visit: (name: string, ino: number, type: number, hash: number) => boolean,
    withInodes?: boolean,
  ): void;
  inodeForListing(view: View, directory: Inode, name: string, ino: number): Inode | undefined;
  read(
    view: View,
    inode: Inode,
    offset: number,
    length: number,
    out: Buffer,
    outOffset: number,
  ): number;
  seek(view: View, inode: Inode, offset: number, whence: 'data' | 'hole'): number;
  readAttribute(view: View, inode: Inode, name: string): Uint8Array | undefined;
  listAttributes(view: View, inode: Inode): string[];
  runs(view: View, inode: Inode): readonly BlockRun[];
  /** One path below the root; undefined: none in this view. */
  pathOf(view: View, ino: number): string | undefined;

  /** Changes of the live view, like those of VolumeNames. */
  readonly data: VolumeData;
  readonly xattrs: {
    set(ino: number, name: string, value: Uint8Array, flags: number): void;
    remove(ino: number, name: string): void;
  };
  readonly inodes: {
    /** The live inode's copy that belongs to the open txg. */
    forChange(ino: number): Inode;
  };

  /**
   * Hears of what others change in a base-backed directory; call it before the directory is read.
   * False: nothing tells of it. Absent: there is no base.
   */
  watchBase?(directory: Inode): boolean;
  /** Whether a change of the inode's base file by others would be heard of. */
  isBaseWatched?(inode: Inode): boolean;
  /** Views show this path of the base as it is now. Returns the number of the file there. */
  baseChanged?(path: string, others: readonly View[]): number | undefined;
  /** The number of the file at this path of the base. */
  baseNumber?(path: string): number | undefined;
  /** Anything in the base may have changed: nothing of it is taken from memory any more. */
  baseLost?(others: readonly View[]): void;
  readonly base?: TreeBase | undefined;

  changes(from: View, to: View): Generator<ViewChange>;
  pin(layer: number): void;
  unpin(layer: number): void;
  beginChange(): boolean;
  durable(): Deferred<void>;
  copyRange(
    source: number,
    sourceOffset: number,
    target: number,
    targetOffset: number,
    length: number,
  ): number;
  space(): { usedBytes: number; freeBytes: number; quotaBytes?: number };
}
