/**
 * What the volume's own records say must stay. Layers without a name: what
 * branches were forked from (rule B2), what was merged (rule M2), and what was
 * applied to the base (rule A5). They are read
 * where they are stored, so that no moment is without them, and they go when no
 * record names them any more; pins are for what is open.
 */
import { prefixEnd } from '../../format/records/keys.js';
import { BASE_LAYER, TABLE } from '../../format/records/tables.js';
import { decodeJson } from '../../format/records/values.js';
import type { WriteTransaction } from '../../store/write-transaction.js';

const BRANCHES = Buffer.from('branch/');
const MERGES = Buffer.from('merges');
const APPLIED = Buffer.from('applied');
const RETURNING = Buffer.from('returning');

export function* storedKeeps(tx: Pick<WriteTransaction, 'get' | 'range'>): Generator<number> {
  for (const { key, value } of tx.range(TABLE.meta, BRANCHES, prefixEnd(BRANCHES))) {
    yield decodeJson<{ fork: number }>(value, `meta/${key.toString()}`).fork;
  }
  const merges = tx.get(TABLE.meta, MERGES);
  if (merges !== undefined) {
    for (const { from } of decodeJson<{ from: number }[]>(merges, 'meta/merges')) yield from;
  }
  const applied = tx.get(TABLE.meta, APPLIED);
  if (applied === undefined) return;
  for (const { layer } of decodeJson<{ layer: number }[]>(applied, 'meta/applied')) {
    if (layer !== BASE_LAYER) yield layer;
  }
}

/** Files that take their bytes back from the base: what is there already must stay (rule G6). */
export function returningFiles(tx: Pick<WriteTransaction, 'get'>): ReadonlySet<number> {
  const stored = tx.get(TABLE.meta, RETURNING);
  return new Set(stored === undefined ? [] : decodeJson<number[]>(stored, 'meta/returning'));
}
