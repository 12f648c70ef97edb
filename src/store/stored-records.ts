/**
 * The records of a table in key order, one at a time, with what each takes in
 * the volume's file. Several of these can be read beside each other.
 *
 * It reads the leaves themselves (mdb/value-file.ts), so values that have pages
 * of their own are not touched. Where that is not possible, because part of the
 * records is in memory only, LMDB gives them and their sizes are computed from
 * what would be stored without compression.
 *
 * What must hold: the reader stays at its state while this is used.
 */
import { afterKey } from '../format/records/keys.js';
import { TABLE_NAMES, type TableNumber } from '../format/records/tables.js';
import { CommandError } from '../lib/errors.js';
import { PAGE_BYTES, type RecordView } from './env.js';
import { isLarge, leafRecords, LeafRecord, nodeBytes, storedBytes } from './mdb/tree-page.js';
import type { Leaf, ValueFile } from './mdb/value-file.js';
import type { StoreReader } from './reader.js';

const LOWEST_KEY = Buffer.of(0);
const HIGHEST_KEY = Buffer.alloc(64, 0xff);
const EMPTY = Buffer.alloc(0);
const PIECE_RECORDS = 256;

/** What a record without a value takes: an entry of the delta map. */
export function keyOnlyBytes(keyBytes: number): number {
  return nodeBytes(keyBytes, 0);
}

export interface StoredRecords {
  /** The key is keyBytes[keyStart … keyEnd - 1]; these bytes are never overwritten. */
  readonly keyBytes: Buffer;
  readonly keyStart: number;
  readonly keyEnd: number;
  /** What the record takes in the file. */
  readonly bytes: number;
  /** The value's first byte; −1: it is large, or empty. */
  readonly firstByte: number;
  /** Moves to the next record, first to the first one. False: there is none. Throws `volume-damaged`. */
  next(): boolean;
  /** The value, wherever it lies. */
  value(): Buffer;
}

/** `isInFile`: the sizes are those in the file. */
export function storedRecords(
  reader: StoreReader,
  table: TableNumber,
): StoredRecords & { readonly isInFile: boolean } {
  if (reader.values === undefined) return new ReadRecords(reader, table);
  const isEmpty = reader.stats().tables[table]?.records === 0;
  return new LeafRecords(reader.values, table, isEmpty);
}

class LeafRecords implements StoredRecords {
  readonly isInFile = true;
  readonly #record = new LeafRecord();
  #leaf: Leaf | undefined;
  #index = 0;
  #count = 0;

  constructor(
    readonly values: ValueFile,
    readonly table: TableNumber,
    private isAtEnd: boolean,
  ) {}

  get keyBytes(): Buffer {
    return this.#record.keyBytes;
  }

  get keyStart(): number {
    return this.#record.keyStart;
  }

  get keyEnd(): number {
    return this.#record.keyEnd;
  }

  get bytes(): number {
    return this.#record.leafBytes + this.#record.ownPages * this.#record.keyBytes.length;
  }

  get firstByte(): number {
    return this.#record.firstByte;
  }

  value(): Buffer {
    const { value, span } = this.#record;
    if (value !== undefined) return value;
    return span === undefined ? EMPTY : this.values.wait(span);
  }

  next(): boolean {
    if (this.isAtEnd) return false;
    while (this.#index >= this.#count) if (!this.#nextLeaf()) return false;
    const leaf = this.#leaf as Leaf;
    if (!this.#record.load(leaf.page, this.#index)) throw damaged(this.table);
    this.#index++;
    return true;
  }

  #nextLeaf(): boolean {
    const from = this.#leaf === undefined ? LOWEST_KEY : this.#leaf.next;
    if (from === undefined) {
      this.isAtEnd = true;
      return false;
    }
    const leaf = this.values.leafAt(this.table, from);
    // It goes up, or the tree is damaged.
    const isForward = leaf?.next === undefined || leaf.next.compare(from) > 0;
    if (leaf === undefined || !isForward) throw damaged(this.table);
    this.#leaf = leaf;
    // No key of the leaf comes before the one by which it was found.
    this.#index = 0;
    this.#count = leafRecords(leaf.page);
    return true;
  }
}

interface ReadRecord {
  key: Buffer;
  length: number;
  value: Buffer | undefined;
}

class ReadRecords implements StoredRecords {
  readonly isInFile = false;
  #piece: ReadRecord[] = [];
  #at = -1;
  #isLast = false;

  constructor(
    readonly reader: StoreReader,
    readonly table: TableNumber,
  ) {}

  get #record(): ReadRecord {
    return this.#piece[this.#at] as ReadRecord;
  }

  get keyBytes(): Buffer {
    return this.#record.key;
  }

  get keyStart(): number {
    return 0;
  }

  get keyEnd(): number {
    return this.#record.key.length;
  }

  get bytes(): number {
    const { key, length } = this.#record;
    return storedBytes(key.length, length, PAGE_BYTES);
  }

  get firstByte(): number {
    return this.#record.value?.[0] ?? -1;
  }

  value(): Buffer {
    const { key, value } = this.#record;
    return value ?? Buffer.from(this.reader.get(this.table, key) ?? EMPTY);
  }

  next(): boolean {
    if (this.#at + 1 >= this.#piece.length && !this.#isLast) this.#nextPiece();
    if (this.#at + 1 >= this.#piece.length) return false;
    this.#at++;
    return true;
  }

  #nextPiece(): void {
    const last = this.#piece.at(-1);
    const from = last === undefined ? LOWEST_KEY : afterKey(last.key);
    const piece: ReadRecord[] = [];
    const take = ({ keyBytes, keyStart, keyEnd, value, valueLength }: RecordView): boolean => {
      const key = Buffer.from(keyBytes.subarray(keyStart, keyEnd));
      const isShort = !isLarge(key.length, valueLength, PAGE_BYTES);
      const copy = isShort ? Buffer.from(value.subarray(0, valueLength)) : undefined;
      piece.push({ key, length: valueLength, value: copy });
      return piece.length < PIECE_RECORDS;
    };
    this.reader.visit(this.table, from, HIGHEST_KEY, take);
    this.#isLast = piece.length < PIECE_RECORDS;
    this.#piece = piece;
    this.#at = -1;
  }
}

function damaged(table: TableNumber): CommandError {
  const name = TABLE_NAMES[table - 1] ?? '';
  return new CommandError(
    'volume-damaged',
    'EIO',
    `the pages of the table ${name} are not as they should be (shadowfs check says more)`,
  );
}
