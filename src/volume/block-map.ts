/**
 * Which version of a block a view reads (rules D4, F1; Fig 10 of the seeds in
 * one seek): groups in memory, LMDB, base, hole. Pure look-up; changes nothing.
 */
import { blockIndexOf, blockKey, layerOf, stepOf } from '../format/keys.js';
import { MAX_LAYER, MAX_STEP, TABLE } from '../format/tables.js';
import { BLOCK_HEADER_LENGTH, BLOCK_HOLE, blockBytes } from '../format/values.js';
import type { VolumeCore } from './core.js';
import type { Inode } from './inode.js';
import type { View } from './view.js';

/** Foreign or older versions stepped over before a new seek jumps them. */
const MAX_STEPPED = 6;

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
  isClipped(inode: Inode, index: number, layer: number, step: number): boolean {
    const offset = index * this.#blockSize;
    for (const clip of inode.clips) {
      if (clip.size > offset) continue;
      if (layer < clip.layer || (layer === clip.layer && step < clip.step)) return true;
    }
    return false;
  }

  /** How far base bytes count, in bytes: the base's size, cut by every clip. */
  baseEnd(inode: Inode): number {
    if (inode.base === undefined || !inode.isRegular) return 0;
    let end = inode.base.size;
    for (const clip of inode.clips) end = Math.min(end, this.#roundUp(clip.size));
    return Math.min(end, inode.base.size);
  }

  /** A clip's partial last block was rewritten, so base bytes end at a block. */
  #roundUp(size: number): number {
    return Math.ceil(size / this.#blockSize) * this.#blockSize;
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
    for (const changes of this.core.sections(view)) {
      const blocks = changes.files.get(inode.ino);
      if (blocks === undefined) continue;
      for (let index = first; index <= last; index++) {
        const block = blocks.get(index);
        if (block === undefined || found[index - first] !== undefined) continue;
        if (this.isClipped(inode, index, changes.layer, block.step)) {
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
    const { reader } = this.core;
    const end = blockKey(view.fileset, inode.ino, last + 1, MAX_LAYER, MAX_STEP);
    let start: Buffer | undefined = blockKey(view.fileset, inode.ino, first, view.top, MAX_STEP);
    while (start !== undefined) {
      let next: Buffer | undefined;
      let stepped = 0;
      for (const { key } of reader.range(TABLE.blocks, start, end, { keysOnly: true })) {
        const index = blockIndexOf(key);
        const layer = layerOf(TABLE.blocks, key);
        const isSettled = found[index - first] !== undefined;
        if (!isSettled && view.includes(layer)) {
          const source: BlockSource = this.isClipped(inode, index, layer, stepOf(key))
            ? { where: 'none' }
            : { where: 'stored', layer, key: Buffer.from(key) };
          settle(index, source);
          stepped = 0;
          continue;
        }
        if (++stepped < MAX_STEPPED) continue;
        const below = isSettled ? 0 : view.lineage.floor(layer);
        next =
          below === 0
            ? blockKey(view.fileset, inode.ino, index + 1, view.top, MAX_STEP)
            : blockKey(view.fileset, inode.ino, index, below, MAX_STEP);
        break;
      }
      start = next !== undefined && next.compare(end) < 0 ? next : undefined;
    }
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

  /** Indices ≥ `from` that have any record visible or not, or base bytes; ascending, unique. */
  candidates(view: View, inode: Inode, from: number): number[] {
    const indices = new Set<number>();
    for (const changes of this.core.sections(view)) {
      for (const index of changes.files.get(inode.ino)?.keys() ?? []) {
        if (index >= from) indices.add(index);
      }
    }
    if (inode.dataLayer !== 0 && !this.core.isInMemoryOnly(inode.ino)) {
      const start = blockKey(view.fileset, inode.ino, from, MAX_LAYER, MAX_STEP);
      const end = blockKey(view.fileset, inode.ino + 1, 0, MAX_LAYER, MAX_STEP);
      for (const { key } of this.core.reader.range(TABLE.blocks, start, end, { keysOnly: true })) {
        indices.add(blockIndexOf(key));
      }
    }
    const baseBlocks = Math.ceil(this.baseEnd(inode) / this.#blockSize);
    for (let index = from; index < baseBlocks; index++) indices.add(index);
    return [...indices].sort((a, b) => a - b);
  }
}
