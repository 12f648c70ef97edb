/**
 * Single files on the command line: which paths people mean, what differs in
 * them as text, as a patch and in numbers, and bringing them back.
 *
 * A path counts from the working directory, also inside `.snapshots`: there
 * `src/.snapshots/monday/f` means src/f.
 *
 * Doors inside cli/: every file.
 */
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { realPath } from '../../lib/byte-paths.js';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import { isWithin } from '../../lib/paths.js';
import type { MountedTarget, Target } from '../target.js';

const SNAPSHOTS_NAME = '.snapshots';
/** More paths than this stand in the history by the directory above them all. */
const MAX_PATH_BYTES = 16 * 1024;

/** Under which name the mount shows its snapshots. */
export async function snapshotsNameOf(target: Target): Promise<string> {
  if (target.kind !== 'mounted') return SNAPSHOTS_NAME;
  const { options } = (await target.control.state('status')) as {
    options?: { snapshotsName?: string };
  };
  return options?.snapshotsName ?? SNAPSHOTS_NAME;
}

/** Symbolic links followed as far as the path exists, but for its last name. */
function realParent(path: string): string {
  const parent = dirname(path);
  if (parent === path) return path;
  try {
    return join(realPath(parent), path.slice(parent.length));
  } catch {
    return join(realParent(parent), path.slice(parent.length));
  }
}

/** The path in the live tree that a path inside `.snapshots` stands for. Pure. */
export function withoutSnapshot(path: string, snapshotsName: string): string | undefined {
  const names = path.split('/');
  const at = names.indexOf(snapshotsName);
  if (at < 0) return path;
  if (at + 1 >= names.length) return undefined;
  return [...names.slice(0, at), ...names.slice(at + 2)].join('/');
}

/**
 * The paths below the mountpoint (or below the base directory of an unmounted volume); '' is the
 * root. Throws CommandError.
 */
export async function pathsBelow(target: Target, words: readonly string[]): Promise<string[]> {
  if (words.length === 0) return [];
  const snapshotsName = await snapshotsNameOf(target);
  const root = target.kind === 'mounted' ? target.mount.mountpoint : target.base;
  return words.map((word) => {
    if (root === undefined && !isAbsolute(word)) return relative('/', resolve('/', word));
    const path = realParent(resolve(target.directory, word));
    if (root === undefined || !isWithin(path, root)) {
      throw new CommandError(
        'not-under-history',
        'EINVAL',
        `${shownName(word)} does not lie in ${root === undefined ? 'the volume' : shownName(root)}`,
      );
    }
    const live = withoutSnapshot(relative(root, path), snapshotsName);
    if (live !== undefined) return live;
    throw new CommandError(
      'not-under-history',
      'EINVAL',
      `${shownName(word)} is where the snapshots are; the name of a snapshot and a path are expected`,
    );
  });
}

/** Where the mount shows the root of a snapshot. */
export async function snapshotRoot(target: MountedTarget, name: string): Promise<string> {
  return join(target.mount.mountpoint, await snapshotsNameOf(target), name);
}

/** Paths for the history. Pure. */
export function historyPaths(paths: readonly string[]): string {
  const text = paths.join('//');
  if (Buffer.byteLength(text) <= MAX_PATH_BYTES) return text;
  const [first = '', ...others] = paths;
  const names = first.split('/');
  while (names.length > 0 && !others.every((path) => path.startsWith(`${names.join('/')}/`))) {
    names.pop();
  }
  return names.join('/');
}

/** One of the paths is the path, or lies above it. Pure. */
export function isBelow(path: string, paths: readonly string[]): boolean {
  return paths.some((above) => isWithin(path, above));
}

/** The words before and after `--`, of which commander keeps only the words. Pure. */
export function splitAtDashes(
  operands: readonly string[],
  words: readonly string[],
): { before: string[]; after: string[] | undefined } {
  const at = words.indexOf('--');
  if (at < 0) return { before: [...operands], after: undefined };
  const count = Math.min(operands.length, words.length - at - 1);
  const cut = operands.length - count;
  return { before: operands.slice(0, cut), after: operands.slice(cut) };
}
