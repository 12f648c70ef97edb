/**
 * Large values read from `data.mdb` with read(2) instead of through LMDB's
 * map. The map can't say whether a page is in memory, and a fault in it makes
 * the kernel read 128 KiB around each page it waits for; read(2) can be asked
 * not to wait, and reads what it was asked for.
 *
 * LMDB's pages are written with pwrite(2), so both see the same bytes. What
 * must hold: it is only asked for keys that the reader has just found, while
 * the reader holds its state; `moved` is called whenever that state changes or
 * is let go. Then every page that the newest meta page leads to stays as it
 * is: it is of the reader's state, or was freed later than that state.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { ERRNO } from '../../lib/errors.js';
import { TABLE_NAMES, type TableNumber } from '../../format/records/tables.js';
import { FADVISE_RANDOM, FADVISE_WILLNEED } from '../../libc/constants.js';
import { fadvise, pread, preadNowait } from '../../libc/libc.js';
import { ScatteredRead } from '../../libc/scattered-read.js';
import { DamagedFile, type MetaPage, readMeta } from './file.js';
import { MAX_DEPTH, nodeCount } from './layout.js';
import {
  branchIndex,
  childPage,
  isLeaf,
  isTreePage,
  keyAt,
  leafIndex,
  tableRoot,
  type ValueSpan,
  valueSpan,
} from './tree-page.js';

/** Pages of trees that are kept: 512 KiB. */
const PAGES_KEPT = 128;
const NOTHING = Buffer.alloc(0);
const FIRST_VALUE_BYTES = 32 * 1024 + 8;
/** Between two values that one read may take in: the end of a page, and the header of the next. */
const GAP_MAX_BYTES = 4096;

/** The values lie one behind the other, with nothing between them that is worth a second read. */
export function areNeighbours(first: ValueSpan, second: ValueSpan): boolean {
  const gap = second.offset - first.offset - first.length;
  return gap >= 0 && gap < GAP_MAX_BYTES;
}

/** A leaf and a place in it. */
interface LeafPosition {
  page: Buffer;
  index: number;
  /** The first key of the next leaf, as far as it is known. */
  next: Buffer | undefined;
}

function isKeyAt({ page }: LeafPosition, index: number, key: Uint8Array): boolean {
  return index < nodeCount(page) && keyAt(page, index)?.equals(key) === true;
}

export class ValueFile {
  readonly #fd: number;
  readonly #pages = new Map<number, Buffer>();
  readonly #roots: (number | undefined)[] = [];
  #meta: MetaPage | undefined;
  #value: Buffer = Buffer.allocUnsafeSlow(FIRST_VALUE_BYTES);
  /** What was found last: who reads in order wants the one behind it. */
  #found: LeafPosition | undefined;
  readonly #scattered = new ScatteredRead();
  readonly #gap = Buffer.allocUnsafeSlow(GAP_MAX_BYTES);

  /** `path`: the file. Throws what open(2) does. */
  private constructor(path: string) {
    this.#fd = openSync(path, 'r');
    // Reads are of whole values, and what follows is asked for by `willNeed`.
    fadvise(this.#fd, 0, 0, FADVISE_RANDOM);
  }

  /** `path`: the directory of the environment. Undefined when the file can't be opened again. */
  static open(path: string, file: string): ValueFile | undefined {
    try {
      return new ValueFile(join(path, file));
    } catch {
      return undefined;
    }
  }

  /** The reader's state has changed. */
  moved(): void {
    if (this.#meta === undefined) return;
    this.#meta = undefined;
    this.#found = undefined;
    this.#pages.clear();
    this.#roots.length = 0;
  }

  /** Where the key's value lies; undefined: not found, or in the tree itself. */
  find(table: TableNumber, key: Uint8Array): ValueSpan | undefined {
    const found = this.#found;
    if (found !== undefined && isKeyAt(found, found.index + 1, key)) {
      found.index++;
    } else {
      const place = this.#seek(table, key);
      if (place === undefined || !isKeyAt(place, place.index, key)) return undefined;
      this.#found = place;
    }
    const { page, index } = this.#found as LeafPosition;
    return valueSpan(page, index);
  }

  /**
   * Calls `visit` with the keys start ≤ key < end and where their values lie,
   * until it returns false. Keys are views. Stops at what it can't read.
   */
  visit(
    table: TableNumber,
    start: Uint8Array,
    end: Uint8Array,
    visit: (key: Buffer, place: ValueSpan | undefined) => boolean,
  ): void {
    let from: Uint8Array | undefined = start;
    while (from !== undefined) {
      const place: LeafPosition | undefined = this.#seek(table, from);
      if (place === undefined) return;
      for (let index = place.index; index < nodeCount(place.page); index++) {
        const key = keyAt(place.page, index);
        if (key === undefined || key.compare(end) >= 0) return;
        if (!visit(key, valueSpan(place.page, index))) return;
      }
      from = place.next;
    }
  }

  /** Reads the page of the tree where the key is, or would be, unless it was read before. */
  touch(table: TableNumber, key: Uint8Array): void {
    this.#seek(table, key);
  }

  /**
   * Reads a value; the bytes are valid until the next read. Undefined: it is
   * not in memory (the kernel may have begun to fetch it). Throws nothing: what
   * can't be read is empty.
   */
  read({ offset, length }: ValueSpan): Buffer | undefined {
    if (length > this.#value.length) this.#value = Buffer.allocUnsafeSlow(length);
    const count = preadNowait(this.#fd, this.#value, length, offset);
    if (count === length) return this.#value.subarray(0, length);
    return count >= 0 || count === -ERRNO.EAGAIN ? undefined : NOTHING;
  }

  /**
   * Reads neighbours of one length at once, each in two parts: the first `headBytes` go to
   * `heads`, the rest to `out[at…]`, both one value behind the other. Returns how many are there
   * as a whole; 0, too, for what can't be read. `waits`: for the disk.
   */
  readNeighbours(
    places: readonly ValueSpan[],
    headBytes: number,
    heads: Buffer,
    out: Buffer,
    at: number,
    waits: boolean,
  ): number {
    const scattered = this.#scattered;
    const [{ offset, length } = { offset: 0, length: 0 }] = places;
    const restBytes = length - headBytes;
    scattered.begin();
    for (let i = 0; i < places.length; i++) {
      if (i > 0) {
        const before = places[i - 1] as ValueSpan;
        const gap = (places[i] as ValueSpan).offset - before.offset - before.length;
        if (gap > 0) scattered.into(this.#gap, 0, gap);
      }
      scattered.into(heads, i * headBytes, headBytes);
      scattered.into(out, at + i * restBytes, restBytes);
    }
    const count = waits ? scattered.read(this.#fd, offset) : scattered.readNowait(this.#fd, offset);
    let whole = 0;
    for (const place of places) {
      if (place.offset + place.length - offset > count) break;
      whole++;
    }
    return whole;
  }

  /** As `read`, and waits for the disk. */
  wait({ offset, length }: ValueSpan): Buffer {
    if (length > this.#value.length) this.#value = Buffer.allocUnsafeSlow(length);
    const count = pread(this.#fd, this.#value, length, offset);
    return count === length ? this.#value.subarray(0, length) : NOTHING;
  }

  /** Has the kernel fetch a part of the file. Does not wait for it. */
  willNeed(offset: number, length: number): void {
    fadvise(this.#fd, offset, length, FADVISE_WILLNEED);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #seek(table: TableNumber, key: Uint8Array): LeafPosition | undefined {
    const root = this.#rootOf(table);
    return root === undefined ? undefined : this.#descend(root, key);
  }

  #descend(root: number, key: Uint8Array): LeafPosition | undefined {
    let next: Buffer | undefined;
    let page = this.#page(root);
    for (let depth = 0; page !== undefined && depth < MAX_DEPTH; depth++) {
      if (isLeaf(page)) {
        const index = leafIndex(page, key);
        return index === undefined ? undefined : { page, index, next };
      }
      const index = branchIndex(page, key);
      if (index === undefined) return undefined;
      if (index + 1 < nodeCount(page)) next = keyAt(page, index + 1);
      const child = childPage(page, index);
      page = child === undefined ? undefined : this.#page(child);
    }
    return undefined;
  }

  #rootOf(table: TableNumber): number | undefined {
    const known = this.#roots[table];
    if (known !== undefined) return known;
    const { mainRoot } = this.#metaPage() ?? {};
    if (mainRoot === undefined) return undefined;
    const name = Buffer.from(TABLE_NAMES[table - 1] as string);
    const place = this.#descend(mainRoot, name);
    if (place === undefined) return undefined;
    // The package ends the names of its tables with a zero byte.
    const found = keyAt(place.page, place.index)?.toString('latin1').replace(/\0$/, '');
    const root = found === name.toString() ? tableRoot(place.page, place.index) : undefined;
    this.#roots[table] = root;
    return root;
  }

  #metaPage(): MetaPage | undefined {
    if (this.#meta !== undefined) return this.#meta;
    try {
      this.#meta = readMeta(this.#fd);
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
    }
    return this.#meta;
  }

  #page(number: number): Buffer | undefined {
    const known = this.#pages.get(number);
    if (known !== undefined) return known;
    const pageBytes = this.#metaPage()?.pageBytes;
    if (pageBytes === undefined) return undefined;
    const page = Buffer.allocUnsafe(pageBytes);
    const count = pread(this.#fd, page, pageBytes, number * pageBytes);
    if (count !== pageBytes || !isTreePage(page, number)) return undefined;
    this.#pages.set(number, page);
    if (this.#pages.size > PAGES_KEPT) {
      this.#pages.delete(this.#pages.keys().next().value as number);
    }
    return page;
  }
}
