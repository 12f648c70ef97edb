/**
 * Bringing into LMDB what the intent log has and LMDB has not, after a process
 * ended without closing its volume. Done once, by whoever owns the volume,
 * before anything else is read from it.
 */
import { CommandError, messageOf } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import {
  LOG_FORMAT,
  LOG_META,
  type LogOperation,
  type LogPosition,
  logIdentity,
  readLogRecord,
} from '../../format/records/log-record.js';
import { FORMAT_VERSION, TABLE } from '../../format/records/tables.js';
import {
  BLOCK_HEADER_LENGTH,
  BLOCK_RAW,
  encodeJson,
  sealBlock,
} from '../../format/records/values.js';
import { readLogFile } from '../../store/log-file.js';
import { checkVolumeFiles } from '../../store/open.js';
import { acquireOwner } from '../../store/owner.js';
import { StoreReader } from '../../store/reader.js';
import type { WriteTransaction } from '../../store/write-transaction.js';
import { StoreWriter } from '../../store/writer.js';
import { readMeta } from '../catalog.js';

/** The records from a position on, up to the first that is not whole or not the next. */
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
      // What does not fit behind the last record stands at the beginning.
      offset = 0;
      record = readLogRecord(log, identity, sequence);
    }
    if (record === undefined) return;
    yield record.operations;
    sequence++;
    offset += record.pageBytes;
  }
}

function applyOperation(tx: WriteTransaction, operation: LogOperation): void {
  const { kind, table, key } = operation;
  if (kind === 'delete') {
    tx.del(table, key);
    return;
  }
  let { value } = operation;
  if (kind === 'patch') {
    const whole = Buffer.alloc(operation.length);
    tx.get(table, key)?.copy(whole);
    value.copy(whole, operation.offset);
    value = whole;
  }
  if (table === TABLE.blocks && value[0] === BLOCK_RAW) {
    sealBlock(value, value.length - BLOCK_HEADER_LENGTH);
  }
  tx.put(table, key, value);
}

/**
 * Applies the log in one transaction, which also says that there is nothing in
 * the log any more. Returns the number of records.
 */
export function applyLog(volumePath: string, compression: boolean): number {
  const probe = StoreReader.open(volumePath);
  const position = readMeta<LogPosition>(probe, LOG_META);
  const uuid = readMeta<string>(probe, 'uuid');
  probe.close();
  if (position === undefined || uuid === undefined) return 0;
  if (position.format > LOG_FORMAT) throw newerLog(volumePath, position.format);
  const log = readLogFile(volumePath) ?? Buffer.alloc(0);
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
      tx.put(TABLE.meta, Buffer.from('format'), encodeJson(FORMAT_VERSION));
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
 * For tools that look at a volume without owning it: after a crash what was
 * fsynced must not be missing. Where a process owns the volume, that sees to it.
 * Throws CommandError `log-not-applied` when it is needed and can't be done.
 */
export function settleLog(volumePath: string): void {
  if (!needsReplay(volumePath)) return;
  try {
    const owner = acquireOwner(volumePath);
    try {
      if (needsReplay(volumePath)) applyLog(volumePath, compressionOf(volumePath));
    } finally {
      owner.release();
    }
  } catch (error) {
    if (error instanceof CommandError && error.code === 'volume-in-use') return;
    throw new CommandError(
      'log-not-applied',
      'EROFS',
      `the volume ${volumePath} was not closed, and what its intent log holds can't be brought ` +
        `into it: ${messageOf(error)}`,
      { path: volumePath },
    );
  }
}

/** Of a volume that can't be read it is not said: whoever opens it finds out why. */
function needsReplay(volumePath: string): boolean {
  try {
    checkVolumeFiles(volumePath);
    const reader = StoreReader.open(volumePath, { readOnly: true });
    const position = readMeta<LogPosition>(reader, LOG_META);
    const uuid = readMeta<string>(reader, 'uuid');
    reader.close();
    if (position === undefined || uuid === undefined) return false;
    const log = readLogFile(volumePath);
    if (log === undefined) return false;
    for (const _ of logRecords(log, uuid, position)) return true;
    return false;
  } catch {
    return false;
  }
}

function compressionOf(volumePath: string): boolean {
  const reader = StoreReader.open(volumePath, { readOnly: true });
  const options = readMeta<{ compression: boolean }>(reader, 'options');
  reader.close();
  return options?.compression ?? false;
}
