/**
 * Watched directories that the restore left behind. They are removed once more,
 * and so is each directory that they are in and that is gone, from below, as
 * `rm -r` would do it: whoever watches them gets IN_DELETE_SELF and IN_IGNORED.
 * A gone directory that nobody watches stays in the kernel, so that a program
 * that works in it is in it again when another restore brings it back.
 */
import type { View } from '../../volume/view.js';
import { joinPath } from '../../volume/names/inode-reader.js';
import { ROOT_INO } from '../nodes/hidden-names.js';
import { ifReadable } from '../if-readable.js';
import type { TreeContext } from '../tree-context.js';
import type { Touch } from './touch.js';
import type { Watched } from './watched.js';

/** Deepest first. `from`: the view before the restore. */
export function forsaken(context: TreeContext, from: View, watched: Watched): Touch[] {
  const { nodes } = context;
  const found = new Map<number, Touch>();
  for (const ino of watched.inodes) {
    if (!nodes.knowsLive(ino)) continue;
    const touches = ifReadable(() => [...touchesOf(context, from, ino)]) ?? [];
    for (const touch of touches) found.set(...touch);
  }
  return [...found.values()].sort((a, b) => b.parentPath.length - a.parentPath.length);
}

/** None: it is no directory, or still there. */
function* touchesOf(context: TreeContext, from: View, ino: number): Generator<[number, Touch]> {
  const { volume } = context;
  if (volume.inode(volume.live, ino) !== undefined) return;
  if (volume.inode(from, ino)?.isDirectory !== true) return;
  const path = volume.pathOf(from, ino);
  if (path !== undefined) yield* goneChain(context, from, path);
}

/** The gone directories on a path of the view before. Paths are those of the toucher. */
function* goneChain({ volume }: TreeContext, from: View, path: string): Generator<[number, Touch]> {
  let parent = volume.inode(from, ROOT_INO);
  let parentPath = '';
  for (const name of path.split('/')) {
    if (parent === undefined) return;
    const inode = volume.lookup(from, parent, name);
    if (inode === undefined) return;
    if (volume.inode(volume.live, inode.ino) === undefined) {
      const where = { directory: parent.ino, parentPath, name };
      yield [inode.ino, { kind: 'removed', ...where, isDirectory: true, inode: inode.ino }];
      parentPath = joinPath(parentPath, name);
    } else {
      // It may have another path by now.
      parentPath = volume.pathOf(volume.live, inode.ino) ?? joinPath(parentPath, name);
    }
    parent = inode;
  }
}
