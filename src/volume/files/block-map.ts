/**
 * Which version of a block a view reads (rules D4, F1; Fig 10 of
 * native-notes/design.md in one seek): groups in memory, LMDB, base, hole. Pure
 * look-up; changes nothing.
 */
import { clippedBase, isClipped } from '../../format/clips.js';
import { blockIndexOf, blockKey, layerOf, stepOf } from '../../format/records/keys.js';
import { MAX_LAYER, MAX_STEP, TABLE } from '../../format/records/tables.js';
import { BLOCK_HEADER_LENGTH, BLOCK_HOLE, blockBytes } from '../../format/records/values.js';
import type { StoredVersion, VolumeCore } from '../core.js';
import type { Inode } from '../inode.js';
import { storedVersions } from './stored-versions.js';
import type { View } from '../view.js';

/** So many blocks of a sparse file are counted when it is cut. */
export const COUNTED_BLOCKS = 4096;

export type BlockSource =
  | { where: 'memory'; layer: number; bytes: Buffer }
  | { where: 'stored'; layer: number; key: Buffer }
  | { where: 'hole'; layer: number }
  | { where: 'base' }
  | { where: 'none' };

export class BlockMap {
  constructor(readonly core: VolumeCore) {}

  get #blockSize(): number {
    return this.core.options.blockSize;
  }

  /** True when a version written at (layer, step) is cut off at this index. */
  #isClipped({ clips }: Inode, index: number, layer: number, step: number): boolean {
    return clips.length > 0 && isClipped(clips, index * this.#blockSize, layer, step);
  }

  /** How far base bytes count, in bytes: the base's size, cut by every clip. */
  baseEnd(inode: Inode): number {
    if (inode.base === undefined || !inode.isRegular) return 0;
    return clippedBase(inode.clips, inode.base.size, this.#blockSize);
  }

  /** Sources of the blocks first … last (inclusive) as the view sees them. */
  sources(view: View, inode: Inode, first: number, last: number): BlockSource[] {
    const found = new Array<BlockSource | undefined>(last - first + 1).fill(undefined);
    let missing = last - first + 1;
    const settle = (index: number, source: BlockSource): void => {
      if (found[index - first] === undefined) {
        found[index - first] = source;
        missing--;
      }
    };
    for (const changes of this.core.pendingChanges(view)) {
      const blocks = changes.files.get(inode.ino);
      if (blocks === undefined) continue;
      for (let index = first; index <= last; index++) {
        const block = blocks.get(index);
        if (block === undefined || found[index - first] !== undefined) continue;
        if (this.#isClipped(inode, index, changes.layer, block.step)) {
          settle(index, { where: 'none' });
        } else if (block.hole) {
          settle(index, { where: 'hole', layer: changes.layer });
        } else {
          const bytes = block.room.subarray(
            BLOCK_HEADER_LENGTH,
            BLOCK_HEADER_LENGTH + block.length,
          );
          settle(index, { where: 'memory', layer: changes.layer, bytes });
        }
      }
    }
    if (missing > 0 && inode.dataLayer !== 0 && !this.core.isInMemoryOnly(inode.ino)) {
      this.#fromStore(view, inode, first, last, found, settle);
    }
    const baseEnd = this.baseEnd(inode);
    return found.map((source, i): BlockSource => {
      if (source !== undefined) return source;
      const inBase = (first + i) * this.#blockSize < baseEnd;
      return inBase ? { where: 'base' } : { where: 'none' };
    });
  }

  #fromStore(
    view: View,
    inode: Inode,
    first: number,
    last: number,
    found: readonly (BlockSource | undefined)[],
    settle: (index: number, source: BlockSource) => void,
  ): void {
    for (const { key, layer } of this.#stored(view, inode, first, last + 1)) {
      const index = blockIndexOf(key);
      if (found[index - first] !== undefined) continue;
      const isClipped = this.#isClipped(inode, index, layer, stepOf(key));
      settle(index, isClipped ? { where: 'none' } : { where: 'stored', layer, key });
    }
  }

  /** The versions in LMDB of the blocks from … end-1; keys only. */
  #stored(view: View, inode: Inode, from: number, end: number): Generator<StoredVersion> {
    const start = blockKey(view.fileset, inode.ino, from, view.top, MAX_STEP);
    const stop = Number.isFinite(end)
      ? blockKey(view.fileset, inode.ino, end, MAX_LAYER, MAX_STEP)
      : blockKey(view.fileset, inode.ino + 1, 0, MAX_LAYER, MAX_STEP);
    const options = { keysOnly: true };
    return storedVersions(this.core.reader, view, TABLE.blocks, start, stop, options);
  }

  source(view: View, inode: Inode, index: number): BlockSource {
    return this.sources(view, inode, index, index)[0] as BlockSource;
  }

  /** Bytes of a stored block, checked; undefined for a hole. Valid until the next read. */
  storedBytes(inode: Inode, key: Buffer): Buffer | undefined {
    const value = this.core.reader.get(TABLE.blocks, key);
    const index = blockIndexOf(key);
    const where = `inode ${inode.ino} block ${index} layer ${layerOf(TABLE.blocks, key)}`;
    return blockBytes(value ?? Buffer.alloc(0), where);
  }

  /** True when the source has bytes (not a hole, not beyond everything). */
  isData(source: BlockSource): boolean {
    if (source.where === 'stored') {
      const value = this.core.reader.get(TABLE.blocks, source.key);
      return value !== undefined && value[0] !== BLOCK_HOLE;
    }
    return source.where === 'memory' || source.where === 'base';
  }

  /** Indices from … end-1 that have a record in the view, clipped or not; ascending. */
  *recorded(
    view: View,
    inode: Inode,
    from: number,
    end = Number.POSITIVE_INFINITY,
  ): Generator<number> {
    const indices = new Set<number>();
    for (const changes of this.core.pendingChanges(view)) {
      for (const index of changes.files.get(inode.ino)?.keys() ?? []) {
        if (index >= from && index < end) indices.add(index);
      }
    }
    const inMemory = [...indices].sort((a, b) => a - b);
    let i = 0;
    if (inode.dataLayer !== 0 && !this.core.isInMemoryOnly(inode.ino)) {
      for (const { key } of this.#stored(view, inode, from, end)) {
        const index = blockIndexOf(key);
        while (i < inMemory.length && (inMemory[i] as number) < index)
          yield inMemory[i++] as number;
        if (inMemory[i] === index) i++;
        yield index;
      }
    }
    while (i < inMemory.length) yield inMemory[i++] as number;
  }

  /** How many blocks, from the first, have base bytes where nothing else is recorded. */
  baseBlocks(inode: Inode): number {
    return Math.ceil(this.baseEnd(inode) / this.#blockSize);
  }

  /** How many of the first `end` blocks are data. Looks at each that has a record. */
  dataBlocks(view: View, inode: Inode, end: number): number {
    const inBase = Math.min(end, this.baseBlocks(inode));
    let count = inBase;
    for (const index of this.recorded(view, inode, 0, end)) {
      if (index < inBase) count--;
      if (this.isData(this.source(view, inode, index))) count++;
    }
    return count;
  }

  /** The first block ≥ `from` that is data, or a hole; maybe beyond the end. */
  firstBlock(view: View, inode: Inode, from: number, wanted: 'data' | 'hole'): number {
    const wantsData = wanted === 'data';
    const end = Math.ceil(inode.size / this.#blockSize);
    const baseEnd = this.baseBlocks(inode);
    let at = from;
    for (const index of this.recorded(view, inode, from, end)) {
      // What lies between two records is the base's, and beyond the base nothing.
      if (wantsData ? at < Math.min(index, baseEnd) : at < index && baseEnd < index) break;
      if (this.isData(this.source(view, inode, index)) === wantsData) return index;
      at = index + 1;
    }
    if (wantsData) return at < baseEnd ? at : end;
    return Math.max(at, baseEnd);
  }
}
