/**
 * What has to be done so that some paths of the live tree are again as they were
 * in a snapshot, from the changes since then (`diff`). Pure.
 *
 * What must hold: nothing outside the paths changes, but for directories that
 * have to be made on the way to them; a path becomes exactly what it was, so
 * what is new below it goes; files and directories that are still there keep
 * their inodes, also when they were renamed below the paths.
 *
 * Two kinds of paths: *live* ones, before anything is done, and *old* ones, as
 * in the snapshot, which all steps but removals name.
 */
import type { DiffChange } from '../../daemon/commands/inspect.js';
import { isBelow } from './paths.js';

export interface RestorePlan {
  /** From live paths to old ones. */
  moves: { from: string; to: string }[];
  /** Live paths, what lies below a directory before it. */
  removals: { path: string; isTree: boolean }[];
  /**
   * Old paths to be brought back, directories before what lies in them. `linkedTo`: a name that the
   * file still has when the moves are done.
   */
  back: { path: string; isTree: boolean; linkedTo?: string }[];
  /** Old paths whose content or attributes differ. */
  fixes: { path: string; details: readonly string[] }[];
}

const byPath = (a: { path: string }, b: { path: string }): number =>
  a.path < b.path ? -1 : a.path > b.path ? 1 : 0;

/** Turns a live path into the old one, where directories above it were renamed. */
function oldPathsOf(changes: readonly DiffChange[]): (path: string) => string {
  const renamed = new Map<string, string>();
  for (const { kind, type, path, oldPath } of changes) {
    if (kind === 'renamed' && type === 'directory') renamed.set(path, oldPath ?? path);
  }
  return (path) => {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const old = renamed.get(path.slice(0, at));
      if (old !== undefined) return old + path.slice(at);
    }
    return path;
  };
}

/** `changes`: from the snapshot to the live tree, not folded. `paths`: '' is the root. */
export function planRestore(changes: readonly DiffChange[], paths: readonly string[]): RestorePlan {
  const plan: RestorePlan = { moves: [], removals: [], back: [], fixes: [] };
  const within = (path: string): boolean => isBelow(path, paths);
  const oldOf = oldPathsOf(changes);
  for (const change of changes) {
    const { kind, path, type, linkedTo } = change;
    const linked = linkedTo === undefined ? {} : { linkedTo };
    if (kind === 'added') {
      if (within(path)) plan.removals.push({ path, isTree: false });
    } else if (kind === 'removed') {
      if (within(path)) plan.back.push({ path, isTree: false, ...linked });
    } else if (kind === 'renamed') {
      planRenamed(plan, change, within, oldOf);
    } else {
      const old = oldOf(path);
      if (!within(path) || !within(old)) continue;
      const details = change.details ?? [];
      const isOther = change.inode !== change.oldInode && type !== 'directory';
      if (details.includes('type')) plan.removals.push({ path, isTree: false });
      if (details.includes('type') || isOther)
        plan.back.push({ path: old, isTree: false, ...linked });
      else plan.fixes.push({ path: old, details });
    }
  }
  return tidy(plan);
}

function planRenamed(
  plan: RestorePlan,
  { path, oldPath = path, type, details = [], linkedTo }: DiffChange,
  within: (path: string) => boolean,
  oldOf: (path: string) => string,
): void {
  const isTree = type === 'directory';
  if (within(path) && within(oldPath)) {
    plan.moves.push({ from: path, to: oldPath });
    const others = details.filter((detail) => detail !== 'replaced');
    if (others.length > 0) plan.fixes.push({ path: oldPath, details: others });
  } else if (within(oldPath)) {
    plan.back.push({ path: oldPath, isTree, ...(!isTree && { linkedTo: path }) });
  }
  if (within(path) && !within(oldPath)) plan.removals.push({ path, isTree });
  // It took the place of something that is gone.
  const place = oldOf(path);
  if (details.includes('replaced') && within(path) && within(place)) {
    plan.back.push({ path: place, isTree: false, ...(linkedTo !== undefined && { linkedTo }) });
  }
}

function tidy({ moves, removals, back, fixes }: RestorePlan): RestorePlan {
  const gone = removals.filter(({ isTree }) => isTree).map(({ path }) => path);
  const trees = back.filter(({ isTree }) => isTree).map(({ path }) => path);
  const afterMoves = (path: string): string => {
    const move = [...moves]
      .sort((a, b) => b.from.length - a.from.length)
      .find(({ from }) => isBelow(path, [from]));
    return move === undefined ? path : move.to + path.slice(move.from.length);
  };
  const isBelowOne = (path: string, tops: readonly string[]): boolean =>
    tops.some((top) => path !== top && isBelow(path, [top]));
  return {
    moves: [...moves].sort((a, b) => (a.to < b.to ? -1 : 1)),
    removals: removals
      .filter(({ path }) => !isBelowOne(path, gone))
      .sort(byPath)
      .reverse(),
    back: back
      .filter(({ path }) => !isBelowOne(path, trees))
      .map(({ linkedTo, ...one }) =>
        linkedTo === undefined ? one : { ...one, linkedTo: afterMoves(linkedTo) },
      )
      .sort(byPath),
    fixes: [...fixes].sort(byPath),
  };
}

export function isEmptyPlan({ moves, removals, back, fixes }: RestorePlan): boolean {
  return moves.length + removals.length + back.length + fixes.length === 0;
}

/** How a restore tells what it does: `+` comes back, `-` goes, `M` and `R` as in `diff`. */
export interface RestoreLine {
  kind: 'back' | 'removed' | 'changed' | 'renamed';
  path: string;
  /** Renamed back: from where. */
  oldPath?: string;
  details?: readonly string[];
}

export function restoreLines({ moves, removals, back, fixes }: RestorePlan): RestoreLine[] {
  const came = new Set(back.map(({ path }) => path));
  const lines: RestoreLine[] = [
    ...moves.map(({ from, to }) => ({ kind: 'renamed' as const, path: to, oldPath: from })),
    ...removals
      .filter(({ path }) => !came.has(path))
      .map(({ path }) => ({ kind: 'removed' as const, path })),
    ...back.map(({ path }) => ({ kind: 'back' as const, path })),
    ...fixes.map(({ path, details }) => ({ kind: 'changed' as const, path, details })),
  ];
  return lines.sort(byPath);
}
