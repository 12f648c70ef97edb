/** Where a file's bytes are addressed, as runs: for people and for `user.shadowfs.runs`. */
import type { BlockMap } from './block-map.js';
import type { Inode } from '../inode.js';
import type { View } from '../view.js';

export interface BlockRun {
  /** Bytes. */
  offset: number;
  length: number;
  where: 'layer' | 'base' | 'hole';
  /** The layer that wrote the run's blocks, for 'layer'. */
  layer?: number;
}

/** Blocks looked up at a time. */
const PIECE_BLOCKS = 1024;

export function blockRuns(map: BlockMap, view: View, inode: Inode): BlockRun[] {
  const { blockSize } = map.core.options;
  const count = Math.ceil(inode.size / blockSize);
  const runs: BlockRun[] = [];
  for (let first = 0; first < count; first += PIECE_BLOCKS) {
    const last = Math.min(first + PIECE_BLOCKS, count) - 1;
    for (const [i, source] of map.sources(view, inode, first, last).entries()) {
      const isLayer = source.where !== 'base' && map.isData(source);
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
