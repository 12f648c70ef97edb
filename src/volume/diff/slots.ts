/**
 * The names that lead to different inodes in two views. A *slot* is one name in
 * one directory: what it led to before, and what it leads to after.
 *
 * Names of directories that are in both views come from the delta maps. Where a
 * directory was added or removed, everything below it is listed, in time
 * proportional to its size. A directory that replaced another one is compared
 * with it name by name.
 */
import { ROOT_INODE } from '../../format/records/tables.js';
import { joinPath } from '../names/inode-reader.js';
import type { Inode } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';

export interface Slot {
  /** Paths in the older and the newer view; undefined: the directory is not in that view. */
  beforePath: string | undefined;
  afterPath: string | undefined;
  before: Inode | undefined;
  after: Inode | undefined;
}

/** One directory in both views, or two in the same place, or one that was added or removed. */
interface DirectoryPair {
  before: Inode | undefined;
  after: Inode | undefined;
  beforePath: string | undefined;
  afterPath: string | undefined;
}

export class DiffSlots {
  readonly slots: Slot[] = [];
  /** Inodes with a record in a layer that only one view sees. */
  readonly touched = new Set<number>();
  readonly #names = new Map<number, Set<string>>();
  /** Directories whose names are all in `slots` already. */
  readonly #listed = new Set<number>();

  constructor(
    readonly volume: ReadableVolume,
    readonly from: View,
    readonly to: View,
  ) {}

  inFrom(ino: number): Inode | undefined {
    return this.#inode(this.from, this.to, ino);
  }

  inTo(ino: number): Inode | undefined {
    return this.#inode(this.to, this.from, ino);
  }

  /** A base file without a record in `view` may have one in `other` that gives its path. */
  #inode(view: View, other: View, ino: number): Inode | undefined {
    const inode = this.volume.inode(view, ino);
    if (inode !== undefined || this.volume.core.base === undefined) return inode;
    const path = this.volume.inode(other, ino)?.base?.path;
    if (path === undefined) return undefined;
    this.volume.inodes.rememberBase(ino, path);
    return this.volume.inode(view, ino);
  }

  collect(): void {
    for (const change of this.volume.changes(this.from, this.to)) {
      if (change.kind === 'inode') {
        this.touched.add(change.ino);
        continue;
      }
      const names = this.#names.get(change.directory);
      if (names === undefined) this.#names.set(change.directory, new Set([change.name]));
      else names.add(change.name);
    }
    for (const [ino, names] of this.#names) {
      const before = this.inFrom(ino);
      const after = this.inTo(ino);
      // An added or removed directory is listed from its parent.
      if (before?.isDirectory !== true || after?.isDirectory !== true) continue;
      const beforePath = this.#path(this.from, ino);
      const afterPath = this.#path(this.to, ino);
      if (beforePath === undefined || afterPath === undefined) continue;
      const place = { before, after, beforePath, afterPath };
      for (const name of names) this.#slot(place, name);
    }
  }

  #path(view: View, ino: number): string | undefined {
    return ino === ROOT_INODE ? '' : this.volume.paths.of(view, ino);
  }

  #child(view: View, directory: Inode | undefined, name: string): Inode | undefined {
    if (directory === undefined) return undefined;
    return this.volume.lookup(view, directory, name);
  }

  #slot(place: DirectoryPair, name: string): void {
    const before = this.#child(this.from, place.before, name);
    const after = this.#child(this.to, place.after, name);
    if (before?.ino === after?.ino) return;
    const child = {
      before,
      after,
      beforePath: place.beforePath === undefined ? undefined : joinPath(place.beforePath, name),
      afterPath: place.afterPath === undefined ? undefined : joinPath(place.afterPath, name),
    };
    this.slots.push(child);
    const went = before?.isDirectory === true && this.#isOnlyIn(before, this.to);
    const came = after?.isDirectory === true && this.#isOnlyIn(after, this.from);
    if (went || came) {
      this.#list({
        ...child,
        before: went ? before : undefined,
        after: came ? after : undefined,
      });
    }
  }

  #isOnlyIn(directory: Inode, other: View): boolean {
    const found = other === this.to ? this.inTo(directory.ino) : this.inFrom(directory.ino);
    return found === undefined || found.nlink === 0;
  }

  /** Lists every name of added or removed directories. */
  #list(place: DirectoryPair): void {
    const names = new Set<string>();
    for (const [view, directory] of [
      [this.from, place.before],
      [this.to, place.after],
    ] as const) {
      if (directory === undefined || this.#listed.has(directory.ino)) continue;
      this.#listed.add(directory.ino);
      this.volume.list(view, directory, 0, (name) => {
        names.add(name);
        return true;
      });
    }
    for (const name of names) this.#slot(place, name);
  }
}
