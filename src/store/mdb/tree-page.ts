/**
 * Searching the pages of a B-tree in `data.mdb`: where a value lies in the
 * file, without touching it. Pure; for the layout see layout.ts.
 *
 * What must hold: nothing here throws for damaged bytes; what is not as it
 * should be is answered with undefined, and the caller asks LMDB.
 */
import {
  childOf,
  FLAG_BRANCH,
  FLAG_LEAF,
  keyLength,
  NODE_BIG,
  NODE_HEADER,
  NODE_TREE,
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

/** A value that has pages of its own. Bytes in the file. */
export interface ValueSpan {
  offset: number;
  length: number;
}

/** True for a page of a tree that bears the number `page`. */
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

/** The key of a leaf's node, a view. */
export function keyAt(page: Buffer, index: number): Buffer | undefined {
  const node = nodeAt(page, index);
  if (node === undefined) return undefined;
  return page.subarray(node + NODE_HEADER, valueOffset(page, node));
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

/** Of a branch page: the node below which `key` is. The first node's key counts as the lowest. */
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

/** Where a leaf's value lies; undefined when it lies in the leaf itself. */
export function valueSpan(page: Buffer, index: number): ValueSpan | undefined {
  const node = nodeAt(page, index);
  if (node === undefined || nodeFlags(page, node) !== NODE_BIG) return undefined;
  const data = valueOffset(page, node);
  if (data + 8 > page.length || keyLength(page, data) !== 0) return undefined;
  const length = valueLength(page, node);
  return { offset: page.readUIntLE(data, 6) * page.length + PAGE_HEADER, length };
}

/** The root of the table that a node of the main tree names; undefined: none, or it is empty. */
export function tableRoot(page: Buffer, index: number): number | undefined {
  const node = nodeAt(page, index);
  if (node === undefined || nodeFlags(page, node) !== NODE_TREE) return undefined;
  const data = valueOffset(page, node);
  if (data + TREE_LENGTH > page.length) return undefined;
  return rootOf(page, data);
}
