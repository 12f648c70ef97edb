/**
 * A batch's records in the best order for LMDB: by table and key, with only the
 * last operation of each key. Pure. Works on the batch's own memory, with a few
 * numbers for each record and no object.
 */
import { deltaKey, layerOf, placeOf } from '../format/records/keys.js';
import type { TableNumber } from '../format/records/tables.js';
import { OPERATION, type WriteBatch } from './batch.js';
import type { Span } from './span.js';

/** The delta map's key of a versioned record. */
export function deltaKeyOf(table: TableNumber, key: Buffer): Buffer {
  return deltaKey(layerOf(table, key), table, placeOf(table, key));
}

/** Compared first: this many numbers of six bytes from each key. */
const PREFIXES = 3;
const PREFIX_BYTES = 6;

export class OrderedBatch {
  /** Positions in the batch, in order. */
  readonly order: readonly number[];
  readonly #words: Int32Array;
  readonly #slabs: readonly Buffer[];
  readonly #prefixes: Float64Array;

  constructor(batch: WriteBatch) {
    this.#words = new Int32Array(batch.operations);
    this.#slabs = batch.slabs.map((slab) => Buffer.from(slab));
    this.#prefixes = new Float64Array(batch.count * PREFIXES);
    const all: number[] = [];
    for (let index = 0; index < batch.count; index++) {
      this.#readPrefixes(index);
      all.push(index);
    }
    all.sort((a, b) => this.#compareKeys(a, b) || a - b);
    this.order = all.filter((index, i) => {
      const next = all[i + 1];
      return next === undefined || this.#compareKeys(index, next) !== 0;
    });
  }

  #word(index: number, field: number): number {
    return this.#words[index * OPERATION.words + field] as number;
  }

  #keySlab(index: number): Buffer {
    return this.#slabs[this.#word(index, OPERATION.keySlab)] as Buffer;
  }

  #readPrefixes(index: number): void {
    const slab = this.#keySlab(index);
    const start = this.#word(index, OPERATION.keyOffset);
    const length = this.#word(index, OPERATION.keyLength);
    for (let n = 0; n < PREFIXES; n++) {
      const first = n * PREFIX_BYTES;
      let number = 0;
      for (let i = first; i < first + PREFIX_BYTES; i++) {
        number = number * 256 + (i < length ? (slab[start + i] as number) : 0);
      }
      this.#prefixes[index * PREFIXES + n] = number;
    }
  }

  #compareKeys(a: number, b: number): number {
    const byTable = this.table(a) - this.table(b);
    if (byTable !== 0) return byTable;
    for (let n = 0; n < PREFIXES; n++) {
      const difference =
        (this.#prefixes[a * PREFIXES + n] as number) - (this.#prefixes[b * PREFIXES + n] as number);
      if (difference !== 0) return difference;
    }
    return this.#compareBytes(a, b);
  }

  #compareBytes(a: number, b: number): number {
    const slabA = this.#keySlab(a);
    const slabB = this.#keySlab(b);
    const startA = this.#word(a, OPERATION.keyOffset);
    const startB = this.#word(b, OPERATION.keyOffset);
    const lengthA = this.#word(a, OPERATION.keyLength);
    const lengthB = this.#word(b, OPERATION.keyLength);
    const common = Math.min(lengthA, lengthB);
    for (let i = 0; i < common; i++) {
      const difference = (slabA[startA + i] as number) - (slabB[startB + i] as number);
      if (difference !== 0) return difference;
    }
    return lengthA - lengthB;
  }

  table(index: number): TableNumber {
    return this.#word(index, OPERATION.table) as TableNumber;
  }

  key(index: number, into: Span): Span {
    return into.set(
      this.#keySlab(index),
      this.#word(index, OPERATION.keyOffset),
      this.#word(index, OPERATION.keyLength),
    );
  }

  isDelete(index: number): boolean {
    return this.#word(index, OPERATION.valueSlab) < 0;
  }

  /** The value of a put; shared memory. */
  value(index: number, into: Span): Span {
    return into.set(
      this.#slabs[this.#word(index, OPERATION.valueSlab)] as Buffer,
      this.#word(index, OPERATION.valueOffset),
      this.#word(index, OPERATION.valueLength),
    );
  }
}
