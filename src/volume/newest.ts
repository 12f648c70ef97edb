/**
 * The newest version of a place that a view sees (rule F1), in LMDB only: of
 * one place, or of every place in a range. One more seek jumps over runs of
 * foreign and of older versions, so the cost does not grow with the number of
 * layers.
 */
import { afterKey, keyLayerAt, layerOf, prefixEnd, versionedKey } from '../format/records/keys.js';
import { MAX_STEP, type TableNumber, versionLength } from '../format/records/tables.js';
import type { KeyView, RecordView } from '../store/env.js';
import type { Entry, TableReader } from '../store/reader.js';
import type { Lineage } from './lineage.js';

/** A view, as the store sees it. */
export interface Sight {
  /** The newest layer. */
  readonly top: number;
  readonly lineage: Lineage;
}

export interface StoredVersion {
  key: Buffer;
  value: Buffer;
  layer: number;
}

/** Versions stepped over in a row before a new seek jumps the rest. */
const MAX_STEPPED = 6;
/** LMDB's bound is 511 with this package's pages. */
const MAX_KEY_BYTES = 512;
const KEY_ONLY = { keysOnly: true, limit: 1 };

/** Key and value are views that are valid until this thread's next call into the store. */
export function newestOf(
  reader: TableReader,
  sight: Sight,
  table: TableNumber,
  place: Buffer,
): StoredVersion | undefined {
  return newestBy((start, end) => reader.seek(table, start, end), sight, table, place);
}

/** The key alone of what `newestOf` gives, as a copy: for tables with large values. */
export function newestKeyOf(
  reader: TableReader,
  sight: Sight,
  table: TableNumber,
  place: Buffer,
): { key: Buffer; layer: number } | undefined {
  const seek = (start: Buffer, end: Buffer): Entry | undefined => {
    const [found] = reader.range(table, start, end, KEY_ONLY);
    return found;
  };
  return newestBy(seek, sight, table, place);
}

function newestBy(
  seek: (start: Buffer, end: Buffer) => Entry | undefined,
  { top, lineage }: Sight,
  table: TableNumber,
  place: Buffer,
): StoredVersion | undefined {
  const end = prefixEnd(place);
  let layer = top;
  for (;;) {
    const found = seek(versionedKey(table, place, layer, MAX_STEP), end);
    if (found === undefined) return undefined;
    const stored = layerOf(table, found.key);
    if (lineage.has(stored)) return { key: found.key, value: found.value, layer: stored };
    layer = lineage.floor(stored);
    if (layer === 0) return undefined;
  }
}

/**
 * Calls `visit` with the records start ≤ key < end in key order until it returns false; returns
 * false when it can't.
 */
type Walk<R extends KeyView> = (
  start: Buffer,
  end: Buffer,
  visit: (record: R) => boolean,
) => boolean;

/**
 * Calls `take` with the newest version of each place that has one in start ≤
 * key < end, in key order, until it returns false. `take` may neither keep the
 * record nor call into the store. Returns false when the walk could not be
 * completed: `take` then has not seen everything.
 */
export function visitNewest<R extends KeyView>(
  walk: Walk<R>,
  { lineage }: Sight,
  table: TableNumber,
  start: Buffer,
  end: Buffer,
  take: (record: R, layer: number) => boolean,
): boolean {
  const versionBytes = versionLength(table);
  /** The place that was given out last: its older versions don't count. */
  const last = new Uint8Array(MAX_KEY_BYTES);
  let lastBytes = -1;
  /** All keys of the range begin alike. */
  let alike = 0;
  while (alike < start.length && start[alike] === end[alike]) alike++;
  let next: Buffer | undefined = start;
  let stepped = 0;
  const visit = (record: R): boolean => {
    const { keyBytes, keyStart, keyEnd } = record;
    const placeBytes = keyEnd - versionBytes - keyStart;
    const layer = keyLayerAt(keyBytes, keyEnd - versionBytes);
    const isOld = placeBytes === lastBytes && isEqual(keyBytes, keyStart, last, alike, placeBytes);
    if (!isOld && lineage.has(layer)) {
      for (let i = alike; i < placeBytes; i++) last[i] = keyBytes[keyStart + i] as number;
      lastBytes = placeBytes;
      stepped = 0;
      return take(record, layer);
    }
    if (++stepped < MAX_STEPPED) return true;
    const place = Buffer.from(keyBytes.subarray(keyStart, keyStart + placeBytes));
    const below = isOld ? 0 : lineage.floor(layer);
    const key = versionedKey(table, place, below, below === 0 ? 0 : MAX_STEP);
    next = below === 0 ? afterKey(key) : key;
    return false;
  };
  while (next !== undefined && next.compare(end) < 0) {
    const from: Buffer = next;
    next = undefined;
    stepped = 0;
    if (walk(from, end, visit) === false) return false;
  }
  return true;
}

/** `visitNewest` of a table through LMDB. */
export function visitStored(
  reader: TableReader,
  sight: Sight,
  table: TableNumber,
  start: Buffer,
  end: Buffer,
  take: (record: RecordView, layer: number) => boolean,
): void {
  const walk = (from: Buffer, to: Buffer, visit: (record: RecordView) => boolean): boolean => {
    reader.visit(table, from, to, visit);
    return true;
  };
  visitNewest(walk, sight, table, start, end, take);
}

/** In [from, to) of the key, from the end: neighbours differ there. */
function isEqual(
  bytes: Buffer,
  start: number,
  others: Uint8Array,
  from: number,
  to: number,
): boolean {
  for (let i = to - 1; i >= from; i--) {
    if (bytes[start + i] !== others[i]) return false;
  }
  return true;
}
