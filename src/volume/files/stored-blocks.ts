/**
 * The blocks of files in LMDB: which version a view sees, and its bytes. The
 * one place that looks a block up there; the result says where the value lies,
 * so that nothing is looked up twice.
 *
 * Small files are read through LMDB's map: a page brings its neighbours, which
 * are other small files. Large files are read past the map, since the map would
 * make the kernel read 128 KiB around every page and this thread wait for it
 * without notice. Instead the pages of the tree and then the values are read
 * from the file.
 *
 * When a block is not in memory, the kernel is told what else will be needed.
 * Then the read waits for it or throws `RetryLater`, as the `WaitPolicy` says.
 * Files that are read in order are fetched ahead.
 */
import { copyBytes } from '../../lib/copy-bytes.js';
import { RetryLater } from '../../lib/errors.js';
import type { WaitPolicy } from '../../lib/wait-policy.js';
import { uint32At, uint48At } from '../../format/big-endian.js';
import { blockKey, PLACE_INODE_LENGTH } from '../../format/records/keys.js';
import { MAX_LAYER, MAX_STEP, TABLE } from '../../format/records/tables.js';
import {
  BLOCK_HEADER_LENGTH,
  BLOCK_HOLE,
  blockBytes,
  isRawBlock,
} from '../../format/records/values.js';
import type { KeyView } from '../../store/env.js';
import type { LeafRecord, ValueSpan } from '../../store/mdb/tree-page.js';
import { areNeighbours, type ValueFile } from '../../store/mdb/value-file.js';
import type { VolumeCore } from '../core.js';
import type { Inode } from '../inode.js';
import { visitNewest, visitStored } from '../newest.js';
import { ReadAhead } from './read-ahead.js';
import type { View } from '../view.js';

/** Smaller files are read through the map. */
export const LARGE_BYTES = 256 * 1024;
const AT_ONCE_MAX = 256;
/** A value that LZ4 made smaller begins with such a byte, and only LMDB unpacks it. */
const PACKED_FROM = 250;
const NOTHING = Buffer.alloc(0);

/** Whether the caller may wait for a disk. */
export type Waits = Pick<WaitPolicy, 'allows'>;

/** A version of a block, which never changes. */
export interface BlockVersion {
  readonly index: number;
  readonly layer: number;
  readonly step: number;
  readonly isHole: boolean;
}

/**
 * A version as it was found. The position of its value is valid until the reader's state changes.
 */
export interface StoredBlock extends BlockVersion {
  /** 'given': the look-up has passed its bytes on. */
  where: 'stored' | 'given';
  /** Its span in the file, if it was looked up there and has pages of its own. */
  readonly span: ValueSpan | undefined;
  /** The value, if it was looked up in the file and lies beside its key. */
  readonly value: Buffer | undefined;
}

/** Objects that have a source for each block of a range; only stored ones count here. */
type Sources = readonly (StoredBlock | { where: 'memory' | 'hole' | 'base' | 'none' })[];

export class StoredBlocks {
  readonly #ahead: ReadAhead;
  readonly #blockSize: number;
  /** Headers of blocks that are read at once. */
  readonly #heads = Buffer.allocUnsafeSlow(AT_ONCE_MAX * BLOCK_HEADER_LENGTH);

  constructor(readonly core: VolumeCore) {
    this.#blockSize = core.options.blockSize;
    this.#ahead = new ReadAhead(this.#blockSize);
  }

  #valuesFor(inode: Inode): ValueFile | undefined {
    return inode.size >= LARGE_BYTES ? this.core.reader.values : undefined;
  }

  /**
   * Calls `take` with the version of each block first … end-1 that the view sees, if it has one, in
   * ascending order, until it returns false; also with the value, when that is at hand. `take` may
   * neither keep the value nor call into the store.
   */
  visit(
    view: View,
    inode: Inode,
    first: number,
    end: number,
    give: (block: StoredBlock, value: Buffer | undefined) => boolean,
  ): void {
    const { ino, size } = inode;
    const take: typeof give = (block, value) =>
      !inode.readsLayer(block.layer) || give(block, value);
    const { reader } = this.core;
    const { fileset } = view;
    const stop = Number.isFinite(end)
      ? blockKey(fileset, ino, end, MAX_LAYER, MAX_STEP)
      : blockKey(fileset, ino + 1, 0, MAX_LAYER, MAX_STEP);
    let start = blockKey(fileset, ino, first, view.top, MAX_STEP);
    const values = size >= LARGE_BYTES ? reader.values : undefined;
    if (values !== undefined) {
      const inFile = (from: Buffer, to: Buffer, see: (record: LeafRecord) => boolean): boolean =>
        values.walk(TABLE.blocks, from, to, see);
      let next = first;
      const isDone = visitNewest(inFile, view, TABLE.blocks, start, stop, (record, layer) => {
        const { span, value } = record;
        const block = found(record, layer, value?.[0] === BLOCK_HOLE, span, value);
        next = block.index + 1;
        return take(block, undefined);
      });
      if (isDone) return;
      // The walk could not be completed: LMDB then reports the error, or can read what the walk
      // could not.
      start = blockKey(fileset, ino, next, view.top, MAX_STEP);
    }
    visitStored(reader, view, TABLE.blocks, start, stop, (record, layer) => {
      const { value, valueLength } = record;
      const block = found(record, layer, value[0] === BLOCK_HOLE, undefined, undefined);
      return take(block, value.subarray(0, valueLength));
    });
  }

  /**
   * The blocks first … last are about to be read: fetches the blocks that are likely to be read
   * next.
   */
  begin(view: View, inode: Inode, first: number, last: number): void {
    const values = this.#valuesFor(inode);
    if (values === undefined || inode.dataLayer === 0) return;
    const blocks = Math.ceil(inode.size / this.#blockSize);
    const ahead = this.#ahead.next(inode.ino, first, last, blocks);
    if (ahead === undefined) return;
    const places: ValueSpan[] = [];
    this.visit(view, inode, ahead.from, ahead.end, ({ span }) => {
      if (span !== undefined) places.push(span);
      return true;
    });
    fetch(values, places);
  }

  /** A stored value's bytes, checked; undefined for a hole. */
  checked(inode: Inode, { index, layer }: BlockVersion, value: Buffer): Buffer | undefined {
    return blockBytes(value, `inode ${inode.ino} block ${index} layer ${layer}`);
  }

  /**
   * The bytes of a version of a block that was found earlier, looked up by its key. Valid until the
   * next read.
   */
  bytesOf(inode: Inode, version: BlockVersion): Buffer | undefined {
    const { index, layer, step } = version;
    const key = blockKey(this.core.fileset, inode.ino, index, layer, step);
    const value = this.core.reader.get(TABLE.blocks, key);
    return this.checked(inode, version, value ?? NOTHING);
  }

  /**
   * The block's bytes, checked; undefined for a hole. Valid until the next read. `rest`: the
   * sources that are read after it; `at`: the index of the next one. Throws RetryLater.
   */
  bytes(
    inode: Inode,
    block: StoredBlock,
    rest: Sources,
    at: number,
    waits: Waits,
  ): Buffer | undefined {
    const value = this.#value(inode, block, rest, at, waits);
    // The value is empty when it can't be read: LMDB then reports the error.
    if (value.length === 0 || (value[0] as number) >= PACKED_FROM)
      return this.bytesOf(inode, block);
    return this.checked(inode, block, value);
  }

  #value(
    inode: Inode,
    { span, value }: StoredBlock,
    rest: Sources,
    at: number,
    waits: Waits,
  ): Buffer {
    const values = this.#valuesFor(inode);
    if (span === undefined || values === undefined) return value ?? NOTHING;
    const read = values.read(span);
    if (read !== undefined) return read;
    this.#fetchRest(values, rest, at, waits);
    return values.wait(span);
  }

  /**
   * Reads blocks sources[first … first + count - 1], each of them whole, into out[outOffset…],
   * while they are whole and lie beside each other in the file. Returns how many it has read,
   * checked; the block that follows (the first one, for 0) has to be read with `bytes`. Throws
   * RetryLater.
   */
  neighbours(
    inode: Inode,
    sources: Sources,
    first: number,
    count: number,
    out: Buffer,
    outOffset: number,
    waits: Waits,
  ): number {
    const values = count > 1 ? this.#valuesFor(inode) : undefined;
    if (values === undefined) return 0;
    const places = this.#neighbourPlaces(sources, first, Math.min(count, AT_ONCE_MAX));
    if (places.length < 2) return 0;
    const read = (mayWait: boolean): number =>
      values.readNeighbours(places, BLOCK_HEADER_LENGTH, this.#heads, out, outOffset, mayWait);
    let whole = read(false);
    if (whole === 0) {
      this.#fetchRest(values, sources, first, waits);
      whole = read(true);
    }
    const blockSize = this.#blockSize;
    for (let i = 0; i < whole; i++) {
      const start = outOffset + i * blockSize;
      const bytes = out.subarray(start, start + blockSize);
      if (!isRawBlock(this.#heads, i * BLOCK_HEADER_LENGTH, bytes)) return i;
    }
    return whole;
  }

  #neighbourPlaces(sources: Sources, first: number, count: number): ValueSpan[] {
    const places: ValueSpan[] = [];
    let before: ValueSpan | undefined;
    for (let i = first; i < first + count; i++) {
      const source = sources[i];
      const span = source?.where === 'stored' ? source.span : undefined;
      if (span?.length !== BLOCK_HEADER_LENGTH + this.#blockSize) break;
      if (before !== undefined && !areNeighbours(before, span)) break;
      places.push(span);
      before = span;
    }
    return places;
  }

  /** Fetches the blocks behind sources[at]; throws RetryLater unless the read may wait. */
  #fetchRest(values: ValueFile, sources: Sources, at: number, waits: Waits): void {
    const places: ValueSpan[] = [];
    for (let i = at + 1; i < sources.length; i++) {
      const source = sources[i];
      if (source?.where === 'stored' && source.span !== undefined) places.push(source.span);
    }
    fetch(values, places);
    if (!waits.allows('near')) throw new RetryLater();
  }
}

function found(
  { keyBytes, keyStart, keyEnd }: KeyView,
  layer: number,
  isHole: boolean,
  span: ValueSpan | undefined,
  value: Buffer | undefined,
): StoredBlock {
  const index = uint48At(keyBytes, keyStart + PLACE_INODE_LENGTH);
  const step = MAX_STEP - uint32At(keyBytes, keyEnd - 4);
  return { where: 'stored', index, layer, step, isHole, span, value };
}

/** One read of the disk fetches neighbours. */
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

/** Copies `count` bytes of a block from `from` on; missing bytes become zeros. */
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
