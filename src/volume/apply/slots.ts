/**
 * The names that differ between what the base has and what the tree has. A
 * *slot* is one name in one directory: what it led to when the base was last
 * made equal (the *ancestor* view), and what it leads to in the tree.
 *
 * Found from the delta maps between the two views, in time proportional to the
 * change; only directories that came or went are listed whole. Works in pieces.
 */
import { ROOT_INODE } from '../../format/records/tables.js';
import { isWithin, parentOf } from '../../lib/paths.js';
import type { Work } from '../../lib/work.js';
import type { Inode } from '../inode.js';
import { joinPath } from '../names/inode-reader.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';

export interface Slot {
  directory: number;
  name: string;
  /** Below the root; undefined: the directory is not in that view. */
  beforePath: string | undefined;
  afterPath: string | undefined;
  before: Inode | undefined;
  after: Inode | undefined;
}

/** Where one part of the tree was last made equal to the base. */
export interface Ancestor {
  /** '' for the whole tree. */
  path: string;
  view: View;
}

/** A directory with everything in it that came or went. */
interface Whole {
  directory: Inode;
  path: string;
  side: 'before' | 'after';
}

const NAMES_AT_ONCE = 8;
/** Names of a directory read at a time; more, if they share a hash. */
const LISTED_AT_ONCE = 256;

/** It is one of the places, or lies below one. */
export function isBelowOne(path: string, tops: ReadonlySet<string>): boolean {
  for (let at = path; at !== ''; at = parentOf(at)) if (tops.has(at)) return true;
  return tops.has('');
}

/** An inode without a name is in no directory. */
function alive(inode: Inode | undefined): Inode | undefined {
  return inode === undefined || inode.nlink === 0 ? undefined : inode;
}

export class Slots {
  slots: Slot[] = [];
  /** Inodes that are in both views and were written in between. */
  readonly touched = new Set<number>();
  readonly #listed = new Set<number>();

  /** `ancestors`: the whole tree first, then parts; of parts that overlap the last one counts. */
  constructor(
    readonly volume: ReadableVolume,
    readonly ancestors: readonly Ancestor[],
    readonly target: View,
    /** What is to be applied; none: everything. */
    readonly wanted: readonly string[] = [],
    /** Called for each slot that is kept: throws when there are too many. */
    readonly onSlot: () => void = () => undefined,
  ) {}

  *collect(): Work<void> {
    for (const ancestor of this.ancestors) {
      yield* this.#between(ancestor);
      this.#listed.clear();
    }
  }

  /** The ancestor that counts for a path. */
  #isFor(ancestor: Ancestor, path: string): boolean {
    return this.ancestors.findLast(({ path: top }) => isWithin(path, top)) === ancestor;
  }

  /** As the inode is where the base was made equal; undefined: the base does not have it. */
  before(ino: number): Inode | undefined {
    return this.#found(ino)?.inode;
  }

  /** The view in which `before` found the inode. */
  viewBefore(ino: number): View {
    return this.#found(ino)?.view ?? (this.ancestors[0] as Ancestor).view;
  }

  #found(ino: number): { inode: Inode; view: View } | undefined {
    for (const { view, path } of [...this.ancestors].reverse()) {
      const inode = this.#in(view, this.target, ino);
      if (inode === undefined) continue;
      if (path === '' || this.#pathsOf(view, inode).some((at) => isWithin(at, path))) {
        return { inode, view };
      }
    }
    return undefined;
  }

  /**
   * A file of the base with several names may have a record that knows none of them. What has no
   * place that is known belongs to the whole tree.
   */
  #pathsOf(view: View, { ino, base }: Inode): string[] {
    const paths = this.volume.paths.all(view, ino);
    if (paths.length > 0) return paths;
    return [base === undefined || base.isStored ? '' : base.path];
  }

  after(ino: number): Inode | undefined {
    for (const { view } of this.ancestors) {
      const inode = this.#in(this.target, view, ino);
      if (inode !== undefined) return inode;
    }
    return undefined;
  }

  /** Paths of an inode in the base, as far as its record knows them. */
  beforePaths(ino: number): string[] {
    return this.ancestors.flatMap((ancestor) =>
      this.volume.paths.all(ancestor.view, ino).filter((path) => this.#isFor(ancestor, path)),
    );
  }

  /** A base file without a record in `view` may have one in `other` that gives its path. */
  #in(view: View, other: View, ino: number): Inode | undefined {
    const inode = this.volume.inode(view, ino);
    if (inode !== undefined) return this.#named(view, inode);
    const path = this.volume.inode(other, ino)?.base?.path;
    if (path === undefined) return undefined;
    this.volume.inodes.rememberBase(ino, path);
    return this.#named(view, this.volume.inode(view, ino));
  }

  /** Others may have made a base file where the view has something else: then it is not in the view. */
  #named(view: View, inode: Inode | undefined): Inode | undefined {
    const found = alive(inode);
    const path =
      found?.layer === 0 && (found.isDirectory || found.nlink === 1)
        ? (found.base?.path ?? '')
        : '';
    const above = path === '' ? undefined : this.volume.base?.lstat(parentOf(path));
    if (found === undefined || above === undefined) return found;
    const directory = this.volume.inode(view, this.volume.inodes.ofBase(parentOf(path), above));
    const name = path.slice(path.lastIndexOf('/') + 1);
    const there = directory && this.volume.lookup(view, directory, name);
    return there?.ino === found.ino ? found : undefined;
  }

  *#between(ancestor: Ancestor): Work<void> {
    const names = new Map<number, Set<string>>();
    const touched = new Set<number>();
    let seen = 0;
    for (const change of this.volume.changes(ancestor.view, this.target)) {
      if (++seen % NAMES_AT_ONCE === 0) yield undefined;
      if (change.kind === 'inode') {
        touched.add(change.ino);
        continue;
      }
      const known = names.get(change.directory);
      if (known === undefined) names.set(change.directory, new Set([change.name]));
      else known.add(change.name);
    }
    for (const [ino, changed] of names) {
      const before = this.#in(ancestor.view, this.target, ino);
      const after = this.#in(this.target, ancestor.view, ino);
      // A directory that came or went is listed from its parent.
      if (before?.isDirectory !== true || after?.isDirectory !== true) continue;
      const beforePath = this.#path(ancestor.view, ino);
      const afterPath = this.#path(this.target, ino);
      if (beforePath === undefined || afterPath === undefined) continue;
      for (const name of changed) {
        if (++seen % NAMES_AT_ONCE === 0) yield undefined;
        const slot = {
          directory: ino,
          name,
          beforePath: joinPath(beforePath, name),
          afterPath: joinPath(afterPath, name),
          before: alive(this.volume.lookup(ancestor.view, before, name)),
          after: alive(this.volume.lookup(this.target, after, name)),
        };
        yield* this.#take(ancestor, slot);
      }
    }
    for (const ino of touched) {
      if (++seen % NAMES_AT_ONCE === 0) yield undefined;
      const before = this.#in(ancestor.view, this.target, ino);
      if (before === undefined || this.#in(this.target, ancestor.view, ino) === undefined) continue;
      const paths = this.#pathsOf(ancestor.view, before);
      if (paths.some((path) => this.#isFor(ancestor, path))) this.touched.add(ino);
    }
  }

  #path(view: View, ino: number): string | undefined {
    return ino === ROOT_INODE ? '' : this.volume.paths.of(view, ino);
  }

  *#take(ancestor: Ancestor, slot: Slot): Work<void> {
    const { before, after, beforePath, afterPath } = slot;
    if (before?.ino === after?.ino) return;
    if (!this.#isFor(ancestor, afterPath ?? beforePath ?? '')) return;
    this.#keep(ancestor, slot);
    const wholes: Whole[] = [];
    this.#queue(ancestor, wholes, slot);
    for (let whole = wholes.pop(); whole !== undefined; whole = wholes.pop()) {
      yield* this.#list(ancestor, whole, wholes);
    }
  }

  #keep(ancestor: Ancestor, slot: Slot): void {
    if (!this.#matters(ancestor, slot)) return;
    this.onSlot();
    this.slots.push(slot);
  }

  /** It is wanted, or may have to do with what is: a directory, or something that moved. */
  #matters({ view }: Ancestor, { before, after, beforePath, afterPath }: Slot): boolean {
    if (this.wanted.length === 0 || before?.isDirectory || after?.isDirectory) return true;
    const paths = [beforePath, afterPath];
    if (paths.some((path) => path !== undefined && this.wanted.some((top) => isWithin(path, top))))
      return true;
    return (
      (before !== undefined && this.#in(this.target, view, before.ino) !== undefined) ||
      (after !== undefined && this.#in(view, this.target, after.ino) !== undefined)
    );
  }

  #queue(
    ancestor: Ancestor,
    wholes: Whole[],
    { before, after, beforePath, afterPath }: Slot,
  ): void {
    if (before?.isDirectory && this.#in(this.target, ancestor.view, before.ino) === undefined) {
      wholes.push({ directory: before, path: beforePath as string, side: 'before' });
    }
    if (after?.isDirectory && this.#in(ancestor.view, this.target, after.ino) === undefined) {
      wholes.push({ directory: after, path: afterPath as string, side: 'after' });
    }
  }

  *#list(ancestor: Ancestor, { directory, path, side }: Whole, wholes: Whole[]): Work<void> {
    if (this.#listed.has(directory.ino)) return;
    this.#listed.add(directory.ino);
    const view = side === 'before' ? ancestor.view : this.target;
    let seen = 0;
    for (const { name, ino } of this.#names(view, directory)) {
      if (++seen % NAMES_AT_ONCE === 0) yield undefined;
      const inode = alive(this.volume.inodeForListing(view, directory, name, ino));
      if (inode === undefined) continue;
      const at = joinPath(path, name);
      const isBefore = side === 'before';
      const slot: Slot = {
        directory: directory.ino,
        name,
        beforePath: isBefore ? at : undefined,
        afterPath: isBefore ? undefined : at,
        before: isBefore ? inode : undefined,
        after: isBefore ? undefined : inode,
      };
      this.#keep(ancestor, slot);
      this.#queue(ancestor, wholes, slot);
    }
  }

  *#names(view: View, directory: Inode): Generator<{ name: string; ino: number }> {
    for (let after = 0; ; ) {
      const found: { name: string; ino: number }[] = [];
      let last = 0;
      this.volume.list(view, directory, after, (name, ino, _type, hash) => {
        if (found.length >= LISTED_AT_ONCE && hash !== last) return false;
        last = hash;
        return found.push({ name, ino }) > 0;
      });
      yield* found;
      if (found.length < LISTED_AT_ONCE) return;
      after = last;
    }
  }
}
