/**
 * Reading the store.
 *
 * A `StoreReader` sees one committed state, the newest at its last `refresh`,
 * however many commits follow. It works in a thread that never yields to the
 * event loop. A serving thread calls `refresh` after every commit: an old
 * reader prevents the reuse of freed pages.
 */
import type { TableNumber } from '../format/records/tables.js';
import {
  type Env,
  type LmdbEntry,
  type LmdbRange,
  type RecordView,
  refuseInWalk,
  type StoreStats,
  walk,
} from './env.js';
import { DATA_FILE, openEnv } from './open.js';
import { ValueFile } from './mdb/value-file.js';

/** A range is read in pieces, so that no cursor stays open while the caller works. */
const FIRST_PIECE_RECORDS = 16;
const PIECE_RECORDS = 256;
const PIECE_BYTES = 1024 * 1024;
const EMPTY = Buffer.alloc(0);
const LOWEST_KEY = Buffer.of(0);

export interface RangeOptions {
  limit?: number;
  reverse?: boolean;
  /** Values are empty. */
  keysOnly?: boolean;
}

/** Bytes in lmdb's memory: valid until the next call into the store by this thread. */
export type Entry = LmdbEntry;

/** A range that is iterated repeatedly: half the cost of a new one each time. */
interface Seeker {
  readonly options: LmdbRange;
  readonly entries: Iterable<LmdbEntry | Buffer>;
}

/** Reads of the tables, of a reader's state or inside a write transaction. */
export class TableReader {
  protected readonly env: Env;
  readonly #seekers: Seeker[] = [];
  readonly #walkers: Seeker[] = [];
  readonly #pieces: Seeker[] = [];

  constructor(env: Env) {
    this.env = env;
  }

  /** The value, a view that is valid until this thread's next call into the store. */
  get(table: TableNumber, key: Uint8Array): Buffer | undefined {
    refuseInWalk();
    const value = this.env.table(table).getBinaryFast(key);
    // lmdb sets the length of one large shared buffer: only `length` is right, not `byteLength`.
    return value?.subarray(0, value.length);
  }

  has(table: TableNumber, key: Uint8Array): boolean {
    return this.env.table(table).getBinaryFast(key) !== undefined;
  }

  /**
   * The first record with start ≤ key < end. Key and value are views that are
   * valid until this thread's next call into the store.
   */
  seek(table: TableNumber, start: Uint8Array, end: Uint8Array): Entry | undefined {
    refuseInWalk();
    let seeker = this.#seekers[table];
    if (seeker === undefined) {
      const options: LmdbRange = { start, end, limit: 1 };
      seeker = { options, entries: this.env.table(table).getRange(options) };
      this.#seekers[table] = seeker;
    }
    seeker.options.start = start;
    seeker.options.end = end;
    const iterator = seeker.entries[Symbol.iterator]();
    const found = iterator.next();
    if (found.done) return undefined;
    iterator.return?.();
    return found.value as LmdbEntry;
  }

  /**
   * Calls `visit` with the records start ≤ key < end in key order until it
   * returns false: for short records that are decoded at once. `visit` may
   * neither keep its argument nor call into the store.
   */
  visit(
    table: TableNumber,
    start: Uint8Array,
    end: Uint8Array,
    visit: (record: RecordView) => boolean,
  ): void {
    let walker = this.#walkers[table];
    if (walker === undefined) {
      const options: LmdbRange = { start, end };
      walker = { options, entries: this.env.table(table).getRange(options) };
      this.#walkers[table] = walker;
    }
    walker.options.start = start;
    walker.options.end = end;
    walk(walker.entries, visit);
  }

  /**
   * The records with start ≤ key < end in key order, or backwards from the last
   * one. Keys and values are copies. They are read in pieces: after a `refresh`
   * between two pieces, the later piece shows the new state.
   */
  *range(
    table: TableNumber,
    start: Uint8Array | undefined,
    end: Uint8Array | undefined,
    options: RangeOptions = {},
  ): Generator<Entry, void, undefined> {
    const { reverse = false, keysOnly = false } = options;
    const from = start ?? LOWEST_KEY;
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    let pieceRecords = FIRST_PIECE_RECORDS;
    let last: Buffer | undefined;
    while (left > 0) {
      const limit = Math.min(left, pieceRecords);
      const piece = this.#piece(
        table,
        reverse
          ? { start: last ?? end, exclusiveStart: true, end: from, inclusiveEnd: true, reverse }
          : { start: last ?? from, exclusiveStart: last !== undefined, end },
        limit,
        keysOnly,
      );
      yield* piece.entries;
      if (piece.isLast) return;
      left -= piece.entries.length;
      last = piece.entries.at(-1)?.key;
      pieceRecords = PIECE_RECORDS;
    }
  }

  #piece(
    table: TableNumber,
    range: LmdbRange,
    limit: number,
    keysOnly: boolean,
  ): { entries: Entry[]; isLast: boolean } {
    refuseInWalk();
    const entries: Entry[] = [];
    const source = this.#rangeOf(table, range, limit, keysOnly);
    if (keysOnly) {
      for (const key of source as Iterable<Buffer>) {
        entries.push({ key: Buffer.from(key), value: EMPTY });
      }
      return { entries, isLast: entries.length < limit };
    }
    let bytes = 0;
    for (const { key, value } of source as Iterable<LmdbEntry>) {
      entries.push({ key: Buffer.from(key), value: Buffer.from(value) });
      bytes += value.length;
      if (bytes >= PIECE_BYTES) return { entries, isLast: false };
    }
    return { entries, isLast: entries.length < limit };
  }

  /** Ranges that are used all the time are kept. */
  #rangeOf(
    table: TableNumber,
    range: LmdbRange,
    limit: number,
    keysOnly: boolean,
  ): Iterable<LmdbEntry | Buffer> {
    const source = this.env.table(table);
    if (limit !== FIRST_PIECE_RECORDS || range.reverse === true) {
      const options = { ...range, limit };
      return keysOnly ? source.getKeys(options) : source.getRange(options);
    }
    const place = table * 2 + (keysOnly ? 1 : 0);
    let piece = this.#pieces[place];
    if (piece === undefined) {
      const options: LmdbRange = { ...range, limit };
      const entries = keysOnly ? source.getKeys(options) : source.getRange(options);
      piece = { options, entries };
      this.#pieces[place] = piece;
    }
    piece.options.start = range.start;
    piece.options.end = range.end;
    piece.options.exclusiveStart = range.exclusiveStart === true;
    return piece.entries;
  }

  stats(): StoreStats {
    return this.env.stats();
  }
}

export class StoreReader extends TableReader {
  /** Reads large values without LMDB's map; undefined: only through the map. */
  values: ValueFile | undefined;

  /**
   * `readOnly`: the volume belongs to another process. Leave it out in the
   * writer's process: all environments of a process share one map, and the
   * first one to open it decides whether it is writable.
   */
  static open(path: string, options: { readOnly?: boolean } = {}): StoreReader {
    const reader = new StoreReader(openEnv(path, options));
    reader.values = ValueFile.open(reader.env, DATA_FILE);
    reader.refresh();
    return reader;
  }

  /** Nobody else has the volume open who would know of this reader. */
  get isAlone(): boolean {
    return this.env.isAlone;
  }

  /** Moves on to the newest committed state. About 1 µs. */
  refresh(): void {
    this.env.renew();
    this.values?.moved();
  }

  /** Releases the state until the next `refresh` or read. */
  release(): void {
    this.env.release();
    this.values?.moved();
  }

  close(): void {
    this.values?.close();
    this.values = undefined;
    this.env.close();
  }
}
