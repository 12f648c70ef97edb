/**
 * Which version of a block a view reads (rules D4, F1; Fig 10 of
 * native-notes/design.md in one seek): txgs in memory, LMDB, base, hole. Pure
 * look-up; changes nothing. Each requested block is looked up once, and the
 * result says all that a reader of the block needs.
 */
import { clippedBase, isClipped } from '../../format/clips.js';
import { isGiven } from '../../format/given.js';
import { BLOCK_HEADER_LENGTH } from '../../format/records/values.js';
import type { VolumeCore } from '../core.js';
import type { BlockChange } from '../commit/txg.js';
import type { Inode } from '../inode.js';
import { type StoredBlock, StoredBlocks } from './stored-blocks.js';
import type { View } from '../view.js';

/** At most this many blocks of a sparse file are counted when it is cut. */
export const COUNTED_BLOCKS = 4096;
/** Blocks looked up at a time: for blocks that have a record, and for runs. */
const FIRST_PIECE_BLOCKS = 16;
const PIECE_BLOCKS = 256;
const RUN_BLOCKS = 1024;

export type BlockSource =
  | StoredBlock
  | { where: 'memory'; layer: number; bytes: Buffer }
  | { where: 'hole'; layer: number }
  | { where: 'base' }
  | { where: 'none' };

const NONE: BlockSource = { where: 'none' };
const BASE: BlockSource = { where: 'base' };

/** Where a run of a file's bytes is addressed: for people and for `user.shadowfs.runs`. */
export interface BlockRun {
  /** Bytes. */
  offset: number;
  length: number;
  where: 'layer' | 'base' | 'hole';
  /** The layer that wrote the run's blocks, for 'layer'. */
  layer?: number;
}

/** True when the source has bytes (it is not a hole and not beyond the end). */
export function isData(source: BlockSource): boolean {
  if (source.where === 'stored' || source.where === 'given') return !source.isHole;
  return source.where === 'memory' || source.where === 'base';
}

/** True for the same stored version of a block of one file. */
export function isSameVersion(a: BlockSource, b: BlockSource): boolean {
  return a.where === 'stored' && b.where === 'stored' && a.layer === b.layer && a.step === b.step;
}

export class BlockMap {
  readonly stored: StoredBlocks;

  constructor(readonly core: VolumeCore) {
    this.stored = new StoredBlocks(core);
  }

  get #blockSize(): number {
    return this.core.options.blockSize;
  }

  /** True when a version written at (layer, step) is cut off at this index. */
  #isClipped({ clips }: Inode, index: number, layer: number, step: number): boolean {
    return clips.length > 0 && isClipped(clips, index * this.#blockSize, layer, step);
  }

  /** How far base bytes count, in bytes: the base's size, cut by every clip. */
  baseEnd(inode: Inode): number {
    const ref = inode.bytesInBase;
    if (ref === undefined || ref.isStored || !inode.isRegular) return 0;
    // All clips of a file that has given its bytes are newer than that (rule G2).
    return clippedBase(inode.clips, ref.size, this.#blockSize);
  }

  /** How many blocks, from the first, have base bytes where nothing else is recorded. */
  baseBlocks(inode: Inode): number {
    return Math.ceil(this.baseEnd(inode) / this.#blockSize);
  }

  /** Some of the file's blocks may be in LMDB. */
  #isStored(inode: Inode): boolean {
    // The base layer may hold blocks of a file that has none of its own (rule F10).
    const { base, dataLayer, given } = inode;
    // Nothing was written since.
    if (given !== undefined && dataLayer <= given.layer) return false;
    const isKept = base !== undefined && this.core.hasBaseRecords;
    return (dataLayer !== 0 || isKept) && !this.core.isInMemoryOnly(inode.ino);
  }

  #inMemory(inode: Inode, index: number, layer: number, block: BlockChange): BlockSource {
    if (this.#isClipped(inode, index, layer, block.step)) return NONE;
    if (block.hole) return { where: 'hole', layer };
    const end = BLOCK_HEADER_LENGTH + block.length;
    return { where: 'memory', layer, bytes: block.room.subarray(BLOCK_HEADER_LENGTH, end) };
  }

  #inStore(inode: Inode, block: StoredBlock): BlockSource {
    return this.#isClipped(inode, block.index, block.layer, block.step) ? NONE : block;
  }

  /**
   * Sources of the blocks first … last (inclusive) as the view sees them. `onValue` receives the
   * stored values that are at hand anyway, with their blocks, which are marked 'given'; it may
   * neither keep a value nor call into the store.
   */
  sources(
    view: View,
    inode: Inode,
    first: number,
    last: number,
    onValue?: (block: StoredBlock, value: Buffer) => void,
  ): BlockSource[] {
    const found = new Array<BlockSource | undefined>(last - first + 1).fill(undefined);
    let missing = found.length;
    for (const changes of this.core.pendingChanges(view)) {
      const blocks = changes.files.get(inode.ino);
      if (blocks === undefined || !inode.readsLayer(changes.layer)) continue;
      for (let index = first; index <= last; index++) {
        const block = blocks.get(index);
        if (block === undefined || found[index - first] !== undefined) continue;
        if (isGiven(inode.given, changes.layer, block.step)) continue;
        found[index - first] = this.#inMemory(inode, index, changes.layer, block);
        missing--;
      }
    }
    if (missing > 0 && this.#isStored(inode)) {
      this.stored.visit(view, inode, first, last + 1, (block, value) => {
        const at = block.index - first;
        if (found[at] !== undefined) return true;
        if (isGiven(inode.given, block.layer, block.step)) return true;
        const source = this.#inStore(inode, block);
        found[at] = source;
        if (source === block && value !== undefined && onValue !== undefined) {
          onValue(block, value);
          block.where = 'given';
        }
        return --missing > 0;
      });
    }
    const baseEnd = this.baseEnd(inode);
    return found.map(
      (source, i) => source ?? ((first + i) * this.#blockSize < baseEnd ? BASE : NONE),
    );
  }

  source(view: View, inode: Inode, index: number): BlockSource {
    return this.sources(view, inode, index, index)[0] as BlockSource;
  }

  /** The blocks from … end-1 that have a record in the view, clipped or not, not given; ascending. */
  *recorded(
    view: View,
    inode: Inode,
    from: number,
    end = Number.POSITIVE_INFINITY,
  ): Generator<{ index: number; source: BlockSource }> {
    const changed = new Map<number, BlockSource>();
    for (const changes of this.core.pendingChanges(view)) {
      if (!inode.readsLayer(changes.layer)) continue;
      for (const [index, block] of changes.files.get(inode.ino) ?? []) {
        if (index < from || index >= end || changed.has(index)) continue;
        if (isGiven(inode.given, changes.layer, block.step)) continue;
        changed.set(index, this.#inMemory(inode, index, changes.layer, block));
      }
    }
    const inMemory = [...changed].map(([index, source]) => ({ index, source }));
    inMemory.sort((a, b) => a.index - b.index);
    let i = 0;
    for (const block of this.#isStored(inode) ? this.#pieces(view, inode, from, end) : []) {
      const { index } = block;
      for (let next = inMemory[i]; next !== undefined && next.index < index; next = inMemory[++i]) {
        yield next;
      }
      if (changed.has(index) || isGiven(inode.given, block.layer, block.step)) continue;
      yield { index, source: this.#inStore(inode, block) };
    }
    yield* inMemory.slice(i);
  }

  /** Reads in pieces, so that the caller may do anything between two blocks. */
  *#pieces(view: View, inode: Inode, from: number, end: number): Generator<StoredBlock> {
    let wanted = FIRST_PIECE_BLOCKS;
    for (let next = from; ; wanted = PIECE_BLOCKS) {
      const piece: StoredBlock[] = [];
      this.stored.visit(view, inode, next, end, (block) => piece.push(block) < wanted);
      yield* piece;
      if (piece.length < wanted) return;
      next = (piece.at(-1) as StoredBlock).index + 1;
    }
  }

  /** How many of the first `end` blocks are data. Looks at each that has a record. */
  dataBlocks(view: View, inode: Inode, end: number): number {
    const inBase = Math.min(end, this.baseBlocks(inode));
    let count = inBase;
    for (const { index, source } of this.recorded(view, inode, 0, end)) {
      if (index < inBase) count--;
      if (isData(source)) count++;
    }
    return count;
  }

  /** The first block ≥ `from` that is data, or a hole; maybe beyond the end. */
  firstBlock(view: View, inode: Inode, from: number, wanted: 'data' | 'hole'): number {
    const wantsData = wanted === 'data';
    const end = Math.ceil(inode.size / this.#blockSize);
    const baseEnd = this.baseBlocks(inode);
    let at = from;
    for (const { index, source } of this.recorded(view, inode, from, end)) {
      // Between two records are the base's blocks; beyond the base there is nothing.
      if (wantsData ? at < Math.min(index, baseEnd) : at < index && baseEnd < index) break;
      if (isData(source) === wantsData) return index;
      at = index + 1;
    }
    if (wantsData) return at < baseEnd ? at : end;
    return Math.max(at, baseEnd);
  }

  /** Where each run of the file's blocks is addressed. */
  runs(view: View, inode: Inode): BlockRun[] {
    const blockSize = this.#blockSize;
    const count = Math.ceil(inode.size / blockSize);
    const runs: BlockRun[] = [];
    for (let first = 0; first < count; first += RUN_BLOCKS) {
      const last = Math.min(first + RUN_BLOCKS, count) - 1;
      for (const [i, source] of this.sources(view, inode, first, last).entries()) {
        const isLayer = source.where !== 'base' && isData(source);
        const where = isLayer ? 'layer' : source.where === 'base' ? 'base' : 'hole';
        const layer = isLayer && 'layer' in source ? source.layer : undefined;
        const offset = (first + i) * blockSize;
        const length = Math.min(blockSize, inode.size - offset);
        const run = runs.at(-1);
        if (run !== undefined && run.where === where && run.layer === layer) run.length += length;
        else runs.push({ offset, length, where, ...(layer !== undefined && { layer }) });
      }
    }
    return runs;
  }
}
