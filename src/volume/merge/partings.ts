/**
 * Where lines of branches part, there is what a merge of the two compares both with (rule M3). A
 * branch keeps the state that it was forked from; when it goes, the branches that were forked from
 * it could not be merged with anything any more. So they keep that state from then on (rule B6).
 */
import { MAIN_BRANCH } from '../branches/branch.js';
import type { BranchRecord, Catalog, MergeRecord } from '../catalog.js';
import type { LayerTree } from '../lineage.js';

/** The branches that are there, and what was merged between them. */
interface Lines {
  layers: LayerTree;
  /** Their open layers, that of `main` included. */
  tops: ReadonlyMap<string, number>;
  records: ReadonlyMap<string, Pick<BranchRecord, 'fork'>>;
  merges: readonly Pick<MergeRecord, 'from'>[];
}

/**
 * Which of the states each branch has to keep, so that it can be merged. Snapshots don't count: they
 * may go at any time.
 */
export function partings(lines: Lines, states: Iterable<number>): Map<string, number[]> {
  const { records, merges } = lines;
  const kept = new Set([...records.values()].map(({ fork }) => fork));
  for (const { from } of merges) kept.add(from);
  const keeps = new Map<string, number[]>();
  for (const state of [...new Set(states)].sort((a, b) => b - a)) {
    if (kept.has(state)) continue;
    const above = linesAbove(state, kept, lines);
    if (new Set(above.values()).size < 2) continue;
    kept.add(state);
    const ofMain = above.get(MAIN_BRANCH);
    for (const [branch, line] of above) {
      if (line !== ofMain && branch !== MAIN_BRANCH)
        keeps.set(branch, [...(keeps.get(branch) ?? []), state]);
    }
  }
  return keeps;
}

/**
 * The branches that come from the state, each with the first kept state above it: those that share
 * one have more in common than this.
 */
function linesAbove(
  state: number,
  kept: ReadonlySet<number>,
  { layers, tops }: Lines,
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

/** `gone`: a branch that is there no more. `tops`: the open layers of the others. */
export function keepPartings(
  catalog: Catalog,
  layers: LayerTree,
  tops: ReadonlyMap<string, number>,
  gone: BranchRecord,
): void {
  const { branches, merges } = catalog;
  const states = [gone, ...branches.values()].flatMap(({ keeps = [] }) => keeps);
  const keeps = partings({ layers, tops, records: branches, merges }, [gone.fork, ...states]);
  for (const [branch, { keeps: before, ...record }] of [...branches]) {
    const now = keeps.get(branch);
    if (now === undefined && before === undefined) continue;
    catalog.putBranch(branch, { ...record, ...(now !== undefined && { keeps: now }) });
  }
}
