/** Checks the table `locks` against the snapshots (format.md, rules K1–K4). */
import {
  decodeLock,
  decodeLockKey,
  decodeOrigin,
  MAX_LOCKS,
  MAX_LOCKS_OF_ORIGIN,
  MAX_ORIGINS,
} from '../format/records/lock-record.js';
import { TABLE } from '../format/records/tables.js';
import { decodeJson } from '../format/records/values.js';
import type { StoreReader } from '../store/reader.js';
import type { CheckState } from './report.js';

export function checkLocks(reader: StoreReader, state: CheckState): void {
  const uuids = readUuids(reader);
  const origins = new Set<string>();
  const counts = new Map<string, number>();
  let count = 0;
  for (const { key, value } of reader.range(TABLE.locks, undefined, undefined)) {
    const decoded = decodeLockKey(key);
    if (decoded === undefined) {
      state.add('K2', 'a key is neither an origin nor a lock', `locks ${key.toString('hex')}`);
      continue;
    }
    const { origin, lock } = decoded;
    const where = `soft locks of ${origin}`;
    if (lock === undefined) {
      origins.add(origin);
      state.guard('K2', where, () => decodeOrigin(value, where));
      continue;
    }
    count++;
    counts.set(origin, (counts.get(origin) ?? 0) + 1);
    state.guard('K1', where, () => {
      const { isBroken } = decodeLock(value, where);
      if (isBroken || uuids.has(lock.uuid)) return;
      state.add('K1', `the snapshot ${lock.uuid} does not exist`, where);
    });
    // An origin's record comes before its locks.
    if (!origins.has(origin)) state.add('K2', 'the origin has no record', where);
  }
  for (const [origin, ofOrigin] of counts) {
    if (ofOrigin > MAX_LOCKS_OF_ORIGIN) {
      state.add('K4', `there are ${ofOrigin} of them`, `soft locks of ${origin}`);
    }
  }
  if (count > MAX_LOCKS || origins.size > MAX_ORIGINS) {
    state.add('K4', `there are ${count} of ${origins.size} origins`, 'soft locks');
  }
}

/** Problems of the snapshots themselves are reported elsewhere. */
function readUuids(reader: StoreReader): Set<string> {
  const uuids = new Set<string>();
  for (const { key, value } of reader.range(TABLE.snapshots, undefined, undefined)) {
    const where = `snapshot ${key.toString()}`;
    try {
      uuids.add(decodeJson<{ uuid: string }>(value, where).uuid);
    } catch {
      // Its own check has reported it.
    }
  }
  return uuids;
}
