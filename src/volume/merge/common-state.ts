/**
 * Which state two trees have in common: what a merge compares both with
 * (format.md, rules M2, M3). Layers have a parent, and the layer that a merge
 * made comes from the merged one, too; among the states that both come from,
 * the newest one that is kept whole is taken.
 */
import type { Catalog } from '../catalog.js';
import type { LayerTree } from '../lineage.js';

/** All layers that a layer comes from, itself included. */
export function ancestors(catalog: Catalog, layers: LayerTree, top: number): Set<number> {
  const all = new Set<number>();
  const left = [top];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (!layers.has(next)) continue;
    for (const layer of layers.path(next)) {
      if (all.has(layer)) break;
      all.add(layer);
      for (const merge of catalog.merges) if (merge.layer === layer) left.push(merge.from);
    }
  }
  return all;
}

/** States that the collector leaves whole: names, forks, and what was merged. */
function keptStates(catalog: Catalog): Set<number> {
  const kept = new Set<number>();
  for (const { layer } of catalog.snapshots.values()) kept.add(layer);
  for (const { fork, keeps = [] } of catalog.branches.values()) {
    for (const layer of [fork, ...keeps]) kept.add(layer);
  }
  for (const { from } of catalog.merges) kept.add(from);
  return kept;
}

/** Undefined: they have nothing in common. */
export function commonState(
  catalog: Catalog,
  layers: LayerTree,
  ours: number,
  theirs: number,
): number | undefined {
  const here = ancestors(catalog, layers, ours);
  const kept = keptStates(catalog).add(ours).add(theirs);
  let newest: number | undefined;
  for (const layer of ancestors(catalog, layers, theirs)) {
    if (!here.has(layer) || !kept.has(layer)) continue;
    if (newest === undefined || layer > newest) newest = layer;
  }
  return newest;
}
