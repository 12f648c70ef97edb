/**
 * The bytes of stored blocks, for reading: of large files past LMDB's map,
 * which would have the kernel read 128 KiB around every page and this thread
 * wait for it unasked.
 *
 * A block that is not in memory is waited for when nobody else waits to be
 * served; otherwise the kernel is told what will be needed, and `Fetching` is
 * thrown: the caller comes again. What is read in order is fetched ahead.
 */
import { Fetching } from '../base/errors.js';
import { blockIndexOf, blockKey, layerOf } from '../format/keys.js';
import { MAX_LAYER, MAX_STEP, TABLE } from '../format/tables.js';
import { blockBytes } from '../format/values.js';
import type { ValuePlace } from '../store/tree-page.js';
import type { ValueFile } from '../store/value-file.js';
import type { BlockMap, BlockSource } from './block-map.js';
import type { Inode } from './inode.js';
import { ReadAhead } from './read-ahead.js';
import type { View } from './view.js';

/** Smaller files are read through the map: with a page come its neighbours, other small files. */
export const LARGE_BYTES = 256 * 1024;
/** What LZ4 made smaller begins with such a byte, and only LMDB unpacks it. */
const PACKED_FROM = 250;

export class StoredBlocks {
  readonly #ahead: ReadAhead;

  constructor(readonly map: BlockMap) {
    this.#ahead = new ReadAhead(map.core.options.blockSize);
  }

  /**
   * Before the blocks first … last are looked up: the page of the tree that
   * names them is read alone, and what is likely to be read next is fetched.
   */
  begin(view: View, inode: Inode, first: number, last: number): void {
    const values = this.#valuesFor(inode);
    if (values === undefined || inode.dataLayer === 0) return;
    values.touch(TABLE.blocks, blockKey(view.fileset, inode.ino, first, view.top, MAX_STEP));
    const blocks = Math.ceil(inode.size / this.map.core.options.blockSize);
    const span = this.#ahead.next(inode.ino, first, last, blocks);
    if (span === undefined) return;
    const places: ValuePlace[] = [];
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
   * read. `rest`: what is read after it, `at` being its place there. Throws Fetching.
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

  #valuesFor(inode: Inode): ValueFile | undefined {
    return inode.size >= LARGE_BYTES ? this.map.core.reader.values : undefined;
  }

  #wait(
    values: ValueFile,
    place: ValuePlace,
    rest: readonly BlockSource[],
    at: number,
    mayPutOff: boolean,
  ): Buffer {
    const places: ValuePlace[] = [];
    for (let i = at + 1; i < rest.length; i++) {
      const source = rest[i] as BlockSource;
      if (source.where !== 'stored') continue;
      const other = values.find(TABLE.blocks, source.key);
      if (other !== undefined) places.push(other);
    }
    fetch(values, places);
    const { core } = this.map;
    if (mayPutOff && !core.mayBlock && core.othersWait()) throw new Fetching();
    return values.wait(place);
  }
}

/** Neighbours are one read of the disk. */
function fetch(values: ValueFile, places: readonly ValuePlace[]): void {
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
  if (have > 0) bytes.copy(out, outOffset, from, from + have);
  if (have < count) out.fill(0, outOffset + have, outOffset + count);
}
