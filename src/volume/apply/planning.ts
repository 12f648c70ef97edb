/**
 * The whole of what comes before anything is touched: names that differ, the
 * plan, names that no record knows, conflicts.
 */
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
import { type ApplyPlan, Planner } from './plan.js';
import { type Ancestor, isWithin, type Slot, Slots } from './slots.js';

export function ancestorsOf(volume: ReadableVolume): Ancestor[] {
  return appliedParts(volume).map(({ path, layer }) => ({ path, view: volume.viewAt(layer) }));
}

export function requireBase(volume: ReadableVolume): BaseDirectory {
  const { base } = volume;
  if (base !== undefined) return base;
  throw new CommandError('no-base', 'EINVAL', 'the volume has no base to apply changes to');
}

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
  const slots = new Slots(volume, ancestorsOf(volume), target);
  yield* slots.collect();
  if (paths.length > 0) restrict(slots, paths);
  const planner = new Planner(volume, slots, target, stagingName(volume.uuid));
  const plan = yield* planner.make();
  yield* addHiddenLinks(volume, slots, plan, target);
  planner.finish();
  const comparison = new BaseComparison(volume, base, slots, target, plan);
  yield* comparison.conflicted();
  return { slots, plan, comparison };
}

/** Keeps what lies below the paths, and the new directories that lead there. */
function restrict(slots: Slots, paths: readonly string[]): void {
  const isWanted = (path: string | undefined): boolean =>
    path !== undefined && paths.some((top) => isWithin(path, top));
  const isIn = ({ beforePath, afterPath }: Slot): boolean =>
    isWanted(beforePath) || isWanted(afterPath);
  const wanted = new Set(slots.slots.filter(isIn));
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
  for (const slot of slots.slots) {
    if (wanted.has(slot)) continue;
    const ino = slot.before?.ino ?? slot.after?.ino;
    const other = [...wanted].find(
      ({ before, after }) =>
        (before !== undefined && before.ino === slot.after?.ino) ||
        (after !== undefined && after.ino === slot.before?.ino),
    );
    if (ino !== undefined && other !== undefined) {
      throw incomplete((slot.afterPath ?? slot.beforePath) as string, 'it was moved');
    }
  }
  slots.slots.splice(0, slots.slots.length, ...wanted);
  for (const ino of [...slots.touched]) {
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
  /** Where it is made; '' for files that are kept. */
  const wanted = new Map([...plan.unnamed].map((ino) => [ino, '']));
  for (const { inode, at, links } of plan.made) {
    const known = plan.slots.some(({ after }) => after?.ino === inode.ino) ? 1 + links.length : 0;
    if (isBaseNumber(inode.ino) && inode.nlink > known) wanted.set(inode.ino, at);
  }
  if (wanted.size === 0) return;
  const staging = stagingName(volume.uuid);
  const left = [{ path: '', ino: ROOT_INODE }];
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    const directory = volume.inode(target, at.ino);
    if (directory === undefined) continue;
    const names: { name: string; ino: number; type: number }[] = [];
    volume.list(target, directory, 0, (name, ino, type) => names.push({ name, ino, type }) > 0);
    for (const { name, ino, type } of names) {
      if (plan.unnamed.has(ino)) plan.found.set(ino, joinPath(at.path, name));
      if (wanted.has(ino)) addName(volume, slots, plan, target, { directory: at.ino, name, ino });
      if (type !== DIRECTORY_TYPE || name === staging) continue;
      if (volume.inodeForListing(target, directory, name, ino) === undefined) continue;
      left.push({ path: joinPath(at.path, name), ino });
    }
    yield undefined;
  }
}

function addName(
  volume: ReadableVolume,
  slots: Slots,
  plan: ApplyPlan,
  target: View,
  { directory, name, ino }: { directory: number; name: string; ino: number },
): void {
  if (plan.slots.some((slot) => slot.directory === directory && slot.name === name)) return;
  const before = slots.before(ino);
  const after = slots.after(ino);
  const made = plan.made.find(({ inode }) => inode.ino === ino);
  if (before === undefined || after === undefined || made === undefined) return;
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
  const at = `${made.at}.${made.links.length}`;
  made.links.push(at);
  plan.placements.push({ ino, from: at, to: slot.afterPath as string, slot, isKept: false });
}
