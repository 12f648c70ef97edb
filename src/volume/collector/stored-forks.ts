/**
 * What branches were forked from: layers without a name that stay (rule B2). They
 * are read where they are stored, so that no moment is without them: pins come
 * only when a volume is open.
 */
import { prefixEnd } from '../../format/records/keys.js';
import { TABLE } from '../../format/records/tables.js';
import { decodeJson } from '../../format/records/values.js';
import type { WriteTransaction } from '../../store/write-transaction.js';

const PREFIX = Buffer.from('branch/');

export function* storedForks(tx: Pick<WriteTransaction, 'range'>): Generator<number> {
  for (const { key, value } of tx.range(TABLE.meta, PREFIX, prefixEnd(PREFIX))) {
    yield decodeJson<{ fork: number }>(value, `meta/${key.toString()}`).fork;
  }
}
