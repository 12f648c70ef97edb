/**
 * What the intent log has and LMDB lacks after a process ended without closing
 * its volume. The owner of the volume brings it into LMDB, once, before it
 * reads anything else; a reader keeps it in memory.
 */
import { CommandError, messageOf } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { sleepSync } from '../../lib/sleep.js';
import {
  LOG_FORMAT,
  LOG_META,
  type LogOperation,
  type LogPosition,
  logIdentity,
  readLogRecord,
} from '../../format/records/log-record.js';
import { TABLE } from '../../format/records/tables.js';
import {
  BLOCK_HEADER_LENGTH,
  BLOCK_RAW,
  decodeJson,
  encodeJson,
  sealBlock,
} from '../../format/records/values.js';
import { FIRST_USE, formatOf, formatUse } from '../../format/records/volume-format.js';
import { readLogFile } from '../../store/log-file.js';
import { openOverlaid, Overlay } from '../../store/overlaid-reader.js';
import { inUse, presentOwner, shareVolume } from '../../store/owner.js';
import { StoreReader } from '../../store/reader.js';
import type { WriteTransaction } from '../../store/write-transaction.js';
import { StoreWriter } from '../../store/writer.js';
import { readMeta } from '../catalog.js';

/** For an owner that holds the lock but has not opened the volume yet. */
const OWNER_TRIES = 40;
const OWNER_POLL_MS = 50;
const FORMAT_KEY = Buffer.from('format');

/** The stored format, once the log holds nothing. */
function withoutLog(format: Buffer | undefined): Buffer {
  const use = format === undefined ? undefined : formatUse(decodeJson(format, 'meta/format'));
  return encodeJson(formatOf({ ...FIRST_USE, ...use, hasLog: false }));
}

/** The records from a position on, up to the first that is incomplete or out of sequence. */
export function* logRecords(
  log: Buffer,
  uuid: string,
  position: LogPosition,
): Generator<LogOperation[]> {
  const identity = logIdentity(uuid, position.epoch);
  let { sequence, offset } = position;
  for (;;) {
    let record = readLogRecord(log.subarray(offset), identity, sequence);
    if (record === undefined && offset !== 0) {
      // A record that does not fit behind the last one stands at the beginning.
      offset = 0;
      record = readLogRecord(log, identity, sequence);
    }
    if (record === undefined) return;
    yield record.operations;
    sequence++;
    offset += record.pageBytes;
  }
}

/** The value of a record after the operation; undefined: the record is gone. */
function valueAfter(
  { kind, table, value, offset, length }: LogOperation,
  before: Buffer | undefined,
): Buffer | undefined {
  if (kind === 'delete') return undefined;
  let after = value;
  if (kind === 'patch') {
    after = Buffer.alloc(length);
    before?.copy(after);
    value.copy(after, offset);
  }
  if (table === TABLE.blocks && after[0] === BLOCK_RAW) {
    sealBlock(after, after.length - BLOCK_HEADER_LENGTH);
  }
  return after;
}

function applyOperation(tx: WriteTransaction, operation: LogOperation): void {
  const { kind, table, key } = operation;
  const before = kind === 'patch' ? tx.get(table, key) : undefined;
  const value = valueAfter(operation, before);
  if (value === undefined) tx.del(table, key);
  else tx.put(table, key, value);
}

/**
 * Where the part of the log that LMDB lacks begins. Undefined: LMDB has everything. Throws
 * CommandError `newer-format`.
 */
function positionOf(
  volumePath: string,
  reader: StoreReader,
): { position: LogPosition; uuid: string } | undefined {
  const position = readMeta<LogPosition>(reader, LOG_META);
  const uuid = readMeta<string>(reader, 'uuid');
  if (position === undefined || uuid === undefined) return undefined;
  if (position.format > LOG_FORMAT) throw newerLog(volumePath, position.format);
  return { position, uuid };
}

/** The whole file; empty when the file is missing. Throws CommandError `log-not-applied`. */
function logOf(volumePath: string): Buffer {
  try {
    return readLogFile(volumePath) ?? Buffer.alloc(0);
  } catch (error) {
    throw new CommandError(
      'log-not-applied',
      'EIO',
      `the volume ${volumePath} was not closed, and its intent log, which has what was fsynced ` +
        `last, can't be read: ${messageOf(error)}`,
      { path: volumePath },
    );
  }
}

/**
 * Applies the log in one transaction, which also marks the log as empty. Returns the number of
 * records.
 */
export function applyLog(volumePath: string, compression: boolean): number {
  const probe = StoreReader.open(volumePath);
  const found = positionOf(volumePath, probe);
  probe.close();
  if (found === undefined) return 0;
  const { position, uuid } = found;
  const log = logOf(volumePath);
  let count = 0;
  const writer = StoreWriter.open(volumePath, { compression });
  try {
    failpoint('log:before-replay');
    writer.transaction((tx) => {
      for (const operations of logRecords(log, uuid, position)) {
        for (const operation of operations) applyOperation(tx, operation);
        count++;
        failpoint('log:replayed-record');
      }
      tx.del(TABLE.meta, Buffer.from(LOG_META));
      tx.put(TABLE.meta, FORMAT_KEY, withoutLog(tx.get(TABLE.meta, FORMAT_KEY)));
    });
    failpoint('log:after-replay');
  } finally {
    writer.close();
  }
  return count;
}

function newerLog(path: string, format: number): CommandError {
  return new CommandError(
    'newer-format',
    'EINVAL',
    `${path}: the intent log has format ${format}; this shadowfs knows formats up to ${LOG_FORMAT}`,
  );
}

/**
 * Opens a volume to read it as its owner left it, including what was fsynced,
 * and writes nothing. While a process owns the volume, that process takes care
 * of the log; the reader then reads what LMDB has. Throws CommandError:
 * not-a-volume, volume-damaged, volume-unusable, newer-format, log-not-applied,
 * volume-in-use.
 */
export function openToRead(volumePath: string): StoreReader {
  for (let triesLeft = OWNER_TRIES; ; triesLeft--) {
    // No process may begin to overwrite the log until it is in memory.
    const share = shareVolume(volumePath);
    try {
      const reader = openOverlaid(volumePath, (stored) =>
        share === undefined ? undefined : logInMemory(volumePath, stored),
      );
      if (share !== undefined || !reader.isAlone || isOwn(volumePath)) return reader;
      // An owner that does not notice this reader overwrites the log. Or it is just about to open
      // the volume.
      reader.close();
      if (triesLeft <= 0) throw unseen(volumePath);
    } finally {
      share?.release();
    }
    sleepSync(OWNER_POLL_MS);
  }
}

/** All environments of one process are one, wherever the lock file is. */
function isOwn(volumePath: string): boolean {
  return presentOwner(volumePath)?.pid === process.pid;
}

function unseen(volumePath: string): CommandError {
  const { message, details } = inUse(volumePath);
  return new CommandError(
    'volume-in-use',
    'EBUSY',
    `${message}; that process does not see who reads, since it runs in another container or is an ` +
      'older shadowfs',
    details,
  );
}

/** What `applyLog` would store. Undefined: nothing relevant. */
function logInMemory(volumePath: string, stored: StoreReader): Overlay | undefined {
  const found = positionOf(volumePath, stored);
  if (found === undefined) return undefined;
  const overlay = new Overlay();
  for (const operations of logRecords(logOf(volumePath), found.uuid, found.position)) {
    for (const operation of operations) {
      const { kind, table, key } = operation;
      const known = overlay.get(table, key);
      const before = known === undefined && kind === 'patch' ? stored.get(table, key) : undefined;
      overlay.set(table, key, valueAfter(operation, known === undefined ? before : known.value));
    }
  }
  overlay.set(TABLE.meta, Buffer.from(LOG_META), undefined);
  const format = overlay.get(TABLE.meta, FORMAT_KEY)?.value ?? stored.get(TABLE.meta, FORMAT_KEY);
  overlay.set(TABLE.meta, FORMAT_KEY, withoutLog(format));
  return overlay;
}
