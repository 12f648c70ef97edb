/**
 * Where lines of branches part, there is what a merge of the two compares both with (rule M3). A
 * branch keeps the state that it was forked from; when it goes, the branches that were forked from
 * it could not be merged with anything any more. So they keep that state from then on (rule B6).
 */
import { MAIN_BRANCH } from '../branches/branch.js';
import type { Catalog } from '../catalog.js';
import type { LayerTree } from '../lineage.js';
import { keptStates } from './common-state.js';

/**
 * `going`: states that a branch kept which is there no more. `tops`: the others' open layers. What
 * the others kept for it alone goes, too.
 */
export function keepPartings(
  catalog: Catalog,
  layers: LayerTree,
  tops: ReadonlyMap<string, number>,
  going: readonly number[],
): void {
  const states = new Set(going);
  for (const [branch, { keeps, ...record }] of [...catalog.branches]) {
    if (keeps === undefined) continue;
    for (const state of keeps) states.add(state);
    catalog.putBranch(branch, record);
  }
  const kept = keptStates(catalog);
  for (const state of [...states].sort((a, b) => b - a)) {
    if (kept.has(state)) continue;
    const lines = linesAbove(state, kept, layers, tops);
    if (new Set(lines.values()).size < 2) continue;
    kept.add(state);
    const ofMain = lines.get(MAIN_BRANCH);
    for (const [branch, line] of lines) {
      const record = catalog.branches.get(branch);
      if (line === ofMain || record === undefined) continue;
      catalog.putBranch(branch, { ...record, keeps: [...(record.keeps ?? []), state] });
    }
  }
}

/**
 * The branches that come from the state, each with the first kept state above it: those that share
 * one have more in common than this.
 */
function linesAbove(
  state: number,
  kept: ReadonlySet<number>,
  layers: LayerTree,
  tops: ReadonlyMap<string, number>,
): Map<string, number> {
  const lines = new Map<string, number>();
  for (const [branch, top] of tops) {
    const path = layers.path(top);
    const at = path.indexOf(state);
    if (at < 0) continue;
    lines.set(branch, path.slice(0, at).findLast((layer) => kept.has(layer)) ?? top);
  }
  return lines;
}
