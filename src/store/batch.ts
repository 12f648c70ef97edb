/**
 * A transaction group on its way from the serving thread to the writer.
 *
 * Everything lies in SharedArrayBuffers: values are built in the arena's
 * slabs and travel by reference, so posting a batch copies nothing.
 *
 * What must hold: between `finish` and the commit no code writes to the slabs
 * of a batch; `recycle` is called only after the commit.
 */
import { copyBytes } from '../lib/copy-bytes.js';
import { invariant } from '../lib/invariant.js';
import type { TableNumber } from '../format/records/tables.js';

const SLAB_BYTES = 1024 * 1024;
/** Slabs kept for reuse, enough for one txg; the garbage collector takes any more. */
const KEPT_SLABS = 28;

/** Int32 words of one operation, in this order. */
export const OPERATION = {
  table: 0,
  keySlab: 1,
  keyOffset: 2,
  keyLength: 3,
  /** -1: delete. */
  valueSlab: 4,
  valueOffset: 5,
  valueLength: 6,
  words: 8,
} as const;

const NOTHING = Buffer.alloc(0);

/** Allocates room in shared memory. */
export class SlabArena {
  readonly #slabBytes: number;
  /** Slabs in use; the last standard one is being filled. */
  readonly #slabs: SharedArrayBuffer[] = [];
  readonly #indexes = new Map<SharedArrayBuffer, number>();
  readonly #spare: SharedArrayBuffer[] = [];
  #current: SharedArrayBuffer | undefined;
  /** All of the current slab, and its position in `slabs`. */
  #currentBytes: Buffer = NOTHING;
  #currentIndex = -1;
  /** The current slab was used before: the room it gives must be cleared. */
  #currentIsUsed = false;
  #currentUsed = 0;
  #bytesUsed = 0;

  constructor(slabBytes = SLAB_BYTES) {
    invariant(slabBytes >= 8, 'a slab holds at least 8 bytes');
    this.#slabBytes = slabBytes;
  }

  /** Bytes allocated since the last `recycle`, rounded up to the alignment. */
  get bytesUsed(): number {
    return this.#bytesUsed;
  }

  /** Room for `length` bytes, zeros, 8-byte aligned. */
  alloc(length: number): Buffer {
    const room = this.allocUncleared(length);
    // A larger allocation has its own slab, which is new.
    if (this.#currentIsUsed && room.buffer === this.#current) room.fill(0);
    return room;
  }

  /** As `alloc`, for a caller that writes all bytes at once: the contents are undefined. */
  allocUncleared(length: number): Buffer {
    const rounded = (length + 7) & ~7;
    this.#bytesUsed += rounded;
    if (rounded > this.#slabBytes) {
      const slab = new SharedArrayBuffer(rounded);
      this.#add(slab);
      return Buffer.from(slab, 0, length);
    }
    const room = Buffer.from(this.#slabFor(rounded), this.#currentUsed, length);
    this.#currentUsed += rounded;
    return room;
  }

  /**
   * As `alloc`, for a caller that writes all bytes at once, and without a
   * buffer object: the offset into `bytes`, which is the slab `index` until the
   * next call. -1: larger than a slab.
   */
  place(length: number): number {
    const rounded = (length + 7) & ~7;
    if (rounded > this.#slabBytes) return -1;
    this.#slabFor(rounded);
    const at = this.#currentUsed;
    this.#currentUsed += rounded;
    this.#bytesUsed += rounded;
    return at;
  }

  get bytes(): Buffer {
    return this.#currentBytes;
  }

  get index(): number {
    return this.#currentIndex;
  }

  /** The slab that has this much room left. */
  #slabFor(bytes: number): SharedArrayBuffer {
    if (this.#current !== undefined && this.#currentUsed + bytes <= this.#slabBytes) {
      return this.#current;
    }
    const spare = this.#spare.pop();
    const slab = spare ?? new SharedArrayBuffer(this.#slabBytes);
    this.#current = slab;
    this.#currentIsUsed = spare !== undefined;
    this.#currentBytes = Buffer.from(slab);
    this.#currentIndex = this.#slabs.length;
    this.#currentUsed = 0;
    this.#add(slab);
    return slab;
  }

  #add(slab: SharedArrayBuffer): void {
    this.#indexes.set(slab, this.#slabs.length);
    this.#slabs.push(slab);
  }

  /** Position of the slab that holds `view` in `slabs`, or -1. */
  indexOf(view: Uint8Array): number {
    const memory: unknown = view.buffer;
    return this.#indexes.get(memory as SharedArrayBuffer) ?? -1;
  }

  get slabs(): readonly SharedArrayBuffer[] {
    return this.#slabs;
  }

  /** Makes all allocated room free again. */
  recycle(): void {
    for (const slab of this.#slabs) {
      if (slab.byteLength === this.#slabBytes && this.#spare.length < KEPT_SLABS) {
        this.#spare.push(slab);
      }
    }
    this.#slabs.length = 0;
    this.#indexes.clear();
    this.#current = undefined;
    this.#currentBytes = NOTHING;
    this.#currentUsed = 0;
    this.#bytesUsed = 0;
  }
}

/** Plain data, made for postMessage; nothing in it is copied on the way. */
export interface WriteBatch {
  id: number;
  slabs: SharedArrayBuffer[];
  /** `count` records of OPERATION.words Int32 words. */
  operations: SharedArrayBuffer;
  count: number;
}

/** Collects the operations of one batch, in any order; later ones win. */
export class BatchBuilder {
  readonly #arena: SlabArena;
  #words = new Int32Array(OPERATION.words * 256);
  #count = 0;

  constructor(arena: SlabArena) {
    this.#arena = arena;
  }

  get count(): number {
    return this.#count;
  }

  /** A value in one of the arena's slabs is passed by reference; any other is copied. */
  put(table: TableNumber, key: Uint8Array, value: Uint8Array): void {
    this.del(table, key);
    if (!this.refer(value)) this.value(value);
  }

  del(table: TableNumber, key: Uint8Array): void {
    const at = this.key(table, key.length);
    copyBytes(key, 0, key.length, this.bytes, at);
  }

  /** Where `key` is to be written; valid until the next call. */
  get bytes(): Buffer {
    return this.#arena.bytes;
  }

  /**
   * Begins a record and returns the offset in `bytes` for its key of `length`
   * bytes. The record is a delete, unless `value` or `refer` follows.
   */
  key(table: TableNumber, length: number): number {
    invariant(length > 0, 'a key is not empty');
    const keyAt = this.#arena.place(length);
    invariant(keyAt >= 0, 'a key fits into a slab');
    const at = this.#count * OPERATION.words;
    if (at === this.#words.length) {
      const grown = new Int32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    const words = this.#words;
    words[at + OPERATION.table] = table;
    words[at + OPERATION.keySlab] = this.#arena.index;
    words[at + OPERATION.keyOffset] = keyAt;
    words[at + OPERATION.keyLength] = length;
    words[at + OPERATION.valueSlab] = -1;
    words[at + OPERATION.valueOffset] = 0;
    words[at + OPERATION.valueLength] = 0;
    this.#count++;
    return keyAt;
  }

  /** Sets the value of the current record to a copy of `bytes`. */
  value(bytes: Uint8Array): void {
    const at = this.#arena.place(bytes.length);
    if (at < 0) {
      const room = this.#arena.alloc(bytes.length);
      copyBytes(bytes, 0, bytes.length, room, 0);
      this.refer(room);
      return;
    }
    copyBytes(bytes, 0, bytes.length, this.#arena.bytes, at);
    this.#valueAt(this.#arena.index, at, bytes.length);
  }

  /** Sets the value of the current record to `room`, if it is in one of the arena's slabs. */
  refer(room: Uint8Array): boolean {
    const slab = this.#arena.indexOf(room);
    if (slab < 0) return false;
    this.#valueAt(slab, room.byteOffset, room.length);
    return true;
  }

  #valueAt(slab: number, offset: number, length: number): void {
    const at = (this.#count - 1) * OPERATION.words;
    this.#words[at + OPERATION.valueSlab] = slab;
    this.#words[at + OPERATION.valueOffset] = offset;
    this.#words[at + OPERATION.valueLength] = length;
  }

  finish(id: number): WriteBatch {
    const operations = new SharedArrayBuffer(this.#count * OPERATION.words * 4);
    new Int32Array(operations).set(this.#words.subarray(0, this.#count * OPERATION.words));
    return { id, slabs: [...this.#arena.slabs], operations, count: this.#count };
  }
}
