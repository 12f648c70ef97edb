/**
 * One LMDB environment as this project uses it: the only file that imports
 * `lmdb`. It opens the tables and hides the parts missing in the package's
 * types.
 *
 * Keys and values are plain bytes. Reads give views into memory that belongs
 * to lmdb and that the next call on any table in this thread overwrites.
 */
import { open } from 'lmdb';
import { copyBytes } from '../lib/copy-bytes.js';
import { invariant } from '../lib/invariant.js';
import {
  ADDED_TABLES,
  TABLE,
  TABLE_NAMES,
  type TableName,
  type TableNumber,
} from '../format/records/tables.js';
import { ABSENT_TABLE } from './absent-table.js';
import { MeetingPlace } from './meeting-place.js';
import { treeRoot } from './mdb/tree-page.js';
import { Span } from './span.js';

export const PAGE_BYTES = 4096;
/**
 * Address space for the map. Large enough that LMDB never remaps the file:
 * moving the map costs every reader.
 */
export const MAP_BYTES = 2 ** 42;
/** Where address space is short (limits, 39-bit kernels): tried in this order. */
const SMALLER_MAP_BYTES = [2 ** 38, 2 ** 35];
const MAX_TABLES = 32;
const MAX_READERS = 126;
/** Smaller values are stored as they are; for larger ones LZ4 may pay. */
const COMPRESSION_THRESHOLD = 4096;
const NEVER_COMPRESS = 2 ** 31 - 1;

/** lmdb's range options; each iteration reads `start` and `end` again. */
export interface LmdbRange {
  start: Uint8Array | undefined;
  end: Uint8Array | undefined;
  limit?: number;
  reverse?: boolean;
  inclusiveEnd?: boolean;
  exclusiveStart?: boolean;
  values?: boolean;
}

export interface LmdbEntry {
  key: Buffer;
  value: Buffer;
}

/** Counts of one B-tree, in pages. */
export interface TreeStats {
  depth: number;
  branchPages: number;
  leafPages: number;
  overflowPages: number;
  records: number;
}

interface LmdbTreeStats {
  treeDepth: number;
  treeBranchPageCount: number;
  treeLeafPageCount: number;
  overflowPages: number;
  entryCount: number;
}

interface LmdbStats extends LmdbTreeStats {
  lastPageNumber: number;
  lastTxnId: number;
  mapSize: number;
  numReaders: number;
  root: LmdbTreeStats;
  free: LmdbTreeStats;
}

/** Keys of changes; lmdb copies their bytes before it returns. */
export type KeyBytes = Uint8Array | Span;

/** The used part of an lmdb database object. */
export interface LmdbTable {
  getBinaryFast(key: Uint8Array): Buffer | undefined;
  getRange(options: LmdbRange): Iterable<LmdbEntry>;
  getKeys(options: LmdbRange): Iterable<Buffer>;
  putSync(key: KeyBytes, value: Uint8Array, options?: { noOverwrite?: boolean }): boolean;
  removeSync(key: KeyBytes): boolean;
  transactionSync<T>(body: () => T): T;
  resetReadTxn(): void;
  ensureReadTxn(): void;
  readerCheck(): number;
  readerList(): string;
  getStats(): LmdbStats;
  close(): Promise<void>;
}

export interface StoreStats {
  pageBytes: number;
  /** Number of the last page in use or freed; the file needs one more. */
  lastPage: number;
  lastTransaction: number;
  readers: number;
  /** Indexed by table number; 0 is LMDB's own list of the tables. */
  tables: TreeStats[];
  /** The tree of the free pages. */
  freeTree: TreeStats;
  usedPages: number;
  freePages: number;
}

export interface EnvOptions {
  /** The volume belongs to another process: nothing can be written. */
  readOnly?: boolean;
  /** Makes the tables. */
  create?: boolean;
  /** LZ4 for blocks written from now on. */
  compression?: boolean;
  /** Tables that may be missing: reads find them empty. Default: ADDED_TABLES. */
  mayLack?: readonly TableName[];
  mapSizeBytes?: number;
  /** For measurements; a volume has PAGE_BYTES. */
  pageBytes?: number;
}

/** The key of the record at which a walk stands: it lies in keyBytes[keyStart … keyEnd - 1]. */
export interface KeyView {
  keyBytes: Buffer;
  keyStart: number;
  keyEnd: number;
}

/** … and its value: the first `valueLength` bytes of `value`. Both are lmdb's memory. */
export interface RecordView extends KeyView {
  value: Buffer;
  valueLength: number;
}

/** While a walk reads, lmdb's records are put here in place, without an object for each. */
const walked: RecordView & { isOn: boolean } = {
  isOn: false,
  keyBytes: Buffer.alloc(0),
  keyStart: 0,
  keyEnd: 0,
  value: Buffer.alloc(0),
  valueLength: 0,
};

const keyEncoder = {
  writeKey(key: KeyBytes, target: Uint8Array, at: number): number {
    if (key instanceof Span) copyBytes(key.bytes, key.start, key.length, target, at);
    else copyBytes(key, 0, key.length, target, at);
    return at + key.length;
  },
  readKey(source: Buffer, start: number, end: number): Buffer {
    if (walked.isOn) {
      walked.keyBytes = source;
      walked.keyStart = start;
      walked.keyEnd = end;
      return source;
    }
    return source.subarray(start, end);
  },
};

/** `bytes` is a larger shared buffer; only `length` bytes of it are the value. */
const valueEncoder = {
  encode: (value: Uint8Array): Uint8Array => value,
  decode: (bytes: Buffer, length: number): Buffer => {
    if (walked.isOn) {
      walked.value = bytes;
      walked.valueLength = length;
      return bytes;
    }
    return bytes.subarray(0, length);
  },
};

/** A read during a walk would overwrite the walk's next record. */
export function refuseInWalk(): void {
  invariant(!walked.isOn, 'nothing else is read during a walk');
}

/**
 * Calls `visit` with each record of a range that was opened in this thread,
 * until it returns false. No object is made per record, so `visit` may neither
 * keep its argument nor call into the store.
 */
export function walk(range: Iterable<unknown>, visit: (record: RecordView) => boolean): void {
  refuseInWalk();
  const iterator = range[Symbol.iterator]();
  walked.isOn = true;
  try {
    while (!iterator.next().done) {
      if (visit(walked)) continue;
      iterator.return?.();
      return;
    }
  } catch (error) {
    iterator.return?.();
    throw error;
  } finally {
    walked.isOn = false;
  }
}

const ANY_KEY = Buffer.of(0);
/** A timer that never runs. */
const NO_TIMER = (() => NO_TIMER) as unknown as typeof setTimeout;

/**
 * Runs `work`, in which lmdb takes a state to read. lmdb releases a state by a
 * timer of 0 ms. In a thread that does not yield it would never fire (and timers
 * would pile up); in any other thread it would fire at any time, and what was
 * found in the state's pages before would mean nothing. So there is no timer.
 */
function withoutTimers<T>(work: () => T): T {
  const { setTimeout } = globalThis;
  globalThis.setTimeout = NO_TIMER;
  try {
    return work();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}

function treeStats(stats: LmdbTreeStats): TreeStats {
  return {
    depth: stats.treeDepth,
    branchPages: stats.treeBranchPageCount,
    leafPages: stats.treeLeafPageCount,
    overflowPages: stats.overflowPages,
    records: stats.entryCount,
  };
}

function pagesOf(tree: TreeStats): number {
  return tree.branchPages + tree.leafPages + tree.overflowPages;
}

function openRoot(path: string, options: EnvOptions): LmdbTable {
  const sizes =
    options.mapSizeBytes === undefined ? [MAP_BYTES, ...SMALLER_MAP_BYTES] : [options.mapSizeBytes];
  for (;;) {
    const mapSize = sizes.shift() as number;
    try {
      const rootOptions = {
        path,
        noSubdir: false,
        name: null as unknown as string, // the unnamed table; the package's types lack it
        maxDbs: MAX_TABLES,
        maxReaders: MAX_READERS,
        permissionsMode: 0o600,
        mapSize,
        pageSize: options.pageBytes ?? PAGE_BYTES,
        readOnly: options.readOnly ?? false,
        // Without overlapping, a commit is data, flush, meta page, flush: the newest meta page is
        // always whole.
        overlappingSync: false,
        keyEncoder,
        encoder: valueEncoder,
      };
      return open(rootOptions) as unknown as LmdbTable;
    } catch (error) {
      const short = /memory|ENOMEM/i.test((error as Error).message);
      if (!short || sizes.length === 0) throw error;
    }
  }
}

export class Env {
  readonly path: string;
  readonly root: LmdbTable;
  readonly pageBytes: number;
  readonly #tables: LmdbTable[];
  readonly #compression: boolean;
  readonly #place: MeetingPlace;

  private constructor(path: string, root: LmdbTable, options: EnvOptions, place: MeetingPlace) {
    this.path = path;
    this.root = root;
    this.#tables = [root];
    this.pageBytes = options.pageBytes ?? PAGE_BYTES;
    this.#compression = options.compression ?? false;
    this.#place = place;
  }

  /** By table number; index 0 is unused. */
  get tables(): readonly LmdbTable[] {
    return this.#tables;
  }

  /**
   * Opens an environment that `checkVolumeFiles` (open.ts) has found to be
   * whole. All environments of one path in one process share one map; the first
   * one decides whether it can be written.
   */
  static open(path: string, options: EnvOptions = {}): Env {
    const place = MeetingPlace.enter(path);
    try {
      // Opening a table to read takes a state, too.
      return withoutTimers(() => {
        const root = openRoot(place.directory, options);
        return Env.#withTables(path, root, options, place);
      });
    } catch (error) {
      place.leave();
      throw error;
    } finally {
      place.opened();
    }
  }

  static #withTables(path: string, root: LmdbTable, options: EnvOptions, place: MeetingPlace): Env {
    const mayLack = options.mayLack ?? ADDED_TABLES;
    const env = new Env(path, root, options, place);
    for (const name of TABLE_NAMES) {
      const table = env.#open(name, options.create ?? false);
      if (table === undefined && !mayLack.includes(name)) {
        void root.close();
        throw new Error(`table ${name} is missing`);
      }
      env.#tables.push(table ?? ABSENT_TABLE);
    }
    return env;
  }

  #open(name: TableName, create: boolean): LmdbTable | undefined {
    const openTable = (this.root as unknown as { openDB(o: object): LmdbTable | undefined }).openDB;
    return openTable.call(this.root, {
      name,
      create,
      keyEncoder,
      encoder: valueEncoder,
      // Readers decompress values whatever the writer's option is.
      ...(TABLE[name] === TABLE.blocks && {
        compression: {
          threshold: this.#compression ? COMPRESSION_THRESHOLD : NEVER_COMPRESS,
          dictionary: Buffer.alloc(0),
        },
      }),
    });
  }

  /** Makes a table that is missing, in the transaction that runs. */
  addTable(name: TableName): void {
    if (this.tables[TABLE[name]] !== ABSENT_TABLE) return;
    const table = this.#open(name, true);
    invariant(table !== undefined, `LMDB makes the table ${name}`);
    this.#tables[TABLE[name]] = table;
  }

  table(number: TableNumber): LmdbTable {
    return this.#tables[number] as LmdbTable;
  }

  /** The page at the top of a table's tree, in the state that is read; undefined: it is empty. */
  rootPage(number: TableNumber): number | undefined {
    // The package ends the names of its tables with a zero byte.
    const name = Buffer.from(`${TABLE_NAMES[number - 1]}\0`);
    const record = this.root.getBinaryFast(name);
    return record && treeRoot(record.subarray(0, record.length));
  }

  /** Moves this environment's reads to the newest committed state; only this call does. */
  renew(): void {
    this.root.resetReadTxn();
    withoutTimers(() => this.root.ensureReadTxn());
    // The first read takes the new state.
    this.table(TABLE.meta).getBinaryFast(ANY_KEY);
  }

  /** Releases the state: its freed pages can be reused. */
  release(): void {
    this.root.resetReadTxn();
  }

  /** The oldest state held by a reader of any process; undefined: none. Removes dead readers. */
  oldestReader(): number | undefined {
    this.root.readerCheck();
    // Lines of `pid thread transaction`; idle readers have no transaction.
    const held = [...this.root.readerList().matchAll(/^\s*\d+\s+[0-9a-f]+\s+(\d+)\s*$/gm)];
    return held.length === 0 ? undefined : Math.min(...held.map((line) => Number(line[1])));
  }

  /**
   * Counts of the state being read, but the numbers of the last page and
   * transaction are current. About 0.1 ms.
   */
  stats(): StoreStats {
    const tables: TreeStats[] = [];
    let usedPages = 2;
    let last: LmdbStats | undefined;
    for (let number = 1; number < this.tables.length; number++) {
      const table = this.table(number as TableNumber);
      const found = table.getStats();
      if (table !== ABSENT_TABLE) last = found;
      const stats = treeStats(found);
      tables[number] = stats;
      usedPages += pagesOf(stats);
    }
    const { root, free, lastPageNumber, lastTxnId, numReaders } = last as LmdbStats;
    tables[0] = treeStats(root);
    const freeTree = treeStats(free);
    usedPages += pagesOf(tables[0]) + pagesOf(freeTree);
    return {
      pageBytes: this.pageBytes,
      lastPage: lastPageNumber,
      lastTransaction: lastTxnId,
      readers: numReaders,
      tables,
      freeTree,
      usedPages,
      freePages: lastPageNumber + 1 - usedPages,
    };
  }

  /** Nobody else has the file open, in this process or another. */
  get isAlone(): boolean {
    return this.#place.isAlone;
  }

  /** Closes at once; the promise of lmdb is only about asynchronous writes. */
  close(): void {
    void this.root.close();
    this.#place.leave();
  }
}
