/** The tables of a volume (native-notes/format.md). The numbers are stored. */

export const TABLE = {
  inodes: 1,
  entries: 2,
  blocks: 3,
  attributes: 4,
  orphans: 5,
  delta: 6,
  reap: 7,
  baseids: 8,
  layers: 9,
  snapshots: 10,
  filesets: 11,
  history: 12,
  locks: 13,
  peers: 14,
  meta: 15,
  lent: 16,
} as const;

export type TableName = keyof typeof TABLE;
export type TableNumber = (typeof TABLE)[TableName];

/** Table names in the order of their numbers: the name of table N is at N - 1. */
export const TABLE_NAMES: readonly TableName[] = Object.keys(TABLE) as TableName[];

/**
 * Tables that came after the first release: older volumes lack them until they
 * are upgraded (volume/upgrade.ts), and those that only read find them empty.
 * `lent` is made when something is lent for the first time.
 */
export const ADDED_TABLES: readonly TableName[] = ['lent'];

/** Tables 1–5 hold versions and have delta-map entries (rule D2). */
export function isVersioned(table: TableNumber): boolean {
  return table <= TABLE.orphans;
}

/**
 * Length in bytes of the version at the end of a versioned table's key: a
 * layer, for blocks also a step.
 */
export const VERSION_LENGTH = 6;
const BLOCK_VERSION_LENGTH = 10;

export function versionLength(table: TableNumber): number {
  return table === TABLE.blocks ? BLOCK_VERSION_LENGTH : VERSION_LENGTH;
}

export const MAX_LAYER = 2 ** 48 - 1;
export const MAX_STEP = 2 ** 32 - 1;
/** The layer below all others (rule D12). */
export const BASE_LAYER = 1;
export const ROOT_INODE = 1;
export const ROOT_FILESET = 1;
export const DEFAULT_BLOCK_SIZE = 32 * 1024;
export const MIN_BLOCK_SIZE = 4096;
export const MAX_BLOCK_SIZE = 128 * 1024;
export const MAX_FILE_SIZE = 2 ** 52;
export const MAX_NAME_LENGTH = 255;
export const MAX_CLIPS = 8;
export const MAX_LINK_NAMES = 64;
export const MAX_LINKS = 65000;

/** Allocators of inode numbers (rule D6). */
export const ALLOCATOR = { special: 0, base: 1, local: 2, baseids: 3 } as const;
export const COUNTER_BITS = 40;
/** First allocator of volumes made by receiving; the numbers before it are not used yet. */
export const FIRST_DRAWN_ALLOCATOR = 16;
export const MAX_ALLOCATOR = 4095;
/** All inode numbers are below it. */
export const INODE_LIMIT = (MAX_ALLOCATOR + 1) * 2 ** COUNTER_BITS;

/** The inode number of (allocator, counter). */
export function inodeNumber(allocator: number, counter: number): number {
  return allocator * 2 ** COUNTER_BITS + counter;
}

export function allocatorOf(inode: number): number {
  return Math.floor(inode / 2 ** COUNTER_BITS);
}

/** The inode of a base file, or the root, which may be one. */
export function isBaseNumber(inode: number): boolean {
  const allocator = allocatorOf(inode);
  return (
    allocator === ALLOCATOR.base ||
    allocator === ALLOCATOR.baseids ||
    allocator === ALLOCATOR.special
  );
}
