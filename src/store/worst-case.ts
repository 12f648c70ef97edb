/**
 * The most a transaction can add to the volume's file. Pure.
 *
 * LMDB never changes a page in place: a transaction takes a fresh page for
 * every page it touches, for every split, for large values, and for its own
 * tree of free pages. In the worst case no freed page can be used.
 */
import { TABLE } from '../format/records/tables.js';
import type { StoreStats, TreeStats } from './env.js';

/** The size of a txg's writes, as far as it matters for space. */
export interface TxgShape {
  /** Operations on records, deletes included; delta entries not counted. */
  records: number;
  /** Bytes of all keys. */
  keyBytes: number;
  /** Bytes of the values that go into the tree's own pages. */
  inlineBytes: number;
  /** Values of more than LARGE_VALUE_BYTES, and their bytes. */
  largeValues: number;
  largeBytes: number;
  /** Large values that are overwritten or deleted; at most this many. */
  largeDropped?: number;
}

export const EMPTY_SHAPE: TxgShape = {
  records: 0,
  keyBytes: 0,
  inlineBytes: 0,
  largeValues: 0,
  largeBytes: 0,
};

/** LMDB gives a value its own pages when the node would not fit twice into a page. */
export const LARGE_VALUE_BYTES = 1900;

/** A node's header, its pointer, and padding to an even length. */
const NODE_BYTES = 11;
/** Bytes of layer and table in front of a delta key. */
const DELTA_PREFIX_BYTES = 7;
/** A conservative fill of pages after a split. */
const SPLIT_FILL_BYTES = 1024;
/** Fewest children of a branch page after a split (names of 255 bytes). */
const BRANCH_CHILDREN = 5;
/** Deleting records can touch a sibling of the page. */
const NEIGHBOURS = 2;
/** Entries per page of the list of free pages, half full. */
const FREE_ENTRIES_PER_PAGE = 250;
/** The table of tables, and the pages for the first record of a table. */
const FIXED_PAGES = 24;

/** Pages rewritten by a change of `records` records of a tree. */
function touchedPages(tree: TreeStats, records: number): number {
  const leaves = Math.min(tree.leafPages, records * NEIGHBOURS);
  const branches = Math.min(tree.branchPages, leaves * Math.max(1, tree.depth - 1));
  return leaves + branches;
}

/** Every record is in one table, whichever, and may have an entry in the delta map. */
function touchedByRecords(stats: StoreStats, records: number): number {
  let inAllTables = 0;
  let depth = 1;
  for (const [table, tree] of stats.tables.entries()) {
    if (table === TABLE.delta) continue;
    inAllTables += touchedPages(tree, records);
    depth = Math.max(depth, tree.depth);
  }
  const delta = touchedPages(stats.tables[TABLE.delta] as TreeStats, records);
  return Math.min(inAllTables, records * NEIGHBOURS * depth) + delta;
}

/** Upper bound, in bytes, of what the txg's transaction adds to the file. */
export function worstCaseBytes(shape: TxgShape, stats: StoreStats): number {
  const { records, keyBytes, inlineBytes, largeValues, largeBytes } = shape;
  if (records === 0) return 0;
  const page = stats.pageBytes;

  const touched = touchedByRecords(stats, records);
  // Each record may add one delta entry.
  const inserts = records * 2;
  const insertedBytes =
    2 * keyBytes + inlineBytes + records * (DELTA_PREFIX_BYTES + 2 * NODE_BYTES) + largeValues * 8;
  const splitsByBytes = Math.ceil((insertedBytes * 4096) / (SPLIT_FILL_BYTES * page));
  const newLeaves = Math.min(inserts, Math.min(touched, inserts) + splitsByBytes);
  const newBranches = Math.ceil(newLeaves / BRANCH_CHILDREN) + 8;

  // A large value has a header of 24 bytes and a partly filled last page.
  const large = Math.ceil(largeBytes / page + largeValues * (1 + 24 / page));

  const dropped = (shape.largeDropped ?? records) * Math.ceil(131_104 / page);
  const { freeTree } = stats;
  const freeTreePages = freeTree.branchPages + freeTree.leafPages + freeTree.overflowPages;
  const freed = touched + Math.min(dropped, stats.usedPages);
  const free =
    2 * freeTreePages + Math.ceil((freed + stats.freePages) / FREE_ENTRIES_PER_PAGE) + FIXED_PAGES;

  return (touched + newLeaves + newBranches + large + free) * page;
}
