/** The rules for the items in a set of soft locks. Pure. */
import { isUuid } from '../../lib/fields.js';
import { CommandError } from '../../lib/errors.js';
import {
  checkLockText,
  isOrigin,
  LOCAL_ORIGIN,
  LOCK_TYPES,
  MAX_DATASET_LENGTH,
  MAX_LOCK_SEQUENCE,
  MAX_LOCK_TEXT_LENGTH,
  MAX_LOCKS_OF_ORIGIN,
  MAX_ORIGIN_LENGTH,
} from '../../format/records/lock-record.js';
import type { LockItem } from './lock-table.js';

function bad(message: string): CommandError {
  return new CommandError('bad-lock', 'EINVAL', message);
}

/** Throws CommandError `bad-lock`. */
export function checkOrigin(origin: string): void {
  if (isOrigin(origin) && origin !== LOCAL_ORIGIN) return;
  throw bad(
    `the origin of locks has 1 to ${MAX_ORIGIN_LENGTH} printable characters, not "${LOCAL_ORIGIN}"`,
  );
}

/** Throws CommandError `bad-lock`: the whole set is refused. */
export function checkItems(sequence: number, items: readonly LockItem[]): void {
  if (!Number.isSafeInteger(sequence) || sequence < 0) throw bad('the sequence is no number');
  if (sequence > MAX_LOCK_SEQUENCE) {
    throw bad(`the sequence is ${sequence}, and at most ${MAX_LOCK_SEQUENCE}`);
  }
  if (items.length > MAX_LOCKS_OF_ORIGIN) {
    throw bad(`a set has more than ${MAX_LOCKS_OF_ORIGIN} locks`);
  }
  for (const { snapshot, type, text, dataset, dependent } of items) {
    if (!isUuid(snapshot)) throw bad('a lock names a snapshot by its UUID');
    if (dependent !== '' && !isOrigin(dependent)) throw bad('a lock names a volume by its UUID');
    if (!LOCK_TYPES.includes(type)) throw bad(`a lock's type is one of ${LOCK_TYPES.join(' ')}`);
    const objection =
      checkLockText(text, MAX_LOCK_TEXT_LENGTH) ?? checkLockText(dataset, MAX_DATASET_LENGTH);
    if (objection !== undefined) throw bad(`the text of a lock is not usable: ${objection}`);
  }
}
