/** Stands for a table that an older volume does not have: it is empty and takes nothing. */
import { invariant } from '../lib/invariant.js';
import type { LmdbTable } from './env.js';

const EMPTY_TREE = {
  treeDepth: 0,
  treeBranchPageCount: 0,
  treeLeafPageCount: 0,
  overflowPages: 0,
  entryCount: 0,
};

function refuse(): never {
  invariant(false, 'a table that is missing is made before it is written');
}

export const ABSENT_TABLE: LmdbTable = {
  getBinaryFast: () => undefined,
  getRange: () => [],
  getKeys: () => [],
  putSync: refuse,
  removeSync: () => false,
  transactionSync: refuse,
  resetReadTxn: () => undefined,
  ensureReadTxn: () => undefined,
  readerCheck: () => 0,
  readerList: () => '',
  getStats: () => ({
    ...EMPTY_TREE,
    lastPageNumber: 0,
    lastTxnId: 0,
    mapSize: 0,
    numReaders: 0,
    root: EMPTY_TREE,
    free: EMPTY_TREE,
  }),
  close: () => Promise.resolve(),
};
