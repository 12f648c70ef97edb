/**
 * Carries out a merge's plan in its layer: new files, then names, then
 * what goes, then bytes and attributes. It runs in slices; each group takes a
 * bounded share of them.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Deferred } from '../../lib/deferred.js';
import { FsError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import type { Work } from '../../lib/work.js';
import { MAX_LINK_NAMES } from '../../format/records/tables.js';
import { differingBlocks } from '../diff/compare.js';
import { isData } from '../files/block-map.js';
import { Inode } from '../inode.js';
import type { Entity } from './entities.js';
import { isLater } from './fields.js';
import type { MergeLayer } from './merge-layer.js';
import type { MergePlan, NameChange } from './plan.js';
import type { ThreeViews } from './three-views.js';

/** Staged in one group; the rest of its room is for programs' changes. */
const STAGED_BYTES = 12 * 1024 * 1024;
const STAGED_RECORDS = 10_000;
/** Blocks copied before the caller may do something else. */
const PIECE_BLOCKS = 16;
/** Room for the records of one change, names included. */
const RECORDS = 10;
const RECORD_BYTES = 4096;

export interface StageHost {
  pause(): Deferred<void>;
  onProgress(done: number, total: number): void;
}

export class Stage {
  readonly #trees: ThreeViews;
  /** The number in the merge of what is new in it. */
  readonly #numbers = new Map<Entity, number>();
  /** Directories whose names change, by number, with their version on the other side. */
  readonly #directories = new Map<number, Inode | undefined>();
  #done = 0;

  constructor(
    readonly layer: MergeLayer,
    readonly plan: MergePlan,
    readonly host: StageHost,
  ) {
    this.#trees = plan.trees;
  }

  *run(): Work<void> {
    const { plan } = this;
    const active = [...plan.entities.all.values()].filter((entity) => this.#isActive(entity));
    const total = active.length;
    for (const entity of active) {
      if (!entity.isNew) continue;
      yield* this.#room();
      this.#change(() => this.#make(entity));
    }
    for (const loss of plan.losses) {
      yield* this.#room();
      this.#change(() => this.#lose(loss));
    }
    for (const gain of plan.gains) {
      yield* this.#room();
      this.#change(() => this.#gain(gain));
    }
    failpoint('merge:names');
    for (const entity of active) {
      yield* this.#room();
      if (entity.isNew) yield* this.#fill(entity);
      else if (entity.isRemoved) this.#change(() => this.#remove(entity));
      else yield* this.#changeFields(entity);
      this.host.onProgress(++this.#done, total);
    }
    for (const [ino, theirs] of this.#directories) {
      yield* this.#room();
      this.#change(() => this.#touch(ino, theirs));
    }
  }

  #isActive({ isDropped, isNew, ours }: Entity): boolean {
    return !isDropped && (isNew || ours !== undefined);
  }

  /** A change of several records: refused (ENOSPC) before it begins, or done whole. */
  #change(body: () => void): void {
    this.layer.volume.core.change(RECORDS, RECORD_BYTES, body);
  }

  /** Waits until the writer is not behind. */
  *#room(): Work<void> {
    const { volume } = this.layer;
    while (volume.failure === undefined) {
      const { bytes, records, storing } = volume.txgs.load;
      if (bytes >= STAGED_BYTES || records >= STAGED_RECORDS) {
        if (storing !== undefined) yield volume.whenCommitted(storing);
        else volume.commit();
        failpoint('merge:stored');
      } else if (volume.beginChange()) {
        yield undefined;
        return;
      } else yield this.host.pause();
    }
    throw new FsError('EIO', 'merge', 'the volume');
  }

  #make(entity: Entity): void {
    const { layer } = this;
    const inode = (entity.theirs as Inode).clone();
    // A number that was known here once stays that file's; and base files are the base's.
    const isTaken = inode.base !== undefined || layer.isKnown(inode.ino);
    const own = isTaken ? renumbered(inode, layer.volume.newInodeNumber()) : inode;
    own.layer = layer.layer.number;
    own.birthLayer = layer.layer.number;
    own.dataLayer = 0;
    own.step = 1;
    own.clips = [];
    own.links = [];
    own.base = undefined;
    own.allocated = 0;
    own.nlink = own.isDirectory ? 2 : 0;
    if (own.isRegular) own.size = 0;
    this.#numbers.set(entity, own.ino);
    layer.changes().inodes.set(own.ino, own);
    layer.volume.core.open.note(220);
  }

  #numberOf(entity: Entity): number {
    return this.#numbers.get(entity) ?? (entity.ours as Inode).ino;
  }

  #directoryOf({ directory, parent }: NameChange): number {
    return directory !== 0 ? directory : this.#numberOf(parent as Entity);
  }

  #lose(loss: NameChange): void {
    const { directories, inodes } = this.layer;
    const { entity, name } = loss;
    const directory = this.#namesChange(loss);
    const found = directories.find(this.layer.view, inodes.forChange(directory), name);
    if (found !== undefined) directories.take(directory, name, found);
    const inode = inodes.forChange(this.#numberOf(entity));
    inode.links = inode.links.filter((link) => link.parent !== directory || link.name !== name);
    if (inode.isDirectory) this.#countDirectory(directory, -1);
    else inode.nlink--;
  }

  #gain(gain: NameChange): void {
    const { directories, inodes } = this.layer;
    const { entity, name } = gain;
    const directory = this.#namesChange(gain);
    const inode = inodes.forChange(this.#numberOf(entity));
    const found = directories.find(this.layer.view, inodes.forChange(directory), name);
    directories.put(directory, name, inode.ino, inode.mode >> 12, found);
    if (inode.links.length < MAX_LINK_NAMES) {
      inode.links = [...inode.links, { parent: directory, name }];
    }
    if (inode.isDirectory) this.#countDirectory(directory, 1);
    else inode.nlink++;
  }

  #namesChange(change: NameChange): number {
    const directory = this.#directoryOf(change);
    if (!this.#directories.has(directory)) {
      const theirs = change.parent?.theirs ?? this.#trees.inode('theirs', directory);
      this.#directories.set(directory, theirs);
    }
    return directory;
  }

  /** File systems without directory link counts report 1: it stays. */
  #countDirectory(ino: number, change: number): void {
    const directory = this.layer.inodes.forChange(ino);
    if (directory.nlink > 1) directory.nlink += change;
  }

  #remove(entity: Entity): void {
    const { ino } = entity.ours as Inode;
    this.layer.names.remove(ino);
    this.#directories.delete(ino);
  }

  /** Bytes and xattrs of a new file. */
  *#fill(entity: Entity): Work<void> {
    const theirs = entity.theirs as Inode;
    const ino = this.#numberOf(entity);
    const { volume, views } = this.#trees;
    for (const name of volume.listAttributes(views.theirs, theirs)) {
      const value = volume.readAttribute(views.theirs, theirs, name);
      if (value === undefined) continue;
      this.#change(() => this.layer.xattrs.put(ino, name, Buffer.from(value)));
    }
    if (!theirs.isRegular) return;
    const { blockSize } = volume.options;
    const count = Math.ceil(theirs.size / blockSize);
    for (let first = 0; first < count; first += PIECE_BLOCKS) {
      first = volume.blocks.firstBlock(views.theirs, theirs, first, 'data');
      if (first >= count) break;
      yield* this.#copy(theirs, ino, first, Math.min(first + PIECE_BLOCKS, count));
    }
    this.#setSize(ino, theirs);
  }

  *#changeFields(entity: Entity): Work<void> {
    const { before, ours, theirs, taken, text } = entity;
    if (ours === undefined || theirs === undefined) return;
    if (text !== undefined) yield* this.#putText(ours.ino, text);
    if (taken === undefined) return;
    if (taken.content && before !== undefined) yield* this.#takeContent(before, ours, theirs);
    const { ino } = ours;
    const { inodes, xattrs } = this.layer;
    for (const [name, value] of taken.xattrs) this.#change(() => xattrs.put(ino, name, value));
    this.#change(() => {
      const inode = inodes.forChange(ino);
      if (taken.mode) inode.mode = theirs.mode;
      if (taken.device) inode.rdev = theirs.rdev;
      if (taken.owner) {
        inode.uid = theirs.uid;
        inode.gid = theirs.gid;
      }
      if (taken.target) {
        inode.target = theirs.target;
        inode.size = theirs.size;
      }
      if (taken.mtime && !inode.isDirectory && text === undefined) takeTime(inode, theirs);
      this.#now(inode);
    });
  }

  /** Only what their side has written; the rest is the same here. */
  *#takeContent(before: Inode, ours: Inode, theirs: Inode): Work<void> {
    const { volume, views } = this.#trees;
    const { blockSize } = volume.options;
    const { ino } = ours;
    if (ours.size !== theirs.size) this.#setSize(ino, theirs);
    const count = Math.ceil(theirs.size / blockSize);
    for (let first = 0; first < count; first += PIECE_BLOCKS) {
      const end = Math.min(first + PIECE_BLOCKS, count);
      const differ = differingBlocks(
        volume,
        views.base,
        before,
        views.theirs,
        theirs,
        first,
        end - 1,
      );
      if (differ.includes(true)) yield* this.#copy(theirs, ino, first, end, differ);
      else yield undefined;
    }
  }

  #setSize(ino: number, { size }: Inode): void {
    const { inodes, data } = this.layer;
    this.#change(() => {
      const inode = inodes.forChange(ino);
      if (inode.size !== size) data.truncate(inode, size);
    });
  }

  /** Blocks first … end−1 of their file; `wanted`: only some of them. */
  *#copy(
    theirs: Inode,
    ino: number,
    first: number,
    end: number,
    wanted?: readonly boolean[],
  ): Work<void> {
    yield* this.#room();
    const { data, inodes } = this.layer;
    const { volume, views } = this.#trees;
    const { blockSize } = volume.options;
    const bytes = Buffer.alloc(blockSize);
    const sources = this.#trees.sources('theirs', theirs, first, end - 1);
    for (const [i, source] of sources.entries()) {
      if (wanted?.[i] === false) continue;
      const offset = (first + i) * blockSize;
      const length = Math.min(blockSize, theirs.size - offset);
      if (!isData(source)) {
        if (wanted !== undefined) data.punch(inodes.forChange(ino), offset, length);
        continue;
      }
      volume.data.read(views.theirs, theirs, offset, length, bytes, 0);
      data.write(ino, offset, bytes.subarray(0, length), true);
    }
  }

  *#putText(ino: number, path: string): Work<void> {
    const fd = openSync(path, 'r');
    try {
      const { size } = fstatSync(fd);
      const { data, inodes } = this.layer;
      const bytes = Buffer.alloc(this.#trees.volume.options.blockSize);
      this.#change(() => data.truncate(inodes.forChange(ino), 0));
      for (let offset = 0; offset < size; ) {
        yield* this.#room();
        const got = readSync(fd, bytes, 0, bytes.length, offset);
        if (got === 0) break;
        data.write(ino, offset, bytes.subarray(0, got));
        offset += got;
      }
      this.#change(() => data.touch(inodes.forChange(ino)));
    } finally {
      closeSync(fd);
    }
  }

  /** A directory whose names have changed: of the two times, the later one. */
  #touch(ino: number, theirs: Inode | undefined): void {
    const inode = this.layer.inodes.forChange(ino);
    if (theirs !== undefined && isLater(theirs, inode)) takeTime(inode, theirs);
    this.#now(inode);
  }

  #now(inode: Inode): void {
    const now = this.layer.volume.core.clock.now();
    inode.ctimeS = now.s;
    inode.ctimeNs = now.ns;
  }
}

function takeTime(inode: Inode, { mtimeS, mtimeNs }: Inode): void {
  inode.mtimeS = mtimeS;
  inode.mtimeNs = mtimeNs;
}

function renumbered(inode: Inode, ino: number): Inode {
  const copy = new Inode(ino);
  return Object.assign(copy, { ...inode, ino });
}
