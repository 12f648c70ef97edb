/**
 * Changes of the name space of the live view: create, link, unlink, rename,
 * attributes, and the fate of an inode that loses its last name (D5).
 *
 * Doors: directories, inode-gaps, inode-reader.
 * Doors inside volume/: base-ids, namespace, paths.
 */
import { FsError } from '../../lib/errors.js';
import { inodePlace, layerOf, placeOf, inodeOf } from '../../format/records/keys.js';
import { MAX_LINK_NAMES, MAX_LINKS, MAX_NAME_LENGTH, TABLE } from '../../format/records/tables.js';
import { heldTime, type TimeSpec } from '../../format/records/time.js';
import type { Seat } from '../branches/branch.js';
import type { VolumeCore } from '../core.js';
import type { Directories, FoundEntry } from './directories.js';
import { type FileData, REAP_ALL } from '../files/file-data.js';
import type { Inodes } from './inode-reader.js';
import { S_IFCHR, DIRECTORY_TYPE, S_IFDIR, S_IFLNK, S_IFMT } from '../../lib/file-mode.js';
import { Inode } from '../inode.js';

export interface Owner {
  uid: number;
  gid: number;
}

export interface NewFile {
  mode: number;
  rdev?: number;
  target?: string;
}

export interface AttributeChange {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: 'now' | TimeSpec;
  mtime?: 'now' | TimeSpec;
  ctime?: TimeSpec;
  killSetId?: boolean;
}

/** True while the kernel still holds an inode that loses its last name. */
export type InUse = (ino: number) => boolean;

const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;

export class Namespace {
  constructor(
    readonly core: VolumeCore,
    readonly seat: Seat,
    readonly inodes: Inodes,
    readonly directories: Directories,
    readonly data: FileData,
    readonly allocate: () => number,
  ) {}

  #checkName(name: string): void {
    if (name.length > MAX_NAME_LENGTH) throw new FsError('ENAMETOOLONG', 'name', name);
    if (name === '' || name.includes('/') || name.includes('\0')) {
      throw new FsError('EINVAL', 'name', name);
    }
    if (name === '.' || name === '..') throw new FsError('EEXIST', 'name', name);
  }

  #newInode(who: Owner, what: NewFile): Inode {
    const now = this.core.clock.now();
    const inode = new Inode(this.allocate());
    inode.mode = what.mode;
    inode.uid = who.uid;
    inode.gid = who.gid;
    inode.rdev = what.rdev ?? 0;
    inode.atimeS = inode.mtimeS = inode.ctimeS = inode.btimeS = now.s;
    inode.atimeNs = inode.mtimeNs = inode.ctimeNs = inode.btimeNs = now.ns;
    if ((what.mode & S_IFMT) === S_IFLNK) {
      inode.target = what.target ?? '';
      inode.size = inode.target.length;
    }
    return inode;
  }

  create(who: Owner, directory: number, name: string, what: NewFile): Inode {
    this.#checkName(name);
    const parent = this.directories.require(directory);
    const below = this.directories.find(this.seat.live, parent, name);
    if (below !== undefined && below.ino !== 0) throw new FsError('EEXIST', 'create', name);
    const isDirectory = (what.mode & S_IFMT) === S_IFDIR;
    return this.core.change(3, 1024 + name.length, () => {
      const inode = this.#newInode(who, what);
      inode.nlink = isDirectory ? 2 : 1;
      inode.links = [{ parent: directory, name }];
      this.inodes.add(inode);
      this.directories.put(directory, name, inode.ino, what.mode >> 12, below);
      this.#touchDirectory(directory, isDirectory ? 1 : 0);
      return inode;
    });
  }

  /** A file without a name (O_TMPFILE): an orphan until it is linked. */
  createUnnamed(who: Owner, directory: number, mode: number): Inode {
    this.directories.require(directory);
    return this.core.change(2, 1024, () => {
      const inode = this.#newInode(who, { mode });
      inode.nlink = 0;
      this.inodes.add(inode);
      this.#setOrphan(inode.ino);
      return inode;
    });
  }

  /** mtime and ctime of a directory whose names change; link count by `links`. */
  #touchDirectory(ino: number, links: number): void {
    const directory = this.inodes.forChange(ino);
    this.data.touch(directory);
    // File systems without directory link counts report 1: it stays.
    if (directory.nlink > 1) directory.nlink += links;
  }

  #changed(inode: Inode): void {
    const now = this.core.clock.now();
    inode.ctimeS = now.s;
    inode.ctimeNs = now.ns;
  }

  #addLink(inode: Inode, parent: number, name: string): void {
    if (inode.links.length < MAX_LINK_NAMES) inode.links = [...inode.links, { parent, name }];
  }

  #dropLink(inode: Inode, parent: number, name: string): void {
    inode.links = inode.links.filter((link) => link.parent !== parent || link.name !== name);
  }

  link(ino: number, directory: number, name: string): Inode {
    this.#checkName(name);
    const parent = this.directories.require(directory);
    const below = this.directories.find(this.seat.live, parent, name);
    if (below !== undefined && below.ino !== 0) throw new FsError('EEXIST', 'link', name);
    const current = this.inodes.get(this.seat.live, ino);
    if (current === undefined) throw new FsError('ENOENT', 'link', name);
    if (current.isDirectory) throw new FsError('EPERM', 'link', name);
    if (current.nlink >= MAX_LINKS) throw new FsError('EMLINK', 'link', name);
    return this.core.change(4, 1024 + name.length, () => {
      const inode = this.inodes.forChange(ino);
      if (inode.nlink === 0) this.#clearOrphan(inode);
      inode.nlink++;
      this.#addLink(inode, directory, name);
      this.#changed(inode);
      this.directories.put(directory, name, ino, inode.mode >> 12, below);
      this.#touchDirectory(directory, 0);
      return inode;
    });
  }

  #existing(directory: number, name: string, syscall: string): FoundEntry {
    const parent = this.directories.require(directory);
    const entry = this.directories.find(this.seat.live, parent, name);
    if (entry === undefined || entry.ino === 0) throw new FsError('ENOENT', syscall, name);
    return entry;
  }

  unlink(directory: number, name: string, inUse: InUse): number {
    const entry = this.#existing(directory, name, 'unlink');
    const inode = this.inodes.get(this.seat.live, entry.ino);
    if (inode?.isDirectory) throw new FsError('EISDIR', 'unlink', name);
    this.directories.take(directory, name, entry);
    if (inode !== undefined) this.#loseName(entry.ino, directory, name, inUse);
    this.#touchDirectory(directory, 0);
    return entry.ino;
  }

  removeDirectory(directory: number, name: string, inUse: InUse): number {
    const entry = this.#existing(directory, name, 'rmdir');
    const inode = this.inodes.get(this.seat.live, entry.ino);
    if (inode === undefined || !inode.isDirectory) throw new FsError('ENOTDIR', 'rmdir', name);
    if (!this.directories.isEmpty(this.seat.live, inode)) {
      throw new FsError('ENOTEMPTY', 'rmdir', name);
    }
    this.directories.take(directory, name, entry);
    this.#loseDirectory(entry.ino, inUse);
    this.#touchDirectory(directory, -1);
    return entry.ino;
  }

  #loseName(ino: number, directory: number, name: string, inUse: InUse): void {
    const inode = this.inodes.forChange(ino);
    inode.nlink = Math.max(0, inode.nlink - 1);
    this.#dropLink(inode, directory, name);
    this.#changed(inode);
    if (inode.nlink === 0) this.#loseInode(ino, inUse);
  }

  #loseDirectory(ino: number, inUse: InUse): void {
    const inode = this.inodes.forChange(ino);
    inode.nlink = 0;
    inode.links = [];
    this.#changed(inode);
    this.#loseInode(ino, inUse);
  }

  #loseInode(ino: number, inUse: InUse): void {
    if (inUse(ino)) this.#setOrphan(ino);
    else this.remove(ino);
  }

  #setOrphan(ino: number): void {
    const changes = this.seat.changes();
    if (!changes.orphans.has(ino)) changes.newOrphans.add(ino);
    changes.orphans.set(ino, true);
    changes.since?.orphans.add(ino);
    this.core.open.note(32);
  }

  #clearOrphan(inode: Inode): void {
    const changes = this.seat.changes();
    changes.since?.orphans.add(inode.ino);
    // The intent log may have it already.
    if (changes.newOrphans.delete(inode.ino) && changes.since === undefined) {
      changes.orphans.delete(inode.ino);
      return;
    }
    // Only an inode of this layer has no older record that would become visible again.
    changes.orphans.set(inode.ino, inode.birthLayer === changes.layer ? null : false);
    this.core.open.note(32);
  }

  /** The inode is gone for the live view; its blocks go to the collector. */
  remove(ino: number): void {
    const changes = this.seat.changes();
    const inode = this.inodes.forChange(ino);
    const { birthLayer } = inode;
    changes.inodes.set(ino, null);
    if (inode.base !== undefined) changes.goneMs.set(ino, this.core.clock.nowMs());
    const { since, directories, xattrs: attributes, files } = changes;
    since?.inodes.add(ino);
    since?.drop(
      ino,
      directories.get(ino)?.names.keys(),
      attributes.get(ino)?.keys(),
      files.get(ino),
    );
    if (birthLayer === changes.layer) changes.droppedInodes.add(ino);
    files.delete(ino);
    attributes.delete(ino);
    directories.delete(ino);
    this.seat.live.cache.delete(ino);
    if (!this.core.isNew(ino)) this.data.reap(ino, changes.layer, REAP_ALL);
  }

  /** The kernel no longer holds the inode without a name. */
  release(ino: number): void {
    const inode = this.inodes.get(this.seat.live, ino);
    if (inode === undefined || inode.nlink > 0) return;
    this.#clearOrphan(inode);
    this.remove(ino);
  }

  /**
   * Removes inodes left behind by a crash, or by a restore to a snapshot with
   * open unlinked files.
   */
  reapOrphans(): void {
    for (const ino of this.orphans()) this.release(ino);
  }

  /** Open files without a name, as the live view has them. */
  orphans(): number[] {
    const alive = new Map<number, boolean>();
    for (const changes of this.core.pendingChanges(this.seat.live)) {
      for (const [ino, orphan] of changes.orphans) {
        if (!alive.has(ino)) alive.set(ino, orphan === true);
      }
    }
    const start = inodePlace(this.core.fileset, 0);
    const end = inodePlace(this.core.fileset + 1, 0);
    for (const { key, value } of this.core.reader.range(TABLE.orphans, start, end, {})) {
      if (!this.seat.live.includes(layerOf(TABLE.orphans, key))) continue;
      const ino = inodeOf(placeOf(TABLE.orphans, key));
      if (!alive.has(ino)) alive.set(ino, value[0] === 1);
    }
    return [...alive].filter(([, orphan]) => orphan).map(([ino]) => ino);
  }

  /** `whiteoutOwner`: leave a character device 0:0 of that owner in place of the moved name. */
  rename(
    from: number,
    name: string,
    to: number,
    newName: string,
    flags: number,
    inUse: InUse,
    whiteoutOwner?: Owner,
  ): void {
    this.#checkName(newName);
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) throw new FsError('EINVAL', 'rename', name);
    const source = this.#existing(from, name, 'rename');
    const target = this.directories.find(this.seat.live, this.directories.require(to), newName);
    const exists = target !== undefined && target.ino !== 0;
    if (flags & RENAME_EXCHANGE) {
      if (!exists) throw new FsError('ENOENT', 'rename', newName);
      this.#exchange(from, name, source, to, newName, target);
      return;
    }
    if (exists && flags & RENAME_NOREPLACE) throw new FsError('EEXIST', 'rename', newName);
    if (exists && source.ino === target.ino) return;
    const moved = this.inodes.get(this.seat.live, source.ino);
    if (moved === undefined) throw new FsError('ENOENT', 'rename', name);
    const replaced = exists ? this.inodes.get(this.seat.live, target.ino) : undefined;
    if (replaced !== undefined) this.#checkReplaced(moved, replaced, newName);
    this.core.change(10, 3072 + name.length + newName.length, () => {
      if (replaced !== undefined) this.#replace(replaced, to, newName, inUse);
      this.directories.put(to, newName, source.ino, source.type, target);
      if (whiteoutOwner === undefined) this.directories.take(from, name, source);
      else this.#leaveWhiteout(whiteoutOwner, from, name, source);
      this.#moved(source.ino, from, name, to, newName);
      const links = moved.isDirectory ? 1 : 0;
      this.#touchDirectory(from, from === to ? 0 : -links);
      if (from !== to) this.#touchDirectory(to, links);
    });
  }

  /** The marker of union file systems for a name that is hidden below them. */
  #leaveWhiteout(who: Owner, parent: number, name: string, moved: FoundEntry): void {
    const inode = this.#newInode(who, { mode: S_IFCHR });
    inode.nlink = 1;
    inode.links = [{ parent, name }];
    this.inodes.add(inode);
    this.directories.put(parent, name, inode.ino, S_IFCHR >> 12, moved);
  }

  #checkReplaced(moved: Inode, replaced: Inode, newName: string): void {
    if (moved.isDirectory && !replaced.isDirectory) throw new FsError('ENOTDIR', 'rename', newName);
    if (!moved.isDirectory && replaced.isDirectory) throw new FsError('EISDIR', 'rename', newName);
    if (replaced.isDirectory && !this.directories.isEmpty(this.seat.live, replaced)) {
      throw new FsError('ENOTEMPTY', 'rename', newName);
    }
  }

  /** Removes a name that a rename overwrites. */
  #replace(replaced: Inode, to: number, newName: string, inUse: InUse): void {
    if (!replaced.isDirectory) {
      this.#loseName(replaced.ino, to, newName, inUse);
      return;
    }
    this.#loseDirectory(replaced.ino, inUse);
    this.#touchDirectory(to, -1);
  }

  #moved(ino: number, from: number, name: string, to: number, newName: string): void {
    const inode = this.inodes.forChange(ino);
    this.#dropLink(inode, from, name);
    this.#addLink(inode, to, newName);
    this.#changed(inode);
  }

  #exchange(
    from: number,
    name: string,
    source: FoundEntry,
    to: number,
    newName: string,
    target: FoundEntry,
  ): void {
    if (source.ino === target.ino) return;
    this.core.change(6, 2048 + name.length + newName.length, () => {
      this.directories.put(from, name, target.ino, target.type, source);
      this.directories.put(to, newName, source.ino, source.type, target);
      this.#moved(source.ino, from, name, to, newName);
      this.#moved(target.ino, to, newName, from, name);
      const isDirectory = (entry: FoundEntry): number => (entry.type === DIRECTORY_TYPE ? 1 : 0);
      const shift = from === to ? 0 : isDirectory(target) - isDirectory(source);
      this.#touchDirectory(from, shift);
      if (from !== to) this.#touchDirectory(to, -shift);
    });
  }

  /** A time that the volume can't store becomes the nearest one that it can. */
  setAttributes(ino: number, change: AttributeChange): Inode {
    const inode = this.inodes.forChange(ino);
    const now = this.core.clock.now();
    if (change.size !== undefined) {
      if (inode.isDirectory) throw new FsError('EISDIR', 'truncate');
      if (!inode.isRegular) throw new FsError('EINVAL', 'truncate');
      this.data.truncate(inode, change.size);
      this.data.touch(inode);
    }
    if (change.mode !== undefined) inode.mode = (inode.mode & S_IFMT) | (change.mode & 0o7777);
    if (change.uid !== undefined) inode.uid = change.uid;
    if (change.gid !== undefined) inode.gid = change.gid;
    if (change.atime !== undefined) {
      const time = change.atime === 'now' ? now : heldTime(change.atime.s, change.atime.ns);
      inode.atimeS = time.s;
      inode.atimeNs = time.ns;
    }
    if (change.mtime !== undefined) {
      const time = change.mtime === 'now' ? now : heldTime(change.mtime.s, change.mtime.ns);
      inode.mtimeS = time.s;
      inode.mtimeNs = time.ns;
    }
    const ctime = change.ctime === undefined ? now : heldTime(change.ctime.s, change.ctime.ns);
    inode.ctimeS = ctime.s;
    inode.ctimeNs = ctime.ns;
    return inode;
  }
}
