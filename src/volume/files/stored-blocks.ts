/**
 * The bytes of stored blocks, for reading: of large files past LMDB's map,
 * which would have the kernel read 128 KiB around every page and this thread
 * wait for it unasked.
 *
 * A block that is not in memory is waited for when nobody else waits to be
 * served; otherwise the kernel is told what will be needed, and `RetryLater` is
 * thrown: the caller comes again. What is read in order is fetched ahead.
 */
import { copyBytes } from '../../lib/copy-bytes.js';
import { RetryLater } from '../../lib/errors.js';
import { blockIndexOf, blockKey, layerOf } from '../../format/records/keys.js';
import { MAX_LAYER, MAX_STEP, TABLE } from '../../format/records/tables.js';
import { BLOCK_HEADER_LENGTH, blockBytes, isRawBlock } from '../../format/records/values.js';
import type { ValueSpan } from '../../store/mdb/tree-page.js';
import { areNeighbours, type ValueFile } from '../../store/mdb/value-file.js';
import type { BlockMap, BlockSource } from './block-map.js';
import type { Inode } from '../inode.js';
import { ReadAhead } from './read-ahead.js';
import type { View } from '../view.js';

/** Smaller files are read through the map: with a page come its neighbours, other small files. */
export const LARGE_BYTES = 256 * 1024;
const AT_ONCE_MAX = 256;
/** What LZ4 made smaller begins with such a byte, and only LMDB unpacks it. */
const PACKED_FROM = 250;

export class StoredBlocks {
  readonly #ahead: ReadAhead;
  readonly #blockSize: number;
  /** Headers of blocks that are read at once. */
  readonly #heads = Buffer.allocUnsafeSlow(AT_ONCE_MAX * BLOCK_HEADER_LENGTH);

  constructor(readonly map: BlockMap) {
    this.#blockSize = map.core.options.blockSize;
    this.#ahead = new ReadAhead(this.#blockSize);
  }

  /**
   * Before the blocks first … last are looked up: the page of the tree that
   * names them is read alone, and what is likely to be read next is fetched.
   */
  begin(view: View, inode: Inode, first: number, last: number): void {
    const values = this.#valuesFor(inode);
    if (values === undefined || inode.dataLayer === 0) return;
    values.touch(TABLE.blocks, blockKey(view.fileset, inode.ino, first, view.top, MAX_STEP));
    const blocks = Math.ceil(inode.size / this.#blockSize);
    const span = this.#ahead.next(inode.ino, first, last, blocks);
    if (span === undefined) return;
    const places: ValueSpan[] = [];
    let latest = -1;
    const start = blockKey(view.fileset, inode.ino, span.from, view.top, MAX_STEP);
    const end = blockKey(view.fileset, inode.ino, span.end, MAX_LAYER, MAX_STEP);
    values.visit(TABLE.blocks, start, end, (key, place) => {
      const index = blockIndexOf(key);
      // The newest version stands first.
      if (index !== latest && place !== undefined) places.push(place);
      latest = index;
      return true;
    });
    fetch(values, places);
  }

  /**
   * The block's bytes, checked; undefined for a hole. Valid until the next
   * read. `rest`: what is read after it, `at` being its place there. Throws RetryLater.
   */
  bytes(
    inode: Inode,
    key: Buffer,
    rest: readonly BlockSource[],
    at: number,
    mayPutOff: boolean,
  ): Buffer | undefined {
    const values = this.#valuesFor(inode);
    const place = values?.find(TABLE.blocks, key);
    if (values === undefined || place === undefined) return this.map.storedBytes(inode, key);
    const value = values.read(place) ?? this.#wait(values, place, rest, at, mayPutOff);
    // Empty when it can't be read: LMDB then fails in its own way.
    if (value.length === 0 || (value[0] as number) >= PACKED_FROM) {
      return this.map.storedBytes(inode, key);
    }
    const layer = layerOf(TABLE.blocks, key);
    return blockBytes(value, `inode ${inode.ino} block ${blockIndexOf(key)} layer ${layer}`);
  }

  /**
   * Reads blocks sources[first … first + count - 1], all of each, into out[outOffset…] while they
   * are whole and lie beside each other in the file. Returns how many are there, checked; for the
   * one that follows, and for 0, `bytes` is the way. Throws RetryLater.
   */
  neighbours(
    inode: Inode,
    sources: readonly BlockSource[],
    first: number,
    count: number,
    out: Buffer,
    outOffset: number,
    mayPutOff: boolean,
  ): number {
    const values = count > 1 ? this.#valuesFor(inode) : undefined;
    if (values === undefined) return 0;
    const places = this.#neighbourPlaces(values, sources, first, Math.min(count, AT_ONCE_MAX));
    if (places.length < 2) return 0;
    const read = (waits: boolean): number =>
      values.readNeighbours(places, BLOCK_HEADER_LENGTH, this.#heads, out, outOffset, waits);
    let found = read(false);
    if (found === 0) {
      this.#fetchRest(values, sources, first, mayPutOff);
      found = read(true);
    }
    const blockSize = this.#blockSize;
    for (let i = 0; i < found; i++) {
      const start = outOffset + i * blockSize;
      const bytes = out.subarray(start, start + blockSize);
      if (!isRawBlock(this.#heads, i * BLOCK_HEADER_LENGTH, bytes)) return i;
    }
    return found;
  }

  #neighbourPlaces(
    values: ValueFile,
    sources: readonly BlockSource[],
    first: number,
    count: number,
  ): ValueSpan[] {
    const places: ValueSpan[] = [];
    let before: ValueSpan | undefined;
    for (let i = first; i < first + count; i++) {
      const source = sources[i];
      if (source?.where !== 'stored') break;
      const place = values.find(TABLE.blocks, source.key);
      if (place?.length !== BLOCK_HEADER_LENGTH + this.#blockSize) break;
      if (before !== undefined && !areNeighbours(before, place)) break;
      places.push(place);
      before = place;
    }
    return places;
  }

  #valuesFor(inode: Inode): ValueFile | undefined {
    return inode.size >= LARGE_BYTES ? this.map.core.reader.values : undefined;
  }

  /** What sources[at] and those behind it need is fetched; throws RetryLater when others are to be served meanwhile. */
  #fetchRest(
    values: ValueFile,
    sources: readonly BlockSource[],
    at: number,
    mayPutOff: boolean,
  ): void {
    const places: ValueSpan[] = [];
    for (let i = at + 1; i < sources.length; i++) {
      const source = sources[i] as BlockSource;
      if (source.where !== 'stored') continue;
      const other = values.find(TABLE.blocks, source.key);
      if (other !== undefined) places.push(other);
    }
    fetch(values, places);
    const { core } = this.map;
    if (mayPutOff && !core.mayBlock && core.othersWait()) throw new RetryLater();
  }

  #wait(
    values: ValueFile,
    place: ValueSpan,
    rest: readonly BlockSource[],
    at: number,
    mayPutOff: boolean,
  ): Buffer {
    this.#fetchRest(values, rest, at, mayPutOff);
    return values.wait(place);
  }
}

/** Neighbours are one read of the disk. */
function fetch(values: ValueFile, places: readonly ValueSpan[]): void {
  let [offset, end] = [0, 0];
  for (const place of places) {
    if (place.offset >= end && place.offset - end < 4096 && end > 0) {
      end = place.offset + place.length;
      continue;
    }
    if (end > 0) values.willNeed(offset, end - offset);
    ({ offset } = place);
    end = offset + place.length;
  }
  if (end > 0) values.willNeed(offset, end - offset);
}

/** Copies `count` bytes from `from` on of a block's bytes; what they lack is zeros. */
export function copyPart(
  bytes: Buffer,
  from: number,
  out: Buffer,
  outOffset: number,
  count: number,
): void {
  const have = Math.max(0, Math.min(bytes.length - from, count));
  copyBytes(bytes, from, have, out, outOffset);
  if (have < count) out.fill(0, outOffset + have, outOffset + count);
}
