/**
 * Searching the pages of a B-tree in `data.mdb`: where a value lies in the
 * file, without touching it. Pure; for the layout see layout.ts.
 *
 * What must hold: nothing here throws for damaged bytes. Unexpected content
 * gives undefined, and the caller asks LMDB.
 */
import type { KeyView } from '../env.js';
import {
  childOf,
  FLAG_BRANCH,
  FLAG_LEAF,
  keyLength,
  LARGE_LENGTH,
  NODE_BIG,
  NODE_HEADER,
  nodeCount,
  nodeFlags,
  nodeOffset,
  PAGE_HEADER,
  pageFlags,
  pageLower,
  rootOf,
  TREE_LENGTH,
  valueLength,
  valueOffset,
} from './layout.js';

const NO_BYTES = Buffer.alloc(0);
/** In the reference that replaces a large value: how many pages it has. */
const PAGES_AT = 16;
/** The offset of a node, in its page. */
const POINTER_BYTES = 2;

/** What a node takes in a page, with its offset; nodes have even lengths. */
export function nodeBytes(keyBytes: number, valueBytes: number): number {
  const length = NODE_HEADER + keyBytes + valueBytes;
  return length + (length & 1) + POINTER_BYTES;
}

/** A value that has pages of its own. Bytes in the file. */
export interface ValueSpan {
  offset: number;
  length: number;
}

/** True for a page of a tree whose number is `page`. */
export function isTreePage(bytes: Buffer, page: number): boolean {
  const lower = pageLower(bytes);
  return (
    bytes.readUIntLE(0, 6) === page &&
    bytes.readUInt16LE(6) === 0 &&
    (pageFlags(bytes) & (FLAG_BRANCH | FLAG_LEAF)) !== 0 &&
    lower > 0 &&
    PAGE_HEADER + lower <= bytes.length
  );
}

export function isLeaf(page: Buffer): boolean {
  return (pageFlags(page) & FLAG_LEAF) !== 0;
}

/** Where the node's header begins; undefined: outside the page. */
function nodeAt(page: Buffer, index: number): number | undefined {
  const at = nodeOffset(page, index);
  if (at + NODE_HEADER > page.length) return undefined;
  return at + NODE_HEADER + keyLength(page, at) > page.length ? undefined : at;
}

function compareKey(page: Buffer, node: number, key: Uint8Array): number {
  const start = node + NODE_HEADER;
  return page.compare(key, 0, key.length, start, start + keyLength(page, node));
}

/** The key of a node, a view. */
export function keyAt(page: Buffer, index: number): Buffer | undefined {
  const node = nodeAt(page, index);
  if (node === undefined) return undefined;
  return page.subarray(node + NODE_HEADER, valueOffset(page, node));
}

export function leafRecords(page: Buffer): number {
  return nodeCount(page);
}

/** True when a key lies between the first and the last one of a leaf: it is there, or nowhere. */
export function isInLeaf(page: Buffer, key: Uint8Array): boolean {
  const count = nodeCount(page);
  const first = count === 0 ? undefined : nodeAt(page, 0);
  const last = count === 0 ? undefined : nodeAt(page, count - 1);
  if (first === undefined || last === undefined) return false;
  return compareKey(page, first, key) <= 0 && compareKey(page, last, key) >= 0;
}

/** Of a leaf: the first node whose key is not below `key`, maybe one behind the last. */
export function leafIndex(page: Buffer, key: Uint8Array): number | undefined {
  let [low, high] = [0, nodeCount(page)];
  while (low < high) {
    const middle = (low + high) >> 1;
    const node = nodeAt(page, middle);
    if (node === undefined) return undefined;
    if (compareKey(page, node, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Of a branch page: the node whose subtree has `key`. The first node's key
 * counts as the lowest.
 */
export function branchIndex(page: Buffer, key: Uint8Array): number | undefined {
  let [low, high] = [1, nodeCount(page)];
  while (low < high) {
    const middle = (low + high) >> 1;
    const node = nodeAt(page, middle);
    if (node === undefined) return undefined;
    if (compareKey(page, node, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The page below a branch page's node. */
export function childPage(page: Buffer, index: number): number | undefined {
  const node = nodeAt(page, index);
  return node === undefined ? undefined : childOf(page, node);
}

/** What a record takes in the file when it is stored: a large value has pages of its own. */
export function storedBytes(keyBytes: number, valueBytes: number, pageBytes: number): number {
  if (!isLarge(keyBytes, valueBytes, pageBytes)) return nodeBytes(keyBytes, valueBytes);
  const pages = Math.ceil((PAGE_HEADER + valueBytes) / pageBytes);
  return nodeBytes(keyBytes, LARGE_LENGTH) + pages * pageBytes;
}

/** A leaf has room for two of the longest nodes. */
export function isLarge(keyBytes: number, valueBytes: number, pageBytes: number): boolean {
  const longest = (((pageBytes - PAGE_HEADER) >> 1) & ~1) - POINTER_BYTES;
  return NODE_HEADER + keyBytes + valueBytes > longest;
}

/** A record of a leaf, where it lies: what it gives are views of the page, which stays as it is. */
export class LeafRecord implements KeyView {
  keyBytes: Buffer = NO_BYTES;
  keyStart = 0;
  keyEnd = 0;
  #node = 0;

  /** Moves to a record of a leaf. False: it is not as it should be. */
  load(page: Buffer, index: number): boolean {
    const node = nodeAt(page, index);
    if (node === undefined) return false;
    this.#node = node;
    this.keyBytes = page;
    this.keyStart = node + NODE_HEADER;
    this.keyEnd = valueOffset(page, node);
    return true;
  }

  /** Where the value lies, if it has pages of its own. */
  get span(): ValueSpan | undefined {
    const { keyBytes: page, keyEnd: data } = this;
    if (nodeFlags(page, this.#node) !== NODE_BIG) return undefined;
    if (data + 8 > page.length || page.readUInt16LE(data + 6) !== 0) return undefined;
    return { offset: page.readUIntLE(data, 6) * page.length + PAGE_HEADER, length: this.#length };
  }

  /** The value, if it lies in the leaf. */
  get value(): Buffer | undefined {
    const { keyBytes: page, keyEnd: data } = this;
    if (nodeFlags(page, this.#node) !== 0 || data + this.#length > page.length) {
      return undefined;
    }
    return page.subarray(data, data + this.#length);
  }

  /** The value's first byte, if that lies in the leaf; −1: it is large, or empty. */
  get firstByte(): number {
    if (nodeFlags(this.keyBytes, this.#node) !== 0 || this.#length === 0) return -1;
    return this.keyBytes[this.keyEnd] ?? -1;
  }

  /** Pages of its own that the value has, as they were taken for it; 0: it lies in the leaf. */
  get ownPages(): number {
    const { keyBytes: page, keyEnd: data } = this;
    if (nodeFlags(page, this.#node) !== NODE_BIG || data + LARGE_LENGTH > page.length) return 0;
    return page.readUIntLE(data + PAGES_AT, 6);
  }

  /** What the record takes in its leaf. */
  get leafBytes(): number {
    return nodeBytes(this.keyEnd - this.keyStart, this.#isLarge ? LARGE_LENGTH : this.#length);
  }

  get #isLarge(): boolean {
    return nodeFlags(this.keyBytes, this.#node) === NODE_BIG;
  }

  get #length(): number {
    return valueLength(this.keyBytes, this.#node);
  }
}

/** The root that the record of a table in LMDB's main tree names; undefined: the table is empty. */
export function treeRoot(record: Buffer): number | undefined {
  if (record.length !== TREE_LENGTH) return undefined;
  return rootOf(record, 0);
}
