/**
 * The number of lookups that the kernel holds of each live inode, and the time
 * of their last use.
 *
 * A kernel may know millions of inodes at once, so this is one open-addressed
 * hash table in typed arrays (13 bytes a slot, at most 3/4 full) rather
 * than a Map. It grows and shrinks with what it holds. Key 0 means "empty
 * slot": no inode has that number.
 *
 * Time is counted in epochs: a new one begins after `epochInodes` new inodes.
 * Each inode has the epoch of its last use. What must hold: `#ofEpoch` counts
 * the inodes of each epoch; the kernel is asked to forget an inode long before
 * it is 255 epochs old.
 */
import { invariant } from '../../lib/invariant.js';

const MIN_SLOTS = 1024;
const SLOT_BYTES = 13;
const EPOCHS = 256;
/** A count at this limit stays there: the inode is never forgotten. */
const COUNT_MAX = 0xffff_ffff;

function slotHash(ino: number): number {
  let h = (ino >>> 0) ^ Math.imul((ino / 2 ** 32) >>> 0, 0x9e3779b1);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  return h >>> 0;
}

export class LookupCounts {
  #keys = new Float64Array(MIN_SLOTS);
  #counts = new Uint32Array(MIN_SLOTS);
  #epochs = new Uint8Array(MIN_SLOTS);
  #mask = MIN_SLOTS - 1;
  #size = 0;
  readonly #ofEpoch = new Uint32Array(EPOCHS);
  #epoch = 0;
  #bornInEpoch = 0;

  /** `epochInodes`: an epoch ends after this many new inodes. */
  constructor(readonly epochInodes = 65_536) {}

  /** Inodes with a count above zero. */
  get size(): number {
    return this.#size;
  }

  /** Slots allocated; for tests and status. */
  get slots(): number {
    return this.#mask + 1;
  }

  get bytes(): number {
    return this.slots * SLOT_BYTES;
  }

  /** How many inodes were last used n epochs ago, the present epoch first. */
  ages(): number[] {
    const ages: number[] = [];
    for (let age = 0; age < EPOCHS; age++) {
      ages.push(this.#ofEpoch[(this.#epoch - age) & (EPOCHS - 1)] as number);
    }
    return ages;
  }

  /** Marks the inode as used now, if the kernel knows it. */
  use(ino: number): void {
    const slot = this.#slotOf(ino);
    if (this.#keys[slot] === ino) this.#mark(slot);
  }

  /**
   * Appends to `found` inodes that were last used `minAge` or more epochs ago,
   * at most `max`, from `slots` slots on from `place`. It marks them as used,
   * so that the next search finds others. Returns the slot at which to
   * continue.
   */
  oldNodes(place: number, slots: number, minAge: number, max: number, found: number[]): number {
    let slot = place & this.#mask;
    for (let i = 0; i < slots && found.length < max; i++) {
      const ino = this.#keys[slot] as number;
      const age = (this.#epoch - (this.#epochs[slot] as number)) & (EPOCHS - 1);
      if (ino !== 0 && age >= minAge) {
        found.push(ino);
        this.#mark(slot);
      }
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  #mark(slot: number): void {
    const before = this.#epochs[slot] as number;
    if (before === this.#epoch) return;
    this.#ofEpoch[before] = (this.#ofEpoch[before] as number) - 1;
    this.#ofEpoch[this.#epoch] = (this.#ofEpoch[this.#epoch] as number) + 1;
    this.#epochs[slot] = this.#epoch;
  }

  #born(slot: number): void {
    if (++this.#bornInEpoch > this.epochInodes) {
      this.#bornInEpoch = 1;
      this.#epoch = (this.#epoch + 1) & (EPOCHS - 1);
    }
    this.#ofEpoch[this.#epoch] = (this.#ofEpoch[this.#epoch] as number) + 1;
    this.#epochs[slot] = this.#epoch;
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
      this.#counts[slot] = Math.min((this.#counts[slot] as number) + count, COUNT_MAX);
      this.#mark(slot);
      return;
    }
    this.#keys[slot] = ino;
    this.#counts[slot] = Math.min(count, COUNT_MAX);
    this.#born(slot);
    this.#size++;
    if (this.#size * 4 > (this.#mask + 1) * 3) this.#resize((this.#mask + 1) * 2);
  }

  /**
   * Drops `count` lookups and returns how many are left. More than there are
   * counts as all: a driver that miscounts must not end the mount.
   */
  subtract(ino: number, count: number): number {
    const slot = this.#slotOf(ino);
    if (this.#keys[slot] !== ino) return 0;
    const held = this.#counts[slot] as number;
    if (held === COUNT_MAX) return held;
    const left = held - count;
    if (left > 0) {
      this.#counts[slot] = left;
      return left;
    }
    this.#remove(slot);
    const slots = this.#mask + 1;
    if (slots > MIN_SLOTS && this.#size * 8 < slots) this.#resize(slots / 2);
    return 0;
  }

  /** The inode's slot, or the empty slot where it would go. */
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
    const epoch = this.#epochs[slot] as number;
    this.#ofEpoch[epoch] = (this.#ofEpoch[epoch] as number) - 1;
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
        this.#epochs[gap] = this.#epochs[next] as number;
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
    const epochs = this.#epochs;
    this.#keys = new Float64Array(slots);
    this.#counts = new Uint32Array(slots);
    this.#epochs = new Uint8Array(slots);
    this.#mask = slots - 1;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as number;
      if (key === 0) continue;
      const slot = this.#slotOf(key);
      this.#keys[slot] = key;
      this.#counts[slot] = counts[i] as number;
      this.#epochs[slot] = epochs[i] as number;
    }
  }
}
