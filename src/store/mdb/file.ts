/**
 * The bytes of `data.mdb`, read without LMDB: its meta pages and its list of
 * free pages.
 *
 * It has two uses: before LMDB opens a file (LMDB maps it, and a truncated one
 * would end the process by SIGBUS), and for the exact free space when a disk is
 * nearly full. Reads are consistent only while no transaction commits.
 *
 * Doors: pages, tree-page, value-file.
 * Doors inside store/: file, large-values, layout, runs.
 */
import { readSync } from 'node:fs';
import {
  childOf,
  FLAG_BRANCH,
  FLAG_LEAF,
  FLAG_META,
  FLAG_OVERFLOW,
  MAX_DEPTH,
  META_LENGTH,
  NODE_BIG,
  NODE_HEADER,
  nodeCount,
  nodeFlags,
  nodeOffset,
  PAGE_HEADER,
  pageFlags,
  rootOf,
  valueLength,
  valueOffset,
} from './layout.js';

/** Offsets of the two trees' records in a meta page. */
export const FREE_TREE_AT = 48;
export const MAIN_TREE_AT = 96;
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;

export interface MetaPage {
  pageBytes: number;
  transaction: number;
  lastPage: number;
  /** Undefined: no free pages. */
  freeRoot: number | undefined;
  mainRoot: number | undefined;
}

/** Free pages of one transaction that freed them, as runs. */
export interface FreeRun {
  transaction: number;
  page: number;
  pages: number;
}

/** What is wrong with the file; the message is for people. */
export class DamagedFile extends Error {}

function readPages(fd: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const count = readSync(fd, bytes, 0, length, offset);
  return bytes.subarray(0, count);
}

/** Undefined when these bytes are not a meta page. */
export function decodeMetaPage(page: Buffer): MetaPage | undefined {
  if (page.length < PAGE_HEADER + META_LENGTH) return undefined;
  if ((pageFlags(page) & FLAG_META) === 0) return undefined;
  if (page.readUInt32LE(24) !== MAGIC || page.readUInt32LE(28) !== DATA_VERSION) return undefined;
  const pageBytes = page.readUInt32LE(48);
  if (pageBytes < 512 || pageBytes > 65536 || (pageBytes & (pageBytes - 1)) !== 0) return undefined;
  return {
    pageBytes,
    freeRoot: rootOf(page, FREE_TREE_AT),
    mainRoot: rootOf(page, MAIN_TREE_AT),
    lastPage: Number(page.readBigUInt64LE(144)),
    transaction: Number(page.readBigUInt64LE(152)),
  };
}

/** The newest state of the file; undefined when it is not an LMDB file. */
export function readMeta(fd: number): MetaPage | undefined {
  const first = decodeMetaPage(readPages(fd, 0, PAGE_HEADER + META_LENGTH));
  if (first === undefined) return undefined;
  const second = decodeMetaPage(readPages(fd, first.pageBytes, PAGE_HEADER + META_LENGTH));
  if (second === undefined || second.pageBytes !== first.pageBytes) {
    throw new DamagedFile('the second meta page is damaged');
  }
  return second.transaction > first.transaction ? second : first;
}

function treePage(fd: number, meta: MetaPage, number: number): Buffer {
  const page = readPages(fd, number * meta.pageBytes, meta.pageBytes);
  if (page.length < meta.pageBytes) throw new DamagedFile(`page ${number} is missing`);
  const flags = pageFlags(page) & (FLAG_BRANCH | FLAG_LEAF);
  if (page.readBigUInt64LE(0) !== BigInt(number) || flags === 0) {
    throw new DamagedFile(`page ${number} is not a page of a tree`);
  }
  return page;
}

/** Throws DamagedFile when a tree's root is not a page of a tree. */
export function checkTreeRoot(fd: number, meta: MetaPage, root: number | undefined): void {
  if (root !== undefined) treePage(fd, meta, root);
}

/** Offsets of a page's nodes. */
function nodesOf(page: Buffer): number[] {
  const count = nodeCount(page);
  const offsets: number[] = [];
  for (let i = 0; i < count; i++) {
    const offset = nodeOffset(page, i);
    if (offset + NODE_HEADER > page.length) throw new DamagedFile('a node lies outside its page');
    offsets.push(offset);
  }
  return offsets;
}

function leafData(fd: number, meta: MetaPage, page: Buffer, node: number): Buffer {
  const length = valueLength(page, node);
  const data = valueOffset(page, node);
  if ((nodeFlags(page, node) & NODE_BIG) === 0) return page.subarray(data, data + length);
  const number = Number(page.readBigUInt64LE(data));
  const large = readPages(fd, number * meta.pageBytes, PAGE_HEADER + length);
  if (large.length < PAGE_HEADER + length || (pageFlags(large) & FLAG_OVERFLOW) === 0) {
    throw new DamagedFile(`page ${number} is not the list of free pages`);
  }
  return large.subarray(PAGE_HEADER);
}

/**
 * A list: its length, then page numbers; a negative number is the length of the run that follows.
 */
function decodeList(list: Buffer, transaction: number, runs: FreeRun[]): void {
  const words = Math.min(Number(list.readBigUInt64LE(0)), (list.length >> 3) - 1);
  for (let i = 1; i <= words; i++) {
    const entry = Number(list.readBigInt64LE(i * 8));
    if (entry === 0) continue;
    if (entry > 0) {
      runs.push({ transaction, page: entry, pages: 1 });
    } else if (i < words) {
      i++;
      runs.push({ transaction, page: Number(list.readBigInt64LE(i * 8)), pages: -entry });
    }
  }
}

/** All listed free pages. */
export function readFreeRuns(fd: number, meta: MetaPage): FreeRun[] {
  const runs: FreeRun[] = [];
  const visit = (number: number, depth: number): void => {
    if (depth > MAX_DEPTH) throw new DamagedFile('the tree of free pages is a loop');
    const page = treePage(fd, meta, number);
    const isLeaf = (pageFlags(page) & FLAG_LEAF) !== 0;
    for (const node of nodesOf(page)) {
      if (isLeaf) {
        const transaction = Number(page.readBigUInt64LE(node + NODE_HEADER));
        decodeList(leafData(fd, meta, page, node), transaction, runs);
      } else {
        visit(childOf(page, node), depth + 1);
      }
    }
  };
  if (meta.freeRoot !== undefined) visit(meta.freeRoot, 0);
  return runs;
}

/**
 * Throws DamagedFile unless every page in use lies inside the file. Free pages
 * may lie beyond its end: LMDB may never have written them.
 */
export function checkFileLength(fd: number, meta: MetaPage, fileBytes: number): void {
  const filePages = Math.floor(fileBytes / meta.pageBytes);
  let missing = meta.lastPage + 1 - filePages;
  if (missing <= 0) return;
  for (const { page, pages } of readFreeRuns(fd, meta)) {
    missing -= Math.max(0, page + pages - Math.max(page, filePages));
  }
  if (missing > 0) {
    const wanted = (meta.lastPage + 1) * meta.pageBytes;
    throw new DamagedFile(`it is truncated: ${fileBytes} bytes of ${wanted}`);
  }
}
