/** What a volume stores about the incoming stream, and how a stream's records are divided. */
import type { StreamPosition } from '../../format/wire/stream.js';
import type { StreamRecord } from '../../format/wire/stream-records.js';
import { BASE_LAYER, TABLE } from '../../format/records/tables.js';
import { decodeJson, encodeJson } from '../../format/records/values.js';
import type { Volume } from '../../volume/volume.js';
import { encodeToken } from './sender.js';

const RECEIVING_KEY = Buffer.from('receiving');
/** Stored with every txg: what is being received, and the position reached. */
export interface Receiving {
  layer: number;
  from: string | null;
  to: string;
  position: StreamPosition;
  /** Records behind the position that have already arrived. */
  ahead?: number;
  /** The inode that the next record may belong to. */
  ino: number;
}

export function readReceiving(volume: Volume): Receiving | undefined {
  const value = volume.store.get(TABLE.peers, RECEIVING_KEY);
  return value === undefined ? undefined : decodeJson<Receiving>(value, 'peers/receiving');
}

/** The token of the last interrupted stream; undefined: there is none. */
export function resumeToken(volume: Volume): string | undefined {
  const receiving = readReceiving(volume);
  if (receiving === undefined || receiving.position.records === 0) return undefined;
  const { from, to, position } = receiving;
  return encodeToken({ from, to, ...position });
}

/** True when nothing has been done in the volume yet. */
export function isPristine(volume: Volume): boolean {
  const { catalog, live, layers } = volume;
  return (
    catalog.snapshots.size === 0 &&
    Object.keys(catalog.counters.nextInode).length === 0 &&
    layers.get(live.top).parent === BASE_LAYER &&
    volume.history(HISTORY_LOOK).every(({ command }) => TREELESS_COMMANDS.has(command))
  );
}

/** Puts it into the open txg; undefined: nothing is being received. */
export function putReceiving(volume: Volume, receiving: Receiving | undefined): void {
  const value = receiving === undefined ? undefined : encodeJson(receiving);
  volume.putSystem(TABLE.peers, RECEIVING_KEY, value);
}

/** Commands that change nothing in a tree. */
const TREELESS_COMMANDS = new Set([
  'promote',
  'demote',
  'role',
  'follow',
  'schedule',
  'peer-invite',
  'peer-accept',
  'peer-join',
  'peer-remove',
]);
const HISTORY_LOOK = 100;
/** Number of records taken in between two requests of programs. */
const SLICE_RECORDS = 8;
const SLICE_BYTES = 64 * 1024;

export function blockBytes(record: StreamRecord): number {
  return record.kind === 'block' ? record.bytes.length : 0;
}

/** The next few records, from `first`. */
export function sliceOf(records: readonly StreamRecord[], first: number): readonly StreamRecord[] {
  let end = first;
  let bytes = 0;
  while (end < records.length && end - first < SLICE_RECORDS && bytes < SLICE_BYTES) {
    bytes += blockBytes(records[end] as StreamRecord);
    end++;
  }
  return records.slice(first, end);
}
