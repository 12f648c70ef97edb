/**
 * The layout of `data.mdb` (LMDB data version 2, little-endian, 64 bits), for
 * code that reads it without LMDB. Pure; no function here checks its input.
 *
 * A page has a header of 24 bytes: number u64, transaction u64, pad u16, flags
 * u16, lower u16, upper u16 (or, for a large value, the number of its pages
 * u32). In a tree's page the offsets of the nodes follow (u16 each, `lower`
 * bytes in all); they count from the header's end.
 *
 * A node has a header of 8 bytes: length of the value u32 (in a branch page,
 * together with the flags: the child's page u48), flags u16, length of the key
 * u16. The key follows, then the value. A large value is replaced by its first
 * page u64, transaction u64, number of pages u64.
 *
 * The record of a tree has 48 bytes: pad u32, flags u16, depth u16, branch
 * pages u64, leaf pages u64, large pages u64, entries u64, root u64.
 */
export const PAGE_HEADER = 24;
export const NODE_HEADER = 8;
export const META_LENGTH = 144;
/** A tree's record. */
export const TREE_LENGTH = 48;
/** Length of the reference that replaces a large value in a node. */
export const LARGE_LENGTH = 24;
/** The pages before it are the two meta pages. */
export const FIRST_PAGE = 2;
/** No tree is deeper. */
export const MAX_DEPTH = 32;
/** The page number that means "none". */
export const NO_PAGE = 2 ** 64;

export const FLAG_BRANCH = 1;
export const FLAG_LEAF = 2;
export const FLAG_OVERFLOW = 4;
export const FLAG_META = 8;
/** The value has its own pages. */
export const NODE_BIG = 1;
/** The value is a tree's record. */
export const NODE_TREE = 2;

export function pageFlags(page: Buffer): number {
  return page.readUInt16LE(18);
}

export function pageLower(page: Buffer): number {
  return page.readUInt16LE(20);
}

export function pageUpper(page: Buffer): number {
  return page.readUInt16LE(22);
}

export function nodeCount(page: Buffer): number {
  return pageLower(page) >> 1;
}

/** Where the node with this index begins, according to its page. */
export function nodeOffset(page: Buffer, index: number): number {
  return PAGE_HEADER + page.readUInt16LE(PAGE_HEADER + index * 2);
}

export function nodeFlags(page: Buffer, node: number): number {
  return page.readUInt16LE(node + 4);
}

export function keyLength(page: Buffer, node: number): number {
  return page.readUInt16LE(node + 6);
}

/** Where the node's value begins, behind its key. */
export function valueOffset(page: Buffer, node: number): number {
  return node + NODE_HEADER + keyLength(page, node);
}

/** Length of the value in bytes, inside or outside the node. */
export function valueLength(page: Buffer, node: number): number {
  return page.readUInt16LE(node) + page.readUInt16LE(node + 2) * 65536;
}

/** Child page of a branch page's node. */
export function childOf(page: Buffer, node: number): number {
  return page.readUIntLE(node, 6);
}

/** The root in the tree's record at `offset`; undefined: the tree is empty. */
export function rootOf(bytes: Buffer, offset: number): number | undefined {
  const root = Number(bytes.readBigUInt64LE(offset + 40));
  return root >= NO_PAGE ? undefined : root;
}
