/**
 * How many lookups of each live inode the kernel still holds.
 *
 * A kernel may know ten million inodes at once, so this is one open-addressed
 * hash table in two typed arrays (16 bytes a slot, at most 3/4 full) rather
 * than a Map. It grows and shrinks with what it holds. Key 0 means "empty
 * slot": no inode has that number.
 */
import { invariant } from '../base/invariant.js';

const MIN_SLOTS = 1024;

function slotHash(ino: number): number {
  let h = (ino >>> 0) ^ Math.imul((ino / 2 ** 32) >>> 0, 0x9e3779b1);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  return h >>> 0;
}

export class LookupCounts {
  #keys = new Float64Array(MIN_SLOTS);
  #counts = new Float64Array(MIN_SLOTS);
  #mask = MIN_SLOTS - 1;
  #size = 0;

  /** Inodes with a count above zero. */
  get size(): number {
    return this.#size;
  }

  /** Slots allocated; for tests and status. */
  get slots(): number {
    return this.#mask + 1;
  }

  has(ino: number): boolean {
    return this.#keys[this.#slotOf(ino)] === ino;
  }

  get(ino: number): number {
    const slot = this.#slotOf(ino);
    return this.#keys[slot] === ino ? (this.#counts[slot] as number) : 0;
  }

  /** Adds `count` lookups (default one). */
  add(ino: number, count = 1): void {
    invariant(ino > 0, 'an inode number is above 0');
    const slot = this.#slotOf(ino);
    if (this.#keys[slot] === ino) {
      this.#counts[slot] = (this.#counts[slot] as number) + count;
      return;
    }
    this.#keys[slot] = ino;
    this.#counts[slot] = count;
    this.#size++;
    if (this.#size * 4 > (this.#mask + 1) * 3) this.#resize((this.#mask + 1) * 2);
  }

  /**
   * Drops `count` lookups and returns how many are left. More than there are
   * counts as all: a driver that miscounts must not bring the mount down.
   */
  subtract(ino: number, count: number): number {
    const slot = this.#slotOf(ino);
    if (this.#keys[slot] !== ino) return 0;
    const left = (this.#counts[slot] as number) - count;
    if (left > 0) {
      this.#counts[slot] = left;
      return left;
    }
    this.#remove(slot);
    const slots = this.#mask + 1;
    if (slots > MIN_SLOTS && this.#size * 8 < slots) this.#resize(slots / 2);
    return 0;
  }

  /** Where the inode is, or the empty slot where it would go. */
  #slotOf(ino: number): number {
    let slot = slotHash(ino) & this.#mask;
    for (;;) {
      const key = this.#keys[slot];
      if (key === ino || key === 0) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }

  /** Closes the gap so that every later key of the run stays reachable. */
  #remove(slot: number): void {
    let gap = slot;
    let next = slot;
    for (;;) {
      next = (next + 1) & this.#mask;
      const key = this.#keys[next] as number;
      if (key === 0) break;
      const home = slotHash(key) & this.#mask;
      const distance = (next - home) & this.#mask;
      if (distance >= ((next - gap) & this.#mask)) {
        this.#keys[gap] = key;
        this.#counts[gap] = this.#counts[next] as number;
        gap = next;
      }
    }
    this.#keys[gap] = 0;
    this.#counts[gap] = 0;
    this.#size--;
  }

  #resize(slots: number): void {
    const keys = this.#keys;
    const counts = this.#counts;
    this.#keys = new Float64Array(slots);
    this.#counts = new Float64Array(slots);
    this.#mask = slots - 1;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as number;
      if (key === 0) continue;
      const slot = this.#slotOf(key);
      this.#keys[slot] = key;
      this.#counts[slot] = counts[i] as number;
    }
  }
}
