/**
 * What their side has done since the common state, file by file: names lost
 * and gained, and whose record was written. It comes from the delta maps of the
 * layers that only one of the two sees; whole directories are listed only where
 * they came or went. Time and memory are proportional to that change.
 */
import type { Work } from '../../lib/work.js';
import type { Inode } from '../inode.js';
import type { TakenFields } from './fields.js';
import type { ThreeViews } from './three-views.js';

export interface Name {
  /** Its number in the common state and on their side. */
  directory: number;
  name: string;
}

/** One file in the three trees. */
export interface Entity {
  /** Its number on their side, or in the common state when it is gone there. */
  ino: number;
  before: Inode | undefined;
  theirs: Inode | undefined;
  ours: Inode | undefined;
  lost: Name[];
  gained: Name[];
  /** It comes into our tree: as this number, once that is known. */
  isNew: boolean;
  isRemoved: boolean;
  taken: TakenFields | undefined;
  /** Bytes in which both changes are merged: a file that holds them. */
  text: string | undefined;
  /** It stays as we have it. */
  isDropped: boolean;
}

/** Places looked at before the caller may do something else. */
const SLICE = 32;

export class Entities {
  readonly all = new Map<number, Entity>();
  readonly #compared = new Map<number, Set<string>>();
  readonly #listed = new Set<number>();
  /** Directories in only one of the two trees. */
  readonly #toList: number[] = [];

  constructor(readonly trees: ThreeViews) {}

  *collect(): Work<void> {
    const { volume, views } = this.trees;
    const touched = new Set<number>();
    const names = new Map<number, Set<string>>();
    let count = 0;
    for (const change of volume.changes(views.base, views.theirs)) {
      if (change.kind === 'inode') touched.add(change.ino);
      else {
        const known = names.get(change.directory);
        if (known === undefined) names.set(change.directory, new Set([change.name]));
        else known.add(change.name);
      }
    }
    for (const [directory, own] of names) {
      for (const name of own) {
        this.#compare(directory, name);
        if (++count % SLICE === 0) yield undefined;
      }
    }
    for (const ino of touched) {
      this.#entity(ino);
      if (++count % SLICE === 0) yield undefined;
    }
    for (let ino = this.#toList.pop(); ino !== undefined; ino = this.#toList.pop()) {
      for (const name of this.#namesOf(ino)) {
        this.#compare(ino, name);
        if (++count % SLICE === 0) yield undefined;
      }
    }
    for (const [ino, entity] of [...this.all]) {
      if (!this.#concernsNobody(entity)) continue;
      this.all.delete(ino);
    }
    this.#pairReplaced();
  }

  /** Never in one of the two trees under a name: a file that was made and removed, or is an orphan. */
  #concernsNobody({ before, theirs }: Entity): boolean {
    return before === undefined && theirs === undefined;
  }

  #entity(ino: number): Entity {
    const known = this.all.get(ino);
    if (known !== undefined) return known;
    const { trees } = this;
    const before = trees.inode('base', ino);
    const theirs = trees.inode('theirs', ino);
    const entity: Entity = {
      ino,
      before,
      theirs,
      ours: undefined,
      lost: [],
      gained: [],
      isNew: before === undefined,
      isRemoved: theirs === undefined,
      taken: undefined,
      text: undefined,
      isDropped: false,
    };
    this.all.set(ino, entity);
    const only = before === undefined ? theirs : theirs === undefined ? before : undefined;
    if (only?.isDirectory === true) this.#toList.push(ino);
    return entity;
  }

  /** Of a directory that came or went. */
  #namesOf(ino: number): string[] {
    if (this.#listed.has(ino)) return [];
    this.#listed.add(ino);
    const { volume, views } = this.trees;
    const names: string[] = [];
    for (const side of ['base', 'theirs'] as const) {
      const directory = this.trees.inode(side, ino);
      if (directory === undefined) continue;
      volume.list(views[side], directory, 0, (name) => {
        names.push(name);
        return true;
      });
    }
    return names;
  }

  #compare(directory: number, name: string): void {
    let compared = this.#compared.get(directory);
    if (compared === undefined) {
      compared = new Set();
      this.#compared.set(directory, compared);
    }
    if (compared.has(name)) return;
    compared.add(name);
    const before = this.trees.child('base', directory, name);
    const theirs = this.trees.child('theirs', directory, name);
    if (before === theirs) return;
    if (before !== 0) this.#entity(before).lost.push({ directory, name });
    if (theirs !== 0) this.#entity(theirs).gained.push({ directory, name });
  }

  /**
   * A program that saves a file writes a new one and renames it over the old one: for people, that
   * is the same file with other bytes.
   */
  #pairReplaced(): void {
    for (const old of [...this.all.values()]) {
      const [name] = old.lost;
      if (!old.isRemoved || old.lost.length !== 1 || name === undefined) continue;
      const number = this.trees.child('theirs', name.directory, name.name);
      const fresh = number === 0 ? undefined : this.all.get(number);
      if (fresh?.isNew !== true || fresh.gained.length !== 1) continue;
      const { before } = old;
      const { theirs } = fresh;
      if (before === undefined || theirs === undefined) continue;
      if (before.isDirectory || before.mode >>> 12 !== theirs.mode >>> 12) continue;
      this.all.delete(number);
      old.theirs = theirs;
      old.isRemoved = false;
      old.lost = [];
    }
  }
}
