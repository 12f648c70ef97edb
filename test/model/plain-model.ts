/**
 * A volume as plainly as it can be said: maps of inodes with their bytes.
 * Snapshots are deep copies. Every change checks first what must refuse it,
 * then has the volume do it (`real`), then does it itself.
 */
import type { TimeNs } from '../../src/lib/clock.js';
import { MAX_FILE_SIZE } from '../../src/format/records/tables.js';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../../src/lib/file-mode.js';
import { Figures } from './figures.js';
import { ModelLocks } from './model-locks.js';

export class Refusal extends Error {
  constructor(readonly code: string) {
    super(code);
  }
}

export interface ModelInode {
  ino: number;
  mode: number;
  uid: number;
  gid: number;
  rdev: number;
  nlink: number;
  size: number;
  atime: TimeNs;
  mtime: TimeNs;
  ctime: TimeNs;
  /** Block index → exactly one block of bytes, never changed in place. Absent: zeros. */
  blocks: Map<number, Buffer>;
  xattrs: Map<string, string>;
  /** Names of a directory → inode. */
  names: Map<string, number>;
  target: string | undefined;
  /** Reading may change the host's access time. */
  fromBase: boolean;
}

export type Inodes = Map<number, ModelInode>;

export interface ModelSnapshot {
  name: string;
  kind: 'user' | 'undo';
  layer: number;
  inodes: Inodes;
}

export interface AttributeChange {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: 'now' | TimeNs;
  mtime?: 'now' | TimeNs;
}

export function copyInodes(inodes: Inodes): Inodes {
  const copy: Inodes = new Map();
  for (const [ino, inode] of inodes) {
    copy.set(ino, {
      ...inode,
      blocks: new Map(inode.blocks),
      xattrs: new Map(inode.xattrs),
      names: new Map(inode.names),
    });
  }
  return copy;
}

export const isDirectory = (inode: ModelInode): boolean => (inode.mode & S_IFMT) === S_IFDIR;
export const isRegular = (inode: ModelInode): boolean => (inode.mode & S_IFMT) === S_IFREG;
export const isSymlink = (inode: ModelInode): boolean => (inode.mode & S_IFMT) === S_IFLNK;

export class PlainModel {
  /** The live tree of the branch in focus. */
  live: Inodes = new Map();
  focus = 'main';
  /** The live trees of the other branches. */
  others = new Map<string, Inodes>();
  /** In the order of their layers. */
  snapshots: ModelSnapshot[] = [];
  locks = new ModelLocks();
  figures = new Figures();

  constructor(
    readonly blockSize: number,
    readonly now: () => TimeNs,
  ) {}

  /** What a crash may bring back. Snapshots never change, so they are shared. */
  copy(): PlainModel {
    const copy = new PlainModel(this.blockSize, this.now);
    copy.live = copyInodes(this.live);
    copy.focus = this.focus;
    for (const [name, inodes] of this.others) copy.others.set(name, copyInodes(inodes));
    copy.snapshots = [...this.snapshots];
    copy.locks = this.locks.copy();
    copy.figures = this.figures.clone();
    return copy;
  }

  inode(ino: number): ModelInode {
    const inode = this.live.get(ino);
    if (inode === undefined) throw new Refusal('ESTALE');
    return inode;
  }

  #directory(ino: number): ModelInode {
    const inode = this.live.get(ino);
    if (inode === undefined || (isDirectory(inode) && inode.nlink === 0)) {
      throw new Refusal('ENOENT');
    }
    if (!isDirectory(inode)) throw new Refusal('ENOTDIR');
    return inode;
  }

  #checkName(name: string): void {
    if (name.length > 255) throw new Refusal('ENAMETOOLONG');
    if (name === '' || /[/\0]/.test(name)) throw new Refusal('EINVAL');
    if (name === '.' || name === '..') throw new Refusal('EEXIST');
  }

  #touch(inode: ModelInode): void {
    inode.mtime = inode.ctime = this.now();
  }

  #touchDirectory(directory: ModelInode, links: number): void {
    this.#touch(directory);
    if (directory.nlink > 1) directory.nlink += links;
  }

  #newInode(ino: number, mode: number, uid: number, gid: number): ModelInode {
    const now = this.now();
    const inode: ModelInode = {
      ino,
      mode,
      uid,
      gid,
      rdev: 0,
      nlink: (mode & S_IFMT) === S_IFDIR ? 2 : 1,
      size: 0,
      atime: now,
      mtime: now,
      ctime: now,
      blocks: new Map(),
      xattrs: new Map(),
      names: new Map(),
      target: undefined,
      fromBase: false,
    };
    if (this.live.has(ino)) throw new Error(`inode number ${ino} was given out twice`);
    this.live.set(ino, inode);
    return inode;
  }

  addRoot(ino: number, uid: number, gid: number): void {
    this.#newInode(ino, S_IFDIR | 0o755, uid, gid);
  }

  // Names

  create(
    who: { uid: number; gid: number },
    directory: number,
    name: string,
    what: { mode: number; rdev?: number; target?: string },
    real: () => number,
  ): void {
    this.#checkName(name);
    const parent = this.#directory(directory);
    if (parent.names.has(name)) throw new Refusal('EEXIST');
    const inode = this.#newInode(real(), what.mode, who.uid, who.gid);
    inode.rdev = what.rdev ?? 0;
    if (isSymlink(inode)) {
      inode.target = what.target ?? '';
      inode.size = inode.target.length;
    }
    parent.names.set(name, inode.ino);
    this.#touchDirectory(parent, isDirectory(inode) ? 1 : 0);
  }

  createUnnamed(
    who: { uid: number; gid: number },
    directory: number,
    mode: number,
    real: () => number,
  ): void {
    this.#directory(directory);
    this.#newInode(real(), mode, who.uid, who.gid).nlink = 0;
  }

  link(ino: number, directory: number, name: string, real: () => void): void {
    this.#checkName(name);
    const parent = this.#directory(directory);
    if (parent.names.has(name)) throw new Refusal('EEXIST');
    const inode = this.live.get(ino);
    if (inode === undefined) throw new Refusal('ENOENT');
    if (isDirectory(inode)) throw new Refusal('EPERM');
    real();
    inode.nlink++;
    inode.ctime = this.now();
    parent.names.set(name, ino);
    this.#touchDirectory(parent, 0);
  }

  unlink(directory: number, name: string, inUse: (ino: number) => boolean, real: () => void): void {
    const parent = this.#directory(directory);
    const ino = parent.names.get(name);
    if (ino === undefined) throw new Refusal('ENOENT');
    if (isDirectory(this.inode(ino))) throw new Refusal('EISDIR');
    real();
    parent.names.delete(name);
    this.#loseName(ino, inUse);
    this.#touchDirectory(parent, 0);
  }

  removeDirectory(
    directory: number,
    name: string,
    inUse: (ino: number) => boolean,
    real: () => void,
  ): void {
    const parent = this.#directory(directory);
    const ino = parent.names.get(name);
    if (ino === undefined) throw new Refusal('ENOENT');
    const child = this.inode(ino);
    if (!isDirectory(child)) throw new Refusal('ENOTDIR');
    if (child.names.size > 0) throw new Refusal('ENOTEMPTY');
    real();
    parent.names.delete(name);
    this.#loseDirectory(ino, inUse);
    this.#touchDirectory(parent, -1);
  }

  #loseName(ino: number, inUse: (ino: number) => boolean): void {
    const inode = this.inode(ino);
    inode.nlink = Math.max(0, inode.nlink - 1);
    inode.ctime = this.now();
    if (inode.nlink === 0 && !inUse(ino)) this.#remove(ino);
  }

  #loseDirectory(ino: number, inUse: (ino: number) => boolean): void {
    const inode = this.inode(ino);
    inode.nlink = 0;
    inode.ctime = this.now();
    if (!inUse(ino)) this.#remove(ino);
  }

  #remove(ino: number): void {
    this.live.delete(ino);
    this.figures.remove(ino);
  }

  release(ino: number, real: () => void): void {
    real();
    if (this.live.get(ino)?.nlink === 0) this.#remove(ino);
  }

  /** After a crash or a restore nobody holds the nameless ones any more. */
  reapOrphans(): void {
    for (const [ino, inode] of this.live) if (inode.nlink === 0) this.#remove(ino);
  }

  rename(
    from: number,
    name: string,
    to: number,
    newName: string,
    how: 'plain' | 'noreplace' | 'exchange',
    inUse: (ino: number) => boolean,
    real: () => void,
  ): void {
    this.#checkName(newName);
    const fromDirectory = this.#directory(from);
    const source = fromDirectory.names.get(name);
    if (source === undefined) throw new Refusal('ENOENT');
    const toDirectory = this.#directory(to);
    const target = toDirectory.names.get(newName);
    const now = this.now();
    const moved = this.inode(source);
    const links = isDirectory(moved) ? 1 : 0;
    if (how === 'exchange') {
      if (target === undefined) throw new Refusal('ENOENT');
      real();
      if (source === target) return;
      const other = this.inode(target);
      fromDirectory.names.set(name, target);
      toDirectory.names.set(newName, source);
      moved.ctime = other.ctime = now;
      const shift = from === to ? 0 : (isDirectory(other) ? 1 : 0) - links;
      this.#touchDirectory(fromDirectory, shift);
      if (from !== to) this.#touchDirectory(toDirectory, -shift);
      return;
    }
    if (target !== undefined && how === 'noreplace') throw new Refusal('EEXIST');
    if (target === source) {
      real();
      return;
    }
    if (target !== undefined) this.#checkReplaced(moved, this.inode(target));
    real();
    if (target !== undefined) {
      if (isDirectory(this.inode(target))) {
        this.#loseDirectory(target, inUse);
        this.#touchDirectory(toDirectory, -1);
      } else {
        this.#loseName(target, inUse);
      }
    }
    fromDirectory.names.delete(name);
    toDirectory.names.set(newName, source);
    moved.ctime = now;
    this.#touchDirectory(fromDirectory, from === to ? 0 : -links);
    if (from !== to) this.#touchDirectory(toDirectory, links);
  }

  #checkReplaced(moved: ModelInode, replaced: ModelInode): void {
    if (isDirectory(moved) && !isDirectory(replaced)) throw new Refusal('ENOTDIR');
    if (!isDirectory(moved) && isDirectory(replaced)) throw new Refusal('EISDIR');
    if (replaced.names.size > 0) throw new Refusal('ENOTEMPTY');
  }

  /** True when `ino` is `above` or lies below it. */
  isBelow(ino: number, above: number): boolean {
    if (ino === above) return true;
    const top = this.live.get(above);
    return [...(top?.names.values() ?? [])].some((child) => {
      const inode = this.live.get(child);
      return inode !== undefined && isDirectory(inode) && this.isBelow(ino, child);
    });
  }

  // Content

  #setBlock(inode: ModelInode, index: number, bytes: Buffer | undefined): void {
    this.figures.modify(inode.ino, index, bytes);
    if (bytes === undefined) inode.blocks.delete(index);
    else inode.blocks.set(index, bytes);
  }

  write(ino: number, offset: number, data: Buffer, real: () => void): void {
    if (offset + data.length > MAX_FILE_SIZE) throw new Refusal('EFBIG');
    real();
    if (data.length === 0) return;
    const inode = this.inode(ino);
    this.#put(inode, offset, data);
    inode.size = Math.max(inode.size, offset + data.length);
    this.#touch(inode);
  }

  #put(inode: ModelInode, offset: number, data: Buffer): void {
    const { blockSize } = this;
    for (let done = 0; done < data.length; ) {
      const index = Math.floor((offset + done) / blockSize);
      const from = offset + done - index * blockSize;
      const count = Math.min(blockSize - from, data.length - done);
      const block = Buffer.from(inode.blocks.get(index) ?? Buffer.alloc(blockSize));
      data.copy(block, from, done, done + count);
      this.#setBlock(inode, index, block);
      done += count;
    }
  }

  #truncate(inode: ModelInode, size: number): void {
    const { blockSize } = this;
    if (size < inode.size) {
      for (const index of [...inode.blocks.keys()]) {
        if (index * blockSize >= size) this.#setBlock(inode, index, undefined);
      }
      const index = Math.floor(size / blockSize);
      const last = inode.blocks.get(index);
      if (last !== undefined) {
        this.#setBlock(inode, index, Buffer.from(last).fill(0, size - index * blockSize));
      }
    }
    inode.size = size;
  }

  punch(ino: number, offset: number, length: number, real: () => void): void {
    const inode = this.inode(ino);
    real();
    const { blockSize } = this;
    const end = Math.min(offset + length, inode.size);
    for (const [index, block] of [...inode.blocks]) {
      const start = index * blockSize;
      const from = Math.max(offset - start, 0);
      const to = Math.min(end - start, blockSize);
      if (from >= to) continue;
      const isWhole = from === 0 && (to === blockSize || start + to === inode.size);
      this.#setBlock(inode, index, isWhole ? undefined : Buffer.from(block).fill(0, from, to));
    }
    this.#touch(inode);
  }

  copyRange(
    from: number,
    fromOffset: number,
    to: number,
    toOffset: number,
    length: number,
    real: () => number,
  ): void {
    const source = this.inode(from);
    const target = this.inode(to);
    const count = Math.max(0, Math.min(length, source.size - fromOffset));
    const copied = real();
    if (copied !== count) throw new Error(`copied ${copied} bytes, expected ${count}`);
    if (count === 0) return;
    this.#put(target, toOffset, this.bytes(source, fromOffset, count));
    target.size = Math.max(target.size, toOffset + count);
    this.#touch(target);
  }

  /** The bytes of a range inside a file. */
  bytes(inode: ModelInode, offset: number, length: number): Buffer {
    const { blockSize } = this;
    const out = Buffer.alloc(length);
    const last = Math.floor((offset + length - 1) / blockSize);
    for (let index = Math.floor(offset / blockSize); index <= last; index++) {
      const start = index * blockSize - offset;
      inode.blocks.get(index)?.copy(out, Math.max(start, 0), Math.max(-start, 0));
    }
    return out;
  }

  setAttributes(ino: number, change: AttributeChange, real: () => void): void {
    const inode = this.inode(ino);
    if (change.size !== undefined) {
      if (isDirectory(inode)) throw new Refusal('EISDIR');
      if (!isRegular(inode)) throw new Refusal('EINVAL');
      if (change.size > MAX_FILE_SIZE) throw new Refusal('EFBIG');
    }
    real();
    const now = this.now();
    if (change.size !== undefined) {
      this.#truncate(inode, change.size);
      this.#touch(inode);
    }
    if (change.mode !== undefined) inode.mode = (inode.mode & S_IFMT) | (change.mode & 0o7777);
    if (change.uid !== undefined) inode.uid = change.uid;
    if (change.gid !== undefined) inode.gid = change.gid;
    if (change.atime !== undefined) inode.atime = change.atime === 'now' ? now : change.atime;
    if (change.mtime !== undefined) inode.mtime = change.mtime === 'now' ? now : change.mtime;
    inode.ctime = now;
  }

  setXattr(ino: number, name: string, value: Buffer, flags: number, real: () => void): void {
    const inode = this.inode(ino);
    if (flags === 1 && inode.xattrs.has(name)) throw new Refusal('EEXIST');
    if (flags === 2 && !inode.xattrs.has(name)) throw new Refusal('ENODATA');
    real();
    const text = value.toString('latin1');
    // As ext4: what is there already is no change.
    if (inode.xattrs.get(name) === text) return;
    inode.xattrs.set(name, text);
    inode.ctime = this.now();
  }

  removeXattr(ino: number, name: string, real: () => void): void {
    const inode = this.inode(ino);
    if (!inode.xattrs.has(name)) throw new Refusal('ENODATA');
    real();
    inode.xattrs.delete(name);
    inode.ctime = this.now();
  }

  // Commands

  snapshot(name: string): ModelSnapshot {
    const found = this.snapshots.find((s) => s.name === name);
    if (found === undefined) throw new Refusal('ENOENT');
    return found;
  }

  addSnapshot(name: string, kind: 'user' | 'undo', layer: number): void {
    this.snapshots.push({ name, kind, layer, inodes: copyInodes(this.live) });
    const files = [...this.live.values()].filter(isRegular).map((inode) => inode.ino);
    this.figures.snapshot(name, files);
  }

  deleteSnapshot(name: string): void {
    this.snapshots = this.snapshots.filter((s) => s.name !== name);
    this.figures.deleteSnapshot(name);
  }

  renameSnapshot(from: string, to: string): void {
    const at = this.snapshots.findIndex((s) => s.name === from);
    const old = this.snapshots[at] as ModelSnapshot;
    this.snapshots = this.snapshots.with(at, { ...old, name: to, kind: 'user' });
    this.figures.renameSnapshot(from, to);
  }

  /** The live tree becomes what the snapshot holds; for the figures: block by block. */
  restore(name: string): void {
    this.#become(copyInodes(this.snapshot(name).inodes));
    this.reapOrphans();
  }

  /** A merge made the live tree another one. */
  merged(inodes: Inodes): void {
    this.#become(inodes);
  }

  /** Another branch is worked in. */
  focusOn(name: string): void {
    const wanted = this.others.get(name);
    if (wanted === undefined) return;
    this.others.delete(name);
    this.others.set(this.focus, this.live);
    this.focus = name;
    this.#become(wanted);
  }

  /** Of any branch. */
  inodesOf(branch: string): Inodes {
    return branch === this.focus ? this.live : (this.others.get(branch) as Inodes);
  }

  branches(): string[] {
    return [this.focus, ...this.others.keys()];
  }

  #become(wanted: Inodes): void {
    for (const ino of this.live.keys()) if (!wanted.has(ino)) this.figures.remove(ino);
    for (const [ino, inode] of wanted) {
      const had = this.live.get(ino)?.blocks ?? new Map<number, Buffer>();
      for (const index of had.keys()) {
        if (!inode.blocks.has(index)) this.figures.modify(ino, index, undefined);
      }
      for (const [index, bytes] of inode.blocks) {
        if (had.get(index) !== bytes) this.figures.modify(ino, index, bytes);
      }
    }
    this.live = wanted;
  }
}
