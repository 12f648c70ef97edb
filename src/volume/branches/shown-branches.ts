/** The branches as people and programs see them listed, with what each has written since its fork. */
import { BASE_LAYER } from '../../format/records/tables.js';
import { writtenSince } from '../snapshots/since-snapshot.js';
import type { Volume } from '../volume.js';

export interface ShownBranch {
  name: string;
  /** Null: `main`, which was there from the beginning. */
  forkedFrom: { snapshot?: string; branch?: string } | null;
  createdMs: number;
  /** The layer that its live tree writes. */
  layer: number;
  isMounted: boolean;
  /** Where it was merged into, the newest merge last; one for each branch. */
  merges: { into: string; timeMs: number }[];
  /** Files and directories written since the fork; null: `main`. */
  changedFileCount: number | null;
  /** Bytes of the blocks written since the fork, whole blocks each. */
  changedBytes: number | null;
  /** There is more than was counted. */
  isAtLeast: boolean;
}

/** Counted for all branches together: it takes a few milliseconds. */
const COUNTED_MAX = 2_000;
const COUNTED_LEAST = 20;

/** `main` first, the others by name. */
export function shownBranches(volume: Volume): ShownBranch[] {
  const { branches, catalog } = volume;
  const each = Math.ceil(COUNTED_MAX / Math.max(1, catalog.branches.size));
  return branches.names().map((name): ShownBranch => {
    const { number } = branches.openLayer(name);
    const record = catalog.branches.get(name);
    const merges = new Map<string, number>();
    for (const { branch, into, timeMs } of catalog.merges) {
      if (branch !== name) continue;
      merges.delete(into);
      merges.set(into, timeMs);
    }
    const shown = {
      name,
      layer: number,
      isMounted: branches.isMounted(name),
      merges: [...merges].map(([into, timeMs]) => ({ into, timeMs })),
    };
    if (record === undefined) {
      const none = { changedFileCount: null, changedBytes: null, isAtLeast: false };
      return {
        ...shown,
        forkedFrom: null,
        createdMs: volume.layers.get(BASE_LAYER).createdMs,
        ...none,
      };
    }
    const written = writtenSince(volume, number, record.fork, Math.max(each, COUNTED_LEAST));
    return { ...shown, forkedFrom: record.from, createdMs: record.createdMs, ...written };
  });
}
