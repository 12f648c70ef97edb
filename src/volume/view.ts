/** What one reader sees: a fileset at a top layer (rule F1). */
import { ALLOCATOR, inodeNumber } from '../format/records/tables.js';
import type { Inode } from './inode.js';
import type { Lineage } from './lineage.js';

const LOCAL = inodeNumber(ALLOCATOR.local, 0);
const LOCAL_KEYS = 2 ** 30;

/**
 * Numbers of 52 bits are objects to V8, and slow as keys. The numbers that most inodes have become
 * small ones; all others become negative.
 */
function keyOf(ino: number): number {
  const local = ino - LOCAL;
  return local >= 0 && local < LOCAL_KEYS ? local | 0 : -ino;
}

/**
 * Decoded inodes that a view keeps in each of its two generations: the live view, a snapshot's
 * view.
 */
const LIVE_GENERATION = 16384;
const SNAPSHOT_GENERATION = 1024;

/**
 * Decoded inodes of one view; null: known to be absent. Two generations: when
 * the young one is full it becomes the old one, so that memory is bounded at
 * twice a generation and hot inodes survive.
 */
export class InodeCache {
  /** By `keyOf`. */
  #young = new Map<number, Inode | null>();
  #old = new Map<number, Inode | null>();
  #baseEpoch = 0;

  #generation: number;

  constructor(generation: number) {
    this.#generation = generation;
  }

  get generation(): number {
    return this.#generation;
  }

  /** So many live trees share what one alone would have; each has as much as a snapshot's. */
  shareWith(trees: number): void {
    const generation = Math.max(SNAPSHOT_GENERATION, Math.floor(LIVE_GENERATION / trees));
    if (generation < this.#generation) this.clear();
    this.#generation = generation;
  }

  /** Counts some inodes in both generations. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(ino: number): Inode | null | undefined {
    const key = keyOf(ino);
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(ino, old);
    return old;
  }

  /** Forgets everything when what is known about the base has changed since the last call. */
  follow(baseEpoch: number): void {
    if (baseEpoch === this.#baseEpoch) return;
    this.#baseEpoch = baseEpoch;
    this.#young = new Map();
    this.#old = new Map();
  }

  set(ino: number, inode: Inode | null): void {
    if (this.#young.size >= this.#generation) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(keyOf(ino), inode);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }

  delete(ino: number): void {
    const key = keyOf(ino);
    this.#young.delete(key);
    this.#old.delete(key);
  }
}

export class View {
  constructor(
    readonly fileset: number,
    readonly top: number,
    readonly lineage: Lineage,
    readonly isLive: boolean,
    /** A save hands the cache on: the new live view sees the same inodes. */
    readonly cache = new InodeCache(isLive ? LIVE_GENERATION : SNAPSHOT_GENERATION),
  ) {}

  includes(layer: number): boolean {
    return this.lineage.has(layer);
  }
}
