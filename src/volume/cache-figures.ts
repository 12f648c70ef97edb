/** What a volume keeps in memory, with its bounds. */
import type { CacheFigures } from '../measure/stats-report.js';
import { TXG_BYTES } from './commit/txgs.js';
import { MAX_VIEWS } from './readable-volume.js';
import type { Volume } from './volume.js';

/**
 * Of the branch that is shown, and of what all branches share. Above `pathsMax`, the kernel is
 * asked to forget base files.
 */
export function cacheFigures(volume: Volume, pathsMax: number): CacheFigures[] {
  const { base, basePaths, open, closing } = volume.core;
  const { cache } = volume.live;
  return [
    { name: 'inodes', count: cache.size, maxCount: 2 * cache.generation },
    { name: 'snapshot views', count: volume.viewCount, maxCount: MAX_VIEWS },
    ...(base === undefined
      ? []
      : [{ name: 'base paths', count: basePaths.size, maxCount: pathsMax }]),
    ...(base?.caches() ?? []),
    // A full txg closes at once, and no other begins before it is stored.
    {
      name: 'not stored yet',
      sizeBytes: open.bytes + (closing?.bytes ?? 0),
      maxBytes: 2 * TXG_BYTES,
    },
  ];
}
