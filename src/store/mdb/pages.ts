/**
 * Walks the pages of `data.mdb` without LMDB and checks that every tree is
 * whole.
 *
 * LMDB trusts its pages, which have no checksum: a damaged one makes it read
 * outside its map and crashes the process. So `check` starts here, and then
 * reads only tables with a whole tree through LMDB.
 *
 * What must hold: nothing here throws for damaged bytes, and every page is
 * visited at most once. For the layout see layout.ts.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import {
  childOf,
  FIRST_PAGE,
  FLAG_BRANCH,
  FLAG_LEAF,
  FLAG_OVERFLOW,
  keyLength,
  LARGE_LENGTH,
  MAX_DEPTH,
  META_LENGTH,
  NODE_BIG,
  NODE_HEADER,
  NODE_TREE,
  nodeFlags,
  PAGE_HEADER,
  pageFlags,
  pageLower,
  pageUpper,
  rootOf,
  TREE_LENGTH,
  valueLength,
  valueOffset,
} from './layout.js';
import {
  DamagedFile,
  decodeMetaPage,
  FREE_TREE_AT,
  MAIN_TREE_AT,
  type MetaPage,
  readFreeRuns,
  readMeta,
} from './file.js';
import { DATA_FILE } from '../open.js';

const FLAG_KINDS = 0x2f;
const FLAG_INTEGER_KEYS = 8;
const FLAG_OPEN = 0x8000;
/** A busy volume is read again, because a reused page looks like damage. */
const ATTEMPTS = 3;

export interface PageFinding {
  /** A table's name; 'main' is the list of the tables, 'free' that of the free pages. */
  tree: string;
  page: number;
  what: string;
}

export interface PageReport {
  findings: PageFinding[];
  /** Checked pages of the file, large values counted whole. */
  pages: number;
  /** False: a commit happened meanwhile, so that a page may have been reused. */
  isCertain: boolean;
}

interface Tree {
  name: string;
  flags: number;
  depth: number;
  branchPages: number;
  leafPages: number;
  largePages: number;
  entries: number;
  root: number | undefined;
}

/** Counts of a walk, to be compared with the tree's record. */
type TreeCounts = Pick<Tree, 'branchPages' | 'leafPages' | 'largePages' | 'entries'>;

/** Keys of a page: low ≤ key < high. */
interface KeyBounds {
  low: Buffer | undefined;
  high: Buffer | undefined;
}

/** Receives the trees named in the leaves of the main tree. */
type OnTree = (name: string, record: Buffer) => void;

class Walk {
  readonly findings: PageFinding[] = [];
  readonly #seen: Uint8Array;
  readonly #filePages: number;
  pages = 0;
  /** Counts of the current tree. */
  #counts: TreeCounts = { branchPages: 0, leafPages: 0, largePages: 0, entries: 0 };

  constructor(
    readonly fd: number,
    readonly meta: MetaPage,
    fileBytes: number,
  ) {
    this.#filePages = Math.min(Math.floor(fileBytes / meta.pageBytes), meta.lastPage + 1);
    this.#seen = new Uint8Array((meta.lastPage >> 3) + 1);
  }

  report(tree: string, page: number, what: string): void {
    if (this.findings.length < 1000) this.findings.push({ tree, page, what });
  }

  /** False when the run lies outside the file or overlaps an earlier one. */
  #take(tree: string, first: number, count: number): boolean {
    if (!(first >= FIRST_PAGE && count >= 1 && first + count <= this.#filePages)) {
      this.report(tree, first, 'the page lies outside the file');
      return false;
    }
    for (let page = first; page < first + count; page++) {
      if (this.isUsed(page)) {
        this.report(tree, page, 'the page is used twice');
        return false;
      }
      this.#seen[page >> 3] = (this.#seen[page >> 3] as number) | (1 << (page & 7));
    }
    this.pages += count;
    return true;
  }

  isUsed(page: number): boolean {
    return ((this.#seen[page >> 3] ?? 0) & (1 << (page & 7))) !== 0;
  }

  #read(page: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(this.fd, bytes, 0, length, page * this.meta.pageBytes));
  }

  /** Walks a tree; `onTree` receives the trees named in its leaves. */
  walk(tree: Tree, onTree?: OnTree): void {
    const counts = { branchPages: 0, leafPages: 0, largePages: 0, entries: 0 };
    this.#counts = counts;
    const before = this.findings.length;
    const root = tree.root ?? 0;
    if (tree.flags !== (tree.name === 'free' ? FLAG_INTEGER_KEYS : 0)) {
      this.report(tree.name, root, `the tree has the flags ${tree.flags}`);
    }
    if (tree.root !== undefined) {
      this.#page(tree, tree.root, 1, { low: undefined, high: undefined }, onTree);
    }
    if (this.findings.length > before) return;
    for (const what of ['branchPages', 'leafPages', 'largePages', 'entries'] as const) {
      if (counts[what] === tree[what]) continue;
      this.report(tree.name, root, `the tree has ${counts[what]} ${what}, not ${tree[what]}`);
    }
  }

  /** Checks one page and everything below it: its keys lie in `bounds`. */
  #page(
    tree: Tree,
    number: number,
    depth: number,
    bounds: KeyBounds,
    onTree: OnTree | undefined,
  ): void {
    if (depth > Math.min(tree.depth, MAX_DEPTH)) {
      this.report(tree.name, number, 'the tree is deeper than it says');
      return;
    }
    if (!this.#take(tree.name, number, 1)) return;
    const page = this.#read(number, this.meta.pageBytes);
    const isLeaf = depth === tree.depth;
    const nodes = this.#problem(page, number, isLeaf) ?? this.#nodes(page);
    const keys = typeof nodes === 'string' ? nodes : keysOf(page, nodes);
    const problem =
      typeof keys === 'string' || typeof nodes === 'string'
        ? String(keys)
        : (roomProblem(page, nodes, isLeaf) ?? orderProblem(tree, keys, isLeaf, bounds));
    if (problem !== undefined || typeof nodes === 'string' || typeof keys === 'string') {
      this.report(tree.name, number, problem ?? 'damaged');
      return;
    }
    if (isLeaf) this.#counts.leafPages++;
    else this.#counts.branchPages++;
    for (const [i, node] of nodes.entries()) {
      if (isLeaf) {
        this.#counts.entries++;
        this.#leaf(tree, number, page, node, onTree);
      } else {
        const low = i === 0 ? bounds.low : keys[i];
        const below = { low, high: keys[i + 1] ?? bounds.high };
        this.#page(tree, childOf(page, node), depth + 1, below, onTree);
      }
    }
  }

  #problem(page: Buffer, number: number, isLeaf: boolean): string | undefined {
    if (page.length < this.meta.pageBytes) return 'the page is missing';
    if (page.readBigUInt64LE(0) !== BigInt(number)) return 'the page bears another number';
    if ((pageFlags(page) & FLAG_KINDS) !== (isLeaf ? FLAG_LEAF : FLAG_BRANCH)) {
      return `the page is no ${isLeaf ? 'leaf' : 'branch'} of the tree`;
    }
    return undefined;
  }

  /** Offsets of the nodes, or why they are invalid. */
  #nodes(page: Buffer): number[] | string {
    const lower = pageLower(page);
    const upper = pageUpper(page);
    const room = page.length - PAGE_HEADER;
    if (lower === 0 || lower % 2 !== 0 || lower > upper || upper > room) {
      return "the page's header is damaged";
    }
    const nodes: number[] = [];
    for (let i = 0; i < lower; i += 2) {
      const offset = page.readUInt16LE(PAGE_HEADER + i);
      if (offset < upper || offset + NODE_HEADER > room) return 'a node lies outside its page';
      nodes.push(PAGE_HEADER + offset);
    }
    return nodes;
  }

  #leaf(tree: Tree, number: number, page: Buffer, node: number, onTree: OnTree | undefined): void {
    const flags = nodeFlags(page, node);
    const data = valueOffset(page, node);
    const length = valueLength(page, node);
    const stored = flags === NODE_BIG ? LARGE_LENGTH : length;
    const isTree = flags === NODE_TREE && onTree !== undefined;
    if (flags !== 0 && flags !== NODE_BIG && !isTree) {
      this.report(tree.name, number, 'a node has unknown flags');
    } else if (data + stored > page.length) {
      this.report(tree.name, number, 'a value lies outside its page');
    } else if (isTree) {
      if (length !== TREE_LENGTH) this.report(tree.name, number, 'a table has no tree');
      else
        onTree(
          page.toString('latin1', node + NODE_HEADER, data),
          page.subarray(data, data + length),
        );
    } else if (flags === NODE_BIG) {
      this.#large(tree, number, length, page.subarray(data, data + LARGE_LENGTH));
    }
  }

  #large(tree: Tree, number: number, length: number, place: Buffer): void {
    const first = Number(place.readBigUInt64LE(0));
    const needed = Math.floor((PAGE_HEADER - 1 + length) / this.meta.pageBytes) + 1;
    // A value that one transaction puts again, shorter, keeps the longer run.
    const count = Number(place.readBigUInt64LE(16));
    if (count < needed) {
      this.report(tree.name, number, 'the place of a large value is damaged');
      return;
    }
    if (!this.#take(tree.name, first, count)) return;
    this.#counts.largePages += count;
    const header = this.#read(first, PAGE_HEADER);
    const isWhole =
      header.length === PAGE_HEADER &&
      header.readBigUInt64LE(0) === BigInt(first) &&
      (pageFlags(header) & FLAG_KINDS) === FLAG_OVERFLOW &&
      header.readUInt32LE(20) === count;
    if (!isWhole) this.report(tree.name, first, 'the page is not the large value it should be');
  }

  /** A page in use that is listed as free would be overwritten. */
  checkFreePages(): void {
    for (const { page, pages } of readFreeRuns(this.fd, this.meta)) {
      if (!(page >= FIRST_PAGE && pages >= 1 && page + pages <= this.meta.lastPage + 1)) {
        this.report('free', page, 'a free page lies outside the file');
        continue;
      }
      for (let n = page; n < page + pages; n++) {
        if (!this.isUsed(n)) continue;
        this.report('free', n, 'the page is in use and listed as free');
        break;
      }
    }
  }
}

function keysOf(page: Buffer, nodes: readonly number[]): Buffer[] | string {
  const keys: Buffer[] = [];
  for (const node of nodes) {
    const length = keyLength(page, node);
    const key = page.subarray(node + NODE_HEADER, node + NODE_HEADER + length);
    if (key.length !== length) return 'a key lies outside its page';
    keys.push(key);
  }
  return keys;
}

/** Nodes fill the page from `upper` to its end without gaps. */
function roomProblem(page: Buffer, nodes: readonly number[], isLeaf: boolean): string | undefined {
  let used = 0;
  for (const node of nodes) {
    const isLarge = nodeFlags(page, node) === NODE_BIG;
    const stored = isLarge ? LARGE_LENGTH : valueLength(page, node);
    const length = NODE_HEADER + keyLength(page, node) + (isLeaf ? stored : 0);
    used += length + (length & 1);
  }
  const room = page.length - PAGE_HEADER - pageUpper(page);
  return used === room ? undefined : `the nodes take ${used} bytes of ${room}`;
}

/** Keys ascend and lie in the bounds. The first key of a branch page counts as the lowest. */
function orderProblem(
  tree: Tree,
  keys: readonly Buffer[],
  isLeaf: boolean,
  { low, high }: KeyBounds,
): string | undefined {
  // The keys of LMDB's own list are numbers in the machine's byte order.
  if (tree.name === 'free') return undefined;
  let previous: Buffer | undefined;
  for (const key of isLeaf ? keys : keys.slice(1)) {
    if (key.length === 0) return 'a key is empty';
    if (previous !== undefined && previous.compare(key) >= 0) return 'the keys are not in order';
    if (low !== undefined && key.compare(low) < 0) return 'a key is below those of its page';
    if (high !== undefined && key.compare(high) >= 0) return 'a key is above those of its page';
    previous = key;
  }
  return undefined;
}

function decodeTree(name: string, record: Buffer): Tree {
  return {
    name: name.replace(/\0$/, ''),
    flags: record.readUInt16LE(4) & ~FLAG_OPEN,
    depth: record.readUInt16LE(6),
    branchPages: Number(record.readBigUInt64LE(8)),
    leafPages: Number(record.readBigUInt64LE(16)),
    largePages: Number(record.readBigUInt64LE(24)),
    entries: Number(record.readBigUInt64LE(32)),
    root: rootOf(record, 0),
  };
}

function metaBytes(fd: number, meta: MetaPage, index: number): Buffer {
  const page = Buffer.alloc(PAGE_HEADER + META_LENGTH);
  readSync(fd, page, 0, page.length, index * meta.pageBytes);
  return page;
}

function walkFile(fd: number, meta: MetaPage): Walk {
  const walk = new Walk(fd, meta, fstatSync(fd).size);
  // A transaction writes the meta page of its own parity, with the records of the two top trees;
  // the other meta page is from the transaction before.
  const newer = meta.transaction % 2;
  const page = metaBytes(fd, meta, newer);
  const older = decodeMetaPage(metaBytes(fd, meta, 1 - newer));
  const isPair =
    decodeMetaPage(page)?.transaction === meta.transaction &&
    older !== undefined &&
    meta.transaction - older.transaction <= 1;
  if (!isPair) {
    walk.report('main', newer, 'the meta pages are not of two transactions in a row');
    return walk;
  }
  const trees: Tree[] = [];
  walk.walk(
    decodeTree('main', page.subarray(MAIN_TREE_AT, MAIN_TREE_AT + TREE_LENGTH)),
    (name, record) => {
      trees.push(decodeTree(name, record));
    },
  );
  for (const tree of trees) walk.walk(tree);
  walk.walk(decodeTree('free', page.subarray(FREE_TREE_AT, FREE_TREE_AT + TREE_LENGTH)));
  try {
    if (!walk.findings.some(({ tree }) => tree === 'free')) walk.checkFreePages();
  } catch (error) {
    if (!(error instanceof DamagedFile || error instanceof RangeError)) throw error;
    walk.report('free', meta.freeRoot ?? 0, 'the list of the free pages is damaged');
  }
  return walk;
}

/**
 * Checks every page of the trees of the volume `path` (already accepted by
 * `checkVolumeFiles`). Costs one read per tree page; only the first page of a
 * large value is read. Findings are damage while a reader holds the newest
 * state or no transaction commits; otherwise the check is tried again.
 */
export function checkPages(path: string): PageReport {
  const fd = openSync(join(path, DATA_FILE), 'r');
  try {
    for (let attempt = 1; ; attempt++) {
      const meta = readMeta(fd);
      if (meta === undefined) throw new DamagedFile('it has no meta page');
      const { findings, pages } = walkFile(fd, meta);
      const isStill = readMeta(fd)?.transaction === meta.transaction;
      if (findings.length === 0 || isStill || attempt === ATTEMPTS) {
        return { findings, pages, isCertain: isStill || findings.length === 0 };
      }
    }
  } finally {
    closeSync(fd);
  }
}
