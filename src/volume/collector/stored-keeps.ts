/**
 * What the volume's own records say must stay. Layers without a name: what
 * branches were forked from (rules B2, B6), what was merged (rule M2), and what was
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

export interface StoredKeep {
  layer: number;
  /** The branches of which any one takes the record along when it goes; none: no branch does. */
  branches: readonly string[];
  /** What the record keeps is found out anew when any branch goes (rule B6). */
  isParting?: true;
  /** The record also goes when this layer and all that come from it have gone (rule M2). */
  while?: number;
}

export function* storedKeeps(
  tx: Pick<WriteTransaction, 'get' | 'range'>,
): Generator<StoredKeep, void, undefined> {
  for (const { key, value } of tx.range(TABLE.meta, BRANCHES, prefixEnd(BRANCHES))) {
    const where = `meta/${key.toString()}`;
    const { fork, keeps = [] } = decodeJson<{ fork: number; keeps?: number[] }>(value, where);
    const branches = [key.toString('utf8', BRANCHES.length)];
    yield { layer: fork, branches };
    for (const layer of keeps) yield { layer, branches, isParting: true };
  }
  const merges = tx.get(TABLE.meta, MERGES);
  if (merges !== undefined) {
    type Merge = { layer: number; from: number; branch: string; into: string };
    for (const { layer, from, branch, into } of decodeJson<Merge[]>(merges, 'meta/merges')) {
      yield { layer: from, branches: [branch, into], while: layer };
    }
  }
  const applied = tx.get(TABLE.meta, APPLIED);
  if (applied === undefined) return;
  for (const { layer } of decodeJson<{ layer: number }[]>(applied, 'meta/applied')) {
    if (layer !== BASE_LAYER) yield { layer, branches: [] };
  }
}

/** Files that take their bytes back from the base: what is there already must stay (rule G6). */
export function returningFiles(tx: Pick<WriteTransaction, 'get'>): ReadonlySet<number> {
  const stored = tx.get(TABLE.meta, RETURNING);
  return new Set(stored === undefined ? [] : decodeJson<number[]>(stored, 'meta/returning'));
}
