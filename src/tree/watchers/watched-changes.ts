/**
 * Which touches tell watching programs what differs between the view that they
 * saw last and the live tree: for each changed name in a watched directory, and
 * each changed file that is watched itself or through its directory.
 */
import { S_IFMT } from '../../lib/file-mode.js';
import type { Inode } from '../../volume/inode.js';
import type { View } from '../../volume/view.js';
import { ROOT_INO } from '../nodes/hidden-names.js';
import { ifReadable } from '../if-readable.js';
import type { TreeContext } from '../tree-context.js';
import type { ViewChange } from '../tree-volume.js';
import type { Touch } from './touch.js';
import type { Watched } from './watched.js';

const ANY_EXECUTE = 0o111;
const OWNER_AND_MODE = ['mode', 'uid', 'gid'] as const;

/** `undefined`: nothing to tell of this change; the caller may do something else in between. */
export function* watchedChanges(
  context: TreeContext,
  from: View,
  to: View,
  watched: Watched,
): Generator<Touch | undefined> {
  const { volume } = context;
  for (const change of volume.changes(from, to)) {
    yield* ifReadable(() => [...touchesOf(context, from, change, watched)]) ?? [];
    yield undefined;
  }
}

function* touchesOf(
  context: TreeContext,
  from: View,
  change: ViewChange,
  watched: Watched,
): Generator<Touch> {
  if (change.kind === 'inode') yield* inodeChange(context, from, change.ino, watched);
  else if (watched.has(change.directory)) {
    yield* nameChange(context, from, change.directory, change.name);
  }
}

function* nameChange(
  context: TreeContext,
  from: View,
  directory: number,
  name: string,
): Generator<Touch> {
  const { volume, hidden } = context;
  if (hidden.isHidden(directory, name)) return;
  const parent = volume.inode(volume.live, directory);
  if (parent?.isDirectory !== true) return;
  const parentPath = volume.pathOf(volume.live, directory);
  if (parentPath === undefined) return;
  const parentBefore = volume.inode(from, directory);
  const before =
    parentBefore?.isDirectory === true ? volume.lookup(from, parentBefore, name) : undefined;
  const now = volume.lookup(volume.live, parent, name);
  if (before?.ino === now?.ino) return;
  const where = { directory, parentPath, name };
  if (before?.isRegular === true && now?.isRegular === true) {
    yield modified(where, now);
    return;
  }
  if (now !== undefined) {
    yield { kind: 'added', ...where, mode: now.mode, rdev: now.rdev };
    if (now.isRegular) yield modified(where, now);
  } else if (before !== undefined) {
    yield { kind: 'removed', ...where, isDirectory: before.isDirectory };
  }
}

function* inodeChange(
  context: TreeContext,
  from: View,
  ino: number,
  watched: Watched,
): Generator<Touch> {
  const { volume } = context;
  const before = volume.inode(from, ino);
  const now = volume.inode(volume.live, ino);
  // What is new is told by its name.
  if (before === undefined) return;
  if (now === undefined || before.layer === now.layer) return;
  const hasOtherAttributes = OWNER_AND_MODE.some((field) => before[field] !== now[field]);
  if (!now.isRegular && !hasOtherAttributes) return;
  for (const where of namesOf(context, before, now)) {
    if (!watched.has(ino) && !watched.has(where.directory)) continue;
    if (now.isRegular) yield modified(where, now);
    if (hasOtherAttributes) yield { kind: 'attributes', ...where, ...timesOf(now) };
  }
}

interface Where {
  directory: number;
  parentPath: string;
  name: string;
}

/** An untouched file of the base has no list of names; its other version has them. */
function* namesOf({ volume }: TreeContext, before: Inode, now: Inode): Generator<Where> {
  if (now.ino === ROOT_INO) {
    yield { directory: ROOT_INO, parentPath: '', name: '' };
    return;
  }
  for (const { parent, name } of now.links.length > 0 ? now.links : before.links) {
    const directory = volume.inode(volume.live, parent);
    if (directory?.isDirectory !== true) continue;
    if (volume.lookup(volume.live, directory, name)?.ino !== now.ino) continue;
    const parentPath = volume.pathOf(volume.live, parent);
    if (parentPath !== undefined) yield { directory: parent, parentPath, name };
  }
}

function timesOf({ mtimeS, mtimeNs, atimeS, atimeNs }: Inode) {
  return { mtimeS, mtimeNs, atimeS, atimeNs };
}

function modified(where: Where, now: Inode): Touch {
  const mayOpen = (now.mode & ~S_IFMT & ANY_EXECUTE) === 0;
  return { kind: 'modified', ...where, ...timesOf(now), mayOpen };
}
