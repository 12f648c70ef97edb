/** What one reader sees: a fileset at a top layer (rule F1). */
import type { Inode } from './inode.js';
import type { Lineage } from './lineage.js';

/** Inodes a view keeps decoded, in each of its two generations: the live one, a snapshot's. */
const LIVE_GENERATION = 16384;
const SNAPSHOT_GENERATION = 1024;

/**
 * Decoded inodes of one view; null: known to be absent. Two generations: when
 * the young one is full it becomes the old one, so that memory is bounded at
 * twice a generation and hot inodes survive.
 */
export class InodeCache {
  #young = new Map<number, Inode | null>();
  #old = new Map<number, Inode | null>();

  constructor(readonly generation: number) {}

  /** Some are counted in both generations. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(ino: number): Inode | null | undefined {
    const young = this.#young.get(ino);
    if (young !== undefined) return young;
    const old = this.#old.get(ino);
    if (old !== undefined) this.set(ino, old);
    return old;
  }

  set(ino: number, inode: Inode | null): void {
    if (this.#young.size >= this.generation) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(ino, inode);
  }

  delete(ino: number): void {
    this.#young.delete(ino);
    this.#old.delete(ino);
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
