/**
 * What has to be done so that the tree has what the base has at the places that
 * both have changed (`apply --theirs`), as a plan of `restore-plan.ts`.
 *
 * What must hold: the base's version of a place comes whole, under a new inode,
 * so that no byte of the tree's version is left in it; of directories that both
 * have made, the tree keeps what only it has.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fsPath, textOfBytes } from '../../lib/byte-text.js';
import { statOf } from './copy.js';
import { isBelow } from './paths.js';
import type { RestorePlan } from './restore-plan.js';

/** A place in both. Paths are texts. */
export interface Place {
  /** Below the base. */
  path: string;
  /** Below the mountpoint. */
  treePath: string;
}

/** `base` and `root`: the directories of the base and of the tree. */
export function planTake(places: readonly Place[], base: string, root: string): RestorePlan {
  const plan: RestorePlan = { moves: [], removals: [], back: [], fixes: [] };
  const done: string[] = [];
  const take = ({ path, treePath }: Place): void => {
    const theirs = statOf(join(base, path));
    const ours = statOf(join(root, treePath));
    if (theirs?.isDirectory() && ours?.isDirectory()) {
      plan.fixes.push({ path: treePath, details: ['mode'] });
      for (const name of readdirSync(fsPath(join(base, path)), { encoding: 'buffer' })) {
        const child = textOfBytes(name);
        take({ path: join(path, child), treePath: join(treePath, child) });
      }
      return;
    }
    if (ours !== undefined && (theirs === undefined || theirs.isDirectory() || ours.isDirectory()))
      plan.removals.push({ path: treePath, isTree: ours.isDirectory() });
    if (theirs !== undefined) plan.back.push({ path: treePath, isTree: theirs.isDirectory() });
  };
  for (const place of [...places].sort((a, b) => (a.treePath < b.treePath ? -1 : 1))) {
    // What lies below a place comes or goes with it.
    if (isBelow(place.treePath, done)) continue;
    done.push(place.treePath);
    take(place);
  }
  return plan;
}

/** From a path in the tree to the one in the base. Pure. */
export function basePathOf(places: readonly Place[]): (treePath: string) => string {
  const known = new Map(places.map(({ path, treePath }) => [treePath, path]));
  return (treePath) => {
    for (let at = treePath; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      const path = known.get(at);
      if (path !== undefined) return path + treePath.slice(at.length);
    }
    return treePath;
  };
}
