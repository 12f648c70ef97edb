/**
 * A transaction group on its way from the serving thread to the writer.
 *
 * Everything lies in SharedArrayBuffers: values are built in the arena's
 * slabs and travel by reference, so posting a batch copies nothing.
 *
 * What must hold: between `finish` and the commit nobody writes to the slabs
 * of a batch; `recycle` is called only after the commit.
 */
import { invariant } from '../base/invariant.js';
import type { TableNumber } from '../format/tables.js';

const SLAB_BYTES = 1024 * 1024;
/** Slabs kept for reuse, a group's worth; more are left to the garbage collector. */
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

/** Hands out room in shared memory. */
export class SlabArena {
  readonly #slabBytes: number;
  /** Slabs in use; the last standard one is being filled. */
  readonly #slabs: SharedArrayBuffer[] = [];
  readonly #indexes = new Map<SharedArrayBuffer, number>();
  readonly #spare: SharedArrayBuffer[] = [];
  #current: SharedArrayBuffer | undefined;
  /** The current slab was used before: what it gives out must be cleared. */
  #currentIsUsed = false;
  #currentUsed = 0;
  #bytesUsed = 0;

  constructor(slabBytes = SLAB_BYTES) {
    invariant(slabBytes >= 8, 'a slab holds at least 8 bytes');
    this.#slabBytes = slabBytes;
  }

  /** Bytes handed out since the last `recycle`, rounded up to the alignment. */
  get bytesUsed(): number {
    return this.#bytesUsed;
  }

  /** Room for `length` bytes, zeros, 8-byte aligned. */
  alloc(length: number): Buffer {
    const rounded = (length + 7) & ~7;
    this.#bytesUsed += rounded;
    if (rounded > this.#slabBytes) {
      const slab = new SharedArrayBuffer(rounded);
      this.#add(slab);
      return Buffer.from(slab, 0, length);
    }
    if (this.#current === undefined || this.#currentUsed + rounded > this.#slabBytes) {
      const spare = this.#spare.pop();
      this.#currentIsUsed = spare !== undefined;
      this.#current = spare ?? new SharedArrayBuffer(this.#slabBytes);
      this.#currentUsed = 0;
      this.#add(this.#current);
    }
    const room = Buffer.from(this.#current, this.#currentUsed, length);
    this.#currentUsed += rounded;
    if (this.#currentIsUsed) room.fill(0);
    return room;
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

  /** Everything handed out is free again. */
  recycle(): void {
    for (const slab of this.#slabs) {
      if (slab.byteLength === this.#slabBytes && this.#spare.length < KEPT_SLABS) {
        this.#spare.push(slab);
      }
    }
    this.#slabs.length = 0;
    this.#indexes.clear();
    this.#current = undefined;
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

  /** A value in one of the arena's slabs goes by reference, any other is copied. */
  put(table: TableNumber, key: Uint8Array, value: Uint8Array): void {
    let place = value;
    let slab = this.#arena.indexOf(value);
    if (slab < 0) {
      place = this.#copy(value);
      slab = this.#arena.indexOf(place);
    }
    this.#add(table, key, slab, place.byteOffset, value.length);
  }

  del(table: TableNumber, key: Uint8Array): void {
    this.#add(table, key, -1, 0, 0);
  }

  #copy(bytes: Uint8Array): Buffer {
    const room = this.#arena.alloc(bytes.length);
    room.set(bytes);
    return room;
  }

  #add(
    table: TableNumber,
    key: Uint8Array,
    valueSlab: number,
    valueOffset: number,
    valueLength: number,
  ): void {
    invariant(key.length > 0, 'a key is not empty');
    const at = this.#count * OPERATION.words;
    if (at === this.#words.length) {
      const grown = new Int32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    const keyRoom = this.#copy(key);
    const words = this.#words;
    words[at + OPERATION.table] = table;
    words[at + OPERATION.keySlab] = this.#arena.indexOf(keyRoom);
    words[at + OPERATION.keyOffset] = keyRoom.byteOffset;
    words[at + OPERATION.keyLength] = key.length;
    words[at + OPERATION.valueSlab] = valueSlab;
    words[at + OPERATION.valueOffset] = valueOffset;
    words[at + OPERATION.valueLength] = valueLength;
    this.#count++;
  }

  finish(id: number): WriteBatch {
    const operations = new SharedArrayBuffer(this.#count * OPERATION.words * 4);
    new Int32Array(operations).set(this.#words.subarray(0, this.#count * OPERATION.words));
    return { id, slabs: [...this.#arena.slabs], operations, count: this.#count };
  }
}
