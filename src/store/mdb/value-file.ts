/**
 * Large values read from `data.mdb` with read(2) instead of through LMDB's
 * map, and the trees' pages that say where they lie. The map can't say whether
 * a page is in memory, and a fault in it makes the kernel read 128 KiB around
 * each page it waits for; read(2) can be asked not to wait, and reads what it
 * was asked for.
 *
 * LMDB's pages are written with pwrite(2), so both see the same bytes. The
 * reader says where the tree of a table begins in the state it holds, and as
 * long as it holds that no page of it is used again. So what must hold is that
 * `moved` is called whenever that state changes or is let go; what was found
 * before means nothing then.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { ERRNO } from '../../lib/errors.js';
import type { TableNumber } from '../../format/records/tables.js';
import { FADVISE_RANDOM, FADVISE_WILLNEED } from '../../libc/constants.js';
import { fadvise, pread, preadNowait } from '../../libc/libc.js';
import { ScatteredRead } from '../../libc/scattered-read.js';
import type { Env } from '../env.js';
import { MAX_DEPTH, nodeCount } from './layout.js';
import {
  branchIndex,
  childPage,
  isInLeaf,
  isLeaf,
  isTreePage,
  keyAt,
  LeafRecord,
  leafIndex,
  type ValueSpan,
} from './tree-page.js';

/** Pages of trees that are kept: 1 MiB. */
const PAGES_KEPT = 256;
const NOTHING = Buffer.alloc(0);
const FIRST_VALUE_BYTES = 32 * 1024 + 8;
/** Largest gap between two values of one read: the end of a page, and the next header. */
const GAP_MAX_BYTES = 4096;

/** The values are adjacent, with no gap that is worth a second read. */
export function areNeighbours(first: ValueSpan, second: ValueSpan): boolean {
  const gap = second.offset - first.offset - first.length;
  return gap >= 0 && gap < GAP_MAX_BYTES;
}

/** A leaf, and the first key of the next one, as far as it is known. */
export interface Leaf {
  table: TableNumber;
  page: Buffer;
  next: Buffer | undefined;
}

export class ValueFile {
  readonly #fd: number;
  readonly #env: Pick<Env, 'pageBytes' | 'rootPage'>;
  readonly #pages = new Map<number, Buffer>();
  readonly #roots: (number | undefined)[] = [];
  readonly #record = new LeafRecord();
  #value: Buffer = Buffer.allocUnsafeSlow(FIRST_VALUE_BYTES);
  /** Where a key was looked up last: who reads in order goes on there. */
  #last: Leaf | undefined;
  readonly #scattered = new ScatteredRead();
  readonly #gap = Buffer.allocUnsafeSlow(GAP_MAX_BYTES);

  /** `path`: the file. Throws what open(2) does. */
  private constructor(path: string, env: Pick<Env, 'pageBytes' | 'rootPage'>) {
    this.#env = env;
    this.#fd = openSync(path, 'r');
    // Callers read whole values and announce later ones by `willNeed`.
    fadvise(this.#fd, 0, 0, FADVISE_RANDOM);
  }

  /** The data file of an open environment. Undefined when it can't be opened again. */
  static open(env: Env, file: string): ValueFile | undefined {
    try {
      return new ValueFile(join(env.path, file), env);
    } catch {
      return undefined;
    }
  }

  /** The reader's state has changed. */
  moved(): void {
    this.#last = undefined;
    this.#pages.clear();
    this.#roots.length = 0;
  }

  /**
   * Calls `visit` with the records start ≤ key < end in key order until it returns false. `visit`
   * may not keep the record itself. False: something can't be read or is not as it should be; then
   * LMDB is to be asked for all of it.
   */
  walk(
    table: TableNumber,
    start: Uint8Array,
    end: Uint8Array,
    visit: (record: LeafRecord) => boolean,
  ): boolean {
    const record = this.#record;
    for (let from: Uint8Array | undefined = start; from !== undefined; ) {
      const leaf = this.#leaf(table, from);
      const first = leaf && leafIndex(leaf.page, from);
      if (leaf === undefined || first === undefined) return false;
      const count = nodeCount(leaf.page);
      for (let index = first; index < count; index++) {
        if (!record.load(leaf.page, index)) return false;
        const { keyBytes, keyStart, keyEnd } = record;
        if (keyBytes.compare(end, 0, end.length, keyStart, keyEnd) >= 0) return true;
        if (!visit(record)) return true;
      }
      // It goes up, or the tree is damaged.
      if (leaf.next !== undefined && leaf.next.compare(from) <= 0) return false;
      from = leaf.next;
    }
    return true;
  }

  /**
   * Reads a value; the bytes are valid until the next read. Undefined: it is
   * not in memory (the kernel may have begun to fetch it). Never throws: an
   * unreadable value is empty.
   */
  read({ offset, length }: ValueSpan): Buffer | undefined {
    if (length > this.#value.length) this.#value = Buffer.allocUnsafeSlow(length);
    const count = preadNowait(this.#fd, this.#value, length, offset);
    if (count === length) return this.#value.subarray(0, length);
    return count >= 0 || count === -ERRNO.EAGAIN ? undefined : NOTHING;
  }

  /**
   * Reads neighbours of equal length at once, each in two parts: the first
   * `headBytes` go to `heads`, the rest to `out[at…]`, both packed value after
   * value. Returns the number of whole values; also 0 when they can't be read.
   * `waits`: wait for the disk.
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

  /** As `read`, but waits for the disk. */
  wait({ offset, length }: ValueSpan): Buffer {
    if (length > this.#value.length) this.#value = Buffer.allocUnsafeSlow(length);
    const count = pread(this.#fd, this.#value, length, offset);
    return count === length ? this.#value.subarray(0, length) : NOTHING;
  }

  /** Asks the kernel to fetch a part of the file. Does not wait. */
  willNeed(offset: number, length: number): void {
    fadvise(this.#fd, offset, length, FADVISE_WILLNEED);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** The leaf where the key is, or would be. */
  #leaf(table: TableNumber, key: Uint8Array): Leaf | undefined {
    const last = this.#last;
    if (last?.table === table && isInLeaf(last.page, key)) return last;
    const leaf = this.leafAt(table, key);
    if (leaf !== undefined) this.#last = leaf;
    return leaf;
  }

  /** As it lies in the file; undefined: the table is empty, or a page is not as it should be. */
  leafAt(table: TableNumber, key: Uint8Array): Leaf | undefined {
    this.#roots[table] ??= this.#env.rootPage(table);
    let number = this.#roots[table];
    let next: Buffer | undefined;
    for (let depth = 0; number !== undefined && depth < MAX_DEPTH; depth++) {
      const page = this.#page(number);
      if (page === undefined) return undefined;
      if (isLeaf(page)) return { table, page, next };
      const index = branchIndex(page, key);
      if (index === undefined) return undefined;
      if (index + 1 < nodeCount(page)) {
        next = keyAt(page, index + 1);
        if (next === undefined) return undefined;
      }
      number = childPage(page, index);
    }
    return undefined;
  }

  #page(number: number): Buffer | undefined {
    const known = this.#pages.get(number);
    if (known !== undefined) return known;
    const { pageBytes } = this.#env;
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
