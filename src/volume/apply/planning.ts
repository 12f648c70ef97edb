/**
 * The whole of what comes before anything is touched: names that differ, the
 * plan, names that no record knows, conflicts.
 */
import v8 from 'node:v8';
import { isWithin } from '../../lib/paths.js';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { Work } from '../../lib/work.js';
import { isBaseNumber, ROOT_INODE } from '../../format/records/tables.js';
import { DIRECTORY_TYPE } from '../../lib/file-mode.js';
import type { BaseDirectory } from '../../base/base-directory.js';
import { joinPath } from '../names/inode-reader.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';
import { appliedParts } from './applied.js';
import { BaseComparison } from './compare-base.js';
import { stagingName } from './journal.js';
import { shown } from './obstacle-text.js';
import { type ApplyPlan, type Made, Planner } from './plan.js';
import { type Ancestor, type Slot, Slots } from './slots.js';

export function ancestorsOf(volume: ReadableVolume): Ancestor[] {
  return appliedParts(volume).map(({ path, layer }) => ({ path, view: volume.viewAt(layer) }));
}

export function requireBase(volume: ReadableVolume): BaseDirectory {
  const { base } = volume;
  if (base !== undefined) return base;
  throw new CommandError('no-base', 'EINVAL', 'the volume has no base to apply changes to');
}

const AT_ONCE = 256;

export interface Planned {
  slots: Slots;
  plan: ApplyPlan;
  comparison: BaseComparison;
}

export function* planned(
  volume: ReadableVolume,
  target: View,
  paths: readonly string[],
): Work<Planned> {
  const base = requireBase(volume);
  const ancestors = ancestorsOf(volume);
  for (const path of paths)
    requirePath(volume, [target, ...ancestors.map(({ view }) => view)], path);
  let seen = 0;
  const slots = new Slots(volume, ancestors, target, paths, () => {
    if (++seen % LOOKS_EVERY === 0) refuseTooMany(seen);
  });
  yield* slots.collect();
  if (paths.length > 0) yield* restrict(slots, paths);
  refuseTooMany(slots.slots.length + slots.touched.size, slots.touched.size * CHANGE_BYTES);
  const planner = new Planner(volume, slots, target, stagingName(volume.uuid));
  const plan = yield* planner.make();
  yield* addHiddenLinks(volume, slots, plan, target);
  yield* planner.finish();
  const comparison = new BaseComparison(volume, base, slots, target, plan);
  yield* comparison.conflicted();
  return { slots, plan, comparison };
}

/** Changes found between two looks at the memory. */
const LOOKS_EVERY = 4096;
/** What the plan of one change takes, about. */
const CHANGE_BYTES = 1800;
/** This part of the thread's memory may be in use. */
const MEMORY_PART = 0.8;

/** A thread whose memory is full ends, and the mount with it. `moreBytes`: will be needed, too. */
function refuseTooMany(count: number, moreBytes = 0): void {
  const { used_heap_size: usedBytes, heap_size_limit: limitBytes } = v8.getHeapStatistics();
  if (usedBytes + moreBytes < limitBytes * MEMORY_PART) return;
  throw new CommandError(
    'apply-too-large',
    'ENOMEM',
    `${count} changes or more are too many for one apply: apply parts, one after the other ` +
      '(shadowfs apply PATH…); nothing was changed',
    { changeCount: count },
  );
}

/** In the tree, or in the base before. Throws `no-such-file`. */
function requirePath(volume: ReadableVolume, views: readonly View[], path: string): void {
  const isIn = (view: View): boolean => {
    let inode = volume.inode(view, ROOT_INODE);
    for (const name of path.split('/')) inode = inode && volume.lookup(view, inode, name);
    return inode !== undefined;
  };
  if (path === '' || views.some(isIn)) return;
  throw new CommandError(
    'no-such-file',
    'ENOENT',
    `${shownName(shown(path))} is neither in the tree nor in the base; nothing was changed`,
    { path: shown(path) },
  );
}

/** Keeps what lies below the paths, and the new directories that lead there. */
function* restrict(slots: Slots, paths: readonly string[]): Work<void> {
  const isWanted = (path: string | undefined): boolean =>
    path !== undefined && paths.some((top) => isWithin(path, top));
  const isIn = ({ beforePath, afterPath }: Slot): boolean =>
    isWanted(beforePath) || isWanted(afterPath);
  const wanted = new Set(slots.slots.filter(isIn));
  const isOther = (slot: Slot): boolean => !wanted.has(slot);
  const byChild = new Map(
    slots.slots.flatMap((slot) => (slot.after?.isDirectory ? [[slot.after.ino, slot]] : [])) as [
      number,
      Slot,
    ][],
  );
  for (const slot of [...wanted]) {
    for (let above = byChild.get(slot.directory); above !== undefined; ) {
      if (slots.before((above.after as { ino: number }).ino) !== undefined) {
        throw incomplete(above.afterPath as string, 'its directory was renamed');
      }
      wanted.add(above);
      above = byChild.get(above.directory);
    }
  }
  const lost = new Set([...wanted].map(({ before }) => before?.ino));
  const got = new Set([...wanted].map(({ after }) => after?.ino));
  let seen = 0;
  for (const { before, after, beforePath, afterPath } of slots.slots.filter(isOther)) {
    if (++seen % AT_ONCE === 0) yield undefined;
    const isMoved =
      (after !== undefined && lost.has(after.ino)) || (before !== undefined && got.has(before.ino));
    if (isMoved) throw incomplete((afterPath ?? beforePath) as string, 'it was moved');
  }
  slots.slots = [...wanted];
  for (const ino of [...slots.touched]) {
    if (++seen % AT_ONCE === 0) yield undefined;
    if (!slots.beforePaths(ino).some(isWanted)) slots.touched.delete(ino);
  }
}

function incomplete(path: string, why: string): CommandError {
  return new CommandError(
    'apply-incomplete',
    'EINVAL',
    `${shownName(shown(path))} belongs to what is to be applied (${why}): name it, too, or apply everything`,
    { path: shown(path) },
  );
}

/**
 * A base file that is made anew may have names that its record does not know, since nobody looked
 * them up: the base is searched for them.
 */
function* addHiddenLinks(
  volume: ReadableVolume,
  slots: Slots,
  plan: ApplyPlan,
  target: View,
): Work<void> {
  const made = yield* withHiddenLinks(plan);
  if (made.size === 0 && plan.unnamed.size === 0) return;
  const taken = new Set(plan.slots.map(({ directory, name }) => `${directory}/${name}`));
  const staging = stagingName(volume.uuid);
  const left = [{ path: '', ino: ROOT_INODE }];
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    const directory = volume.inode(target, at.ino);
    if (directory === undefined) continue;
    const names: { name: string; ino: number; type: number }[] = [];
    volume.list(target, directory, 0, (name, ino, type) => names.push({ name, ino, type }) > 0);
    for (const { name, ino, type } of names) {
      if (plan.unnamed.has(ino)) plan.found.set(ino, joinPath(at.path, name));
      const remade = made.get(ino);
      if (remade !== undefined && !taken.has(`${at.ino}/${name}`)) {
        addName(volume, slots, plan, target, { directory: at.ino, name, made: remade });
      }
      if (type !== DIRECTORY_TYPE || name === staging) continue;
      if (volume.inodeForListing(target, directory, name, ino) === undefined) continue;
      left.push({ path: joinPath(at.path, name), ino });
    }
    yield undefined;
  }
}

/** Files that are made anew and have more names than those known. */
function* withHiddenLinks(plan: ApplyPlan): Work<Map<number, Made>> {
  const named = new Set(plan.slots.map(({ after }) => after?.ino));
  const found = new Map<number, Made>();
  let seen = 0;
  for (const made of plan.made) {
    if (++seen % AT_ONCE === 0) yield undefined;
    const { ino, nlink } = made.inode;
    const known = named.has(ino) ? 1 + made.links.length : 0;
    if (isBaseNumber(ino) && nlink > known) found.set(ino, made);
  }
  return found;
}

function addName(
  volume: ReadableVolume,
  slots: Slots,
  plan: ApplyPlan,
  target: View,
  { directory, name, made }: { directory: number; name: string; made: Made },
): void {
  const { ino } = made.inode;
  const before = slots.before(ino);
  const after = slots.after(ino);
  if (before === undefined || after === undefined) return;
  const above = directory === ROOT_INODE ? '' : volume.paths.of(target, directory);
  const [below] = directory === ROOT_INODE ? [''] : slots.beforePaths(directory);
  if (above === undefined || below === undefined) return;
  const slot: Slot = {
    directory,
    name,
    beforePath: joinPath(below, name),
    afterPath: joinPath(above, name),
    before,
    after,
  };
  plan.slots.push(slot);
  plan.directories.add(directory);
  // Beside what else is staged: the file may be made in a new directory, which moves before it does.
  const at = `${stagingName(volume.uuid)}/h${plan.placements.length}`;
  made.links.push(at);
  plan.placements.push({ ino, from: at, to: slot.afterPath as string, slot, isKept: false });
}
