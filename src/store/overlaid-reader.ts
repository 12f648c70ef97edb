/**
 * A reader that shows the store as it would be with some records more, some
 * changed and some gone, which are only in memory: for a volume that is read
 * and must not be written.
 *
 * What must hold: every read is answered as if those were stored. It stays at
 * the state that it was opened at, since they belong to that one.
 */
import { afterKey, prefixEnd } from '../format/records/keys.js';
import { isVersioned, TABLE, TABLE_NAMES, type TableNumber } from '../format/records/tables.js';
import { deltaKeyOf } from './batch-order.js';
import type { Env, RecordView } from './env.js';
import { DATA_FILE, openEnv } from './open.js';
import { type Entry, type RangeOptions, StoreReader } from './reader.js';
import { ValueFile } from './mdb/value-file.js';

const LOWEST_KEY = Buffer.alloc(0);
const NOTHING = Buffer.alloc(0);
const STEP_LENGTH = 4;
const VERSIONED_TABLES = Object.values(TABLE).filter(isVersioned);

interface OverlaidRecord {
  key: Buffer;
  /** undefined: there is none. */
  value: Buffer | undefined;
}

/** Records by table; filled first, read then. */
export class Overlay {
  readonly #maps = TABLE_NAMES.map(() => new Map<string, OverlaidRecord>());
  /** In the order of the keys; made when they are asked for. */
  readonly #lists: (OverlaidRecord[] | undefined)[] = [];

  #map(table: TableNumber): Map<string, OverlaidRecord> {
    return this.#maps[table - 1] as Map<string, OverlaidRecord>;
  }

  /** `value`: undefined: the record is gone. Keeps key and value. */
  set(table: TableNumber, key: Buffer, value: Buffer | undefined): void {
    this.#map(table).set(key.toString('latin1'), { key, value });
    this.#lists[table] = undefined;
  }

  get(table: TableNumber, key: Uint8Array): OverlaidRecord | undefined {
    const map = this.#map(table);
    if (map.size === 0) return undefined;
    return map.get(Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1'));
  }

  /** In the order of the keys. */
  list(table: TableNumber): readonly OverlaidRecord[] {
    let list = this.#lists[table];
    if (list === undefined) {
      list = [...this.#map(table).values()].sort((a, b) => a.key.compare(b.key));
      this.#lists[table] = list;
    }
    return list;
  }
}

/** Index of the first record whose key is at or after `key`. */
function firstAt(list: readonly OverlaidRecord[], key: Uint8Array): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] as OverlaidRecord).key.compare(key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

class OverlaidReader extends StoreReader {
  readonly #overlay: Overlay;

  constructor(env: Env, overlay: Overlay) {
    super(env);
    this.#overlay = overlay;
  }

  override get(table: TableNumber, key: Uint8Array): Buffer | undefined {
    const own = this.#overlay.get(table, key);
    return own === undefined ? super.get(table, key) : own.value;
  }

  override has(table: TableNumber, key: Uint8Array): boolean {
    const own = this.#overlay.get(table, key);
    return own === undefined ? super.has(table, key) : own.value !== undefined;
  }

  override seek(table: TableNumber, start: Uint8Array, end: Uint8Array): Entry | undefined {
    const list = this.#overlay.list(table);
    let at = firstAt(list, start);
    let stored = super.seek(table, start, end);
    for (; ; at++) {
      const own = list[at];
      if (own === undefined || own.key.compare(end) >= 0) return stored;
      const order = stored === undefined ? -1 : own.key.compare(stored.key);
      if (order > 0) return stored;
      if (own.value !== undefined) return { key: own.key, value: own.value };
      // What is gone hides the stored record: the next one, then.
      if (order === 0) stored = super.seek(table, afterKey(own.key), end);
    }
  }

  override visit(
    table: TableNumber,
    start: Uint8Array,
    end: Uint8Array,
    visit: (record: RecordView) => boolean,
  ): void {
    const list = this.#overlay.list(table);
    let at = firstAt(list, start);
    let goesOn = true;
    const visitOwn = ({ key, value }: OverlaidRecord): void => {
      at++;
      if (value === undefined) return;
      goesOn = visit({
        keyBytes: key,
        keyStart: 0,
        keyEnd: key.length,
        value,
        valueLength: value.length,
      });
    };
    super.visit(table, start, end, (record) => {
      const { keyBytes, keyStart, keyEnd } = record;
      while (goesOn) {
        const own = list[at];
        const order = own === undefined ? 1 : own.key.compare(keyBytes, keyStart, keyEnd);
        if (own === undefined || order > 0) break;
        visitOwn(own);
        if (order === 0) return goesOn;
      }
      if (goesOn) goesOn = visit(record);
      return goesOn;
    });
    while (goesOn) {
      const own = list[at];
      if (own === undefined || own.key.compare(end) >= 0) return;
      visitOwn(own);
    }
  }

  override *range(
    table: TableNumber,
    start: Uint8Array | undefined,
    end: Uint8Array | undefined,
    options: RangeOptions = {},
  ): Generator<Entry, void, undefined> {
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    if (left <= 0) return;
    for (const entry of this.#merged(table, start, end, options)) {
      yield entry;
      if (--left <= 0) return;
    }
  }

  *#merged(
    table: TableNumber,
    start: Uint8Array | undefined,
    end: Uint8Array | undefined,
    { reverse = false, keysOnly = false }: RangeOptions,
  ): Generator<Entry, void, undefined> {
    const list = this.#overlay.list(table);
    const until = end === undefined ? list.length : firstAt(list, end);
    const owns = list.slice(firstAt(list, start ?? LOWEST_KEY), until);
    if (reverse) owns.reverse();
    let at = 0;
    const entryOf = ({ key, value }: OverlaidRecord): Entry[] =>
      value === undefined ? [] : [{ key, value: keysOnly ? NOTHING : value }];
    for (const stored of super.range(table, start, end, { reverse, keysOnly })) {
      let isHidden = false;
      for (; at < owns.length; at++) {
        const own = owns[at] as OverlaidRecord;
        const order = own.key.compare(stored.key) * (reverse ? -1 : 1);
        if (order > 0) break;
        isHidden ||= order === 0;
        yield* entryOf(own);
      }
      if (!isHidden) yield stored;
    }
    for (; at < owns.length; at++) yield* entryOf(owns[at] as OverlaidRecord);
  }

  /** Rule D2: a place and a layer are in the delta map exactly if there is a record of them. */
  keepDelta(): void {
    for (const table of VERSIONED_TABLES) {
      for (const { key } of this.#overlay.list(table)) {
        const version = table === TABLE.blocks ? key.subarray(0, -STEP_LENGTH) : key;
        const isThere = this.seek(table, version, prefixEnd(version)) !== undefined;
        this.#overlay.set(TABLE.delta, deltaKeyOf(table, key), isThere ? NOTHING : undefined);
      }
    }
  }

  /** There is only the one state. */
  override refresh(): void {}

  override release(): void {}
}

/**
 * Opens a volume to read only. `overlay` gives what is to be seen besides what is stored (which it
 * looks at through the reader that it gets); undefined: nothing. Throws CommandError
 * `not-a-volume`, `volume-damaged`, `volume-unusable`, and what `overlay` does.
 */
export function openOverlaid(
  path: string,
  overlay: (stored: StoreReader) => Overlay | undefined,
): StoreReader {
  const env = openEnv(path, { readOnly: true });
  try {
    const stored = new StoreReader(env);
    stored.refresh();
    const own = overlay(stored);
    if (own !== undefined) {
      const reader = new OverlaidReader(env, own);
      reader.keepDelta();
      return reader;
    }
    stored.values = ValueFile.open(env, DATA_FILE);
    return stored;
  } catch (error) {
    env.close();
    throw error;
  }
}
