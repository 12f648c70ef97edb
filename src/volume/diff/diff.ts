/**
 * The differences between two views in a person's terms: names added, removed,
 * renamed, files changed. The cost is proportional to the changes, not to the
 * volume: it starts from the delta maps of the layers that only one of the
 * views sees, and lists whole directories only where they were added or
 * removed.
 *
 * How differences are reported:
 * - A name that leads to another file than before, in the same place, is
 *   `changed` (as when a program writes a new file and renames it over the old
 *   one), with the differences between the two files.
 * - An inode that lost one name and got another is `renamed`; a renamed
 *   directory is one line, without its content. `replaced` means that it took
 *   the place of a file that is gone.
 * - Added and removed directories are reported with everything below them.
 * - Each name of a file with hard links has its own line; a name added to an
 *   existing file has the detail `link`.
 * - A file that was touched but is the same in the end (bytes, mode, owner,
 *   mtime, xattrs) is not reported; nor is a directory with different times
 *   only, because its names show the change. atime and ctime are not compared.
 * - `path` is the path in the newer view (`to`); of removed names, in the older
 *   view.
 * - Asked for some paths only, it reports what lies there in either view.
 * - Folded, a whole added or removed directory is one line with the number of
 *   names below it.
 *
 * Doors: compare, diff, merged-keys.
 * Doors inside volume/: changes.
 */
import { isWithin } from '../../lib/paths.js';
import { compareInodes, type DiffDetail } from './compare.js';
import { DiffSlots, type Slot } from './slots.js';
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from '../../lib/file-mode.js';
import type { Inode } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';

export type DiffKind = 'added' | 'removed' | 'changed' | 'renamed';
export type DiffType = 'file' | 'directory' | 'symlink' | 'block' | 'character' | 'fifo' | 'socket';

export interface DiffLine {
  kind: DiffKind;
  /** Below the root, a byte string; '' is the root. */
  path: string;
  /** Path in the older view, when renamed. */
  oldPath?: string;
  /** In the newer view, if it exists there. */
  type: DiffType;
  /** What differs; absent when the whole file was added or removed. */
  details?: DiffDetail[];
  /** Inode numbers of what the name leads to, in the older and the newer view. */
  oldInode?: number | undefined;
  inode?: number | undefined;
  /** A name that the file still has which this name led to before. */
  linkedTo?: string;
  /** Folded: the number of names below the directory. */
  belowCount?: number;
  /** Of a file, in the newer view and in the older one; folded: of all files below the directory. */
  sizeBytes?: number;
  oldSizeBytes?: number;
}

export interface DiffWish {
  /** Byte strings below the root; '' is everything. Absent: everything. */
  paths?: readonly string[];
  fold?: boolean;
}

const TYPES = new Map<number, DiffType>([
  [S_IFREG, 'file'],
  [S_IFDIR, 'directory'],
  [S_IFLNK, 'symlink'],
  [S_IFBLK, 'block'],
  [S_IFCHR, 'character'],
  [S_IFIFO, 'fifo'],
]);

export function typeOf(inode: Inode): DiffType {
  return TYPES.get(inode.mode & S_IFMT) ?? 'socket';
}

/**
 * The lines, ordered by path, then by kind. Reads the committed state. Memory
 * and time are proportional to the change; content is compared while the caller
 * takes the lines, so stopping early saves work. Throws CorruptionError.
 */
export function* diffViews(
  volume: ReadableVolume,
  from: View,
  to: View,
  { paths, fold = false }: DiffWish = {},
): Generator<DiffLine> {
  const slots = new DiffSlots(volume, from, to);
  slots.collect();
  const all = [...renamesAndNames(slots), ...touched(volume, slots)];
  const wanted = paths === undefined ? all : all.filter(liesBelow(paths));
  wanted.sort((a, b) => compareText(a.path, b.path) || compareText(a.kind, b.kind));
  for (const candidate of fold ? folded(wanted) : wanted) {
    const line = tell(volume, from, to, candidate);
    if (line !== undefined) yield line;
  }
}

export type DiffSummary = Record<DiffKind, number>;

/** The number of lines of each kind. */
export function diffSummary(lines: Iterable<DiffLine>): DiffSummary {
  const summary: DiffSummary = { added: 0, removed: 0, changed: 0, renamed: 0 };
  for (const { kind } of lines) summary[kind]++;
  return summary;
}

/** A line whose details are not known yet. */
interface Candidate {
  kind: DiffKind;
  path: string;
  oldPath?: string;
  /** In the older and the newer view; both for 'changed' and 'renamed'. */
  before?: Inode;
  after?: Inode;
  isReplacing?: boolean;
  /** What the name led to, when a renamed file took its place. */
  taken?: Inode;
  below?: number;
  /** Folded: the sizes of the files below. */
  belowBytes?: number;
}

function liesBelow(paths: readonly string[]): (candidate: Candidate) => boolean {
  const lies = (path: string): boolean => paths.some((above) => isWithin(path, above));
  return ({ path, oldPath }) => lies(path) || (oldPath !== undefined && lies(oldPath));
}

/** `candidates` are in the order of their paths, so a directory comes before what lies below it. */
function folded(candidates: readonly Candidate[]): Candidate[] {
  const kept: Candidate[] = [];
  /** By kind and path: the line that stands for a directory. */
  const tops = new Map<string, Candidate>();
  for (const candidate of candidates) {
    const { kind, path, before, after } = candidate;
    if (kind !== 'added' && kind !== 'removed') {
      kept.push(candidate);
      continue;
    }
    const slash = path.lastIndexOf('/');
    const above = slash < 0 ? undefined : tops.get(`${kind}/${path.slice(0, slash)}`);
    const inode = kind === 'added' ? after : before;
    if (above === undefined) kept.push(candidate);
    else {
      above.below = (above.below ?? 0) + 1;
      above.belowBytes = (above.belowBytes ?? 0) + (inode?.isRegular === true ? inode.size : 0);
    }
    const isDirectory = inode?.isDirectory === true;
    if (isDirectory) tops.set(`${kind}/${path}`, above ?? candidate);
  }
  return kept;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function tell(
  volume: ReadableVolume,
  from: View,
  to: View,
  candidate: Candidate,
): DiffLine | undefined {
  const { kind, path, oldPath, before, after, isReplacing, taken, below, belowBytes } = candidate;
  const type = typeOf((after ?? before) as Inode);
  if (kind === 'added') {
    const link = before !== undefined && { details: ['link' as const] };
    return {
      kind,
      path,
      type,
      ...link,
      inode: after?.ino,
      ...(below && { belowCount: below }),
      ...sizes(undefined, after, belowBytes),
    };
  }
  if (kind === 'removed') {
    const linkedTo = after && volume.paths.of(to, after.ino);
    const link = after !== undefined && { details: ['link' as const] };
    const other = linkedTo !== undefined && { linkedTo };
    return {
      kind,
      path,
      type,
      ...link,
      oldInode: before?.ino,
      ...other,
      ...(below && { belowCount: below }),
      ...sizes(before, undefined, belowBytes),
    };
  }
  const details = compareInodes(volume, from, before as Inode, to, after as Inode);
  if (isReplacing) details.push('replaced');
  if (kind === 'changed' && details.length === 0) return undefined;
  return {
    kind,
    path,
    ...(oldPath !== undefined && { oldPath }),
    type,
    ...(details.length > 0 && { details }),
    oldInode: before?.ino,
    inode: after?.ino,
    ...otherName(volume, to, taken ?? (before as Inode), after as Inode),
    ...sizes(before, after),
  };
}

/** `below`: of the files below a directory that is one line. */
function sizes(
  before: Inode | undefined,
  after: Inode | undefined,
  below?: number,
): Pick<DiffLine, 'sizeBytes' | 'oldSizeBytes'> {
  const sizeOf = (inode: Inode | undefined): number | undefined =>
    inode?.isRegular === true ? inode.size : inode && below;
  const [old, now] = [sizeOf(before), sizeOf(after)];
  return {
    ...(now !== undefined && { sizeBytes: now }),
    ...(old !== undefined && { oldSizeBytes: old }),
  };
}

/** Of a file that lost this name to another one: a name that it still has. */
function otherName(
  volume: ReadableVolume,
  to: View,
  before: Inode,
  after: Inode,
): { linkedTo?: string } {
  if (before.ino === after.ino || before.nlink < 2 || before.isDirectory) return {};
  const linkedTo = volume.paths.of(to, before.ino);
  return linkedTo === undefined ? {} : { linkedTo };
}

/** All changes of names. */
function renamesAndNames(slots: DiffSlots): Candidate[] {
  const candidates: Candidate[] = [];
  const { sources, targets } = pairRenames(slots);
  for (const slot of slots.slots) {
    const { before, after, beforePath, afterPath } = slot;
    const source = targets.get(slot);
    const isLeft = before !== undefined && !sources.has(slot);
    if (after !== undefined && source !== undefined) {
      candidates.push({
        kind: 'renamed',
        path: afterPath as string,
        oldPath: source.beforePath as string,
        before: source.before as Inode,
        after,
        isReplacing: isLeft,
        ...(isLeft && { taken: before }),
      });
    } else if (after !== undefined && isLeft) {
      candidates.push({ kind: 'changed', path: afterPath as string, before, after });
    } else if (after !== undefined) {
      const known = slots.inFrom(after.ino);
      candidates.push({
        kind: 'added',
        path: afterPath as string,
        after,
        ...(known !== undefined && { before: known }),
      });
    } else if (isLeft) {
      const known = slots.inTo(before.ino);
      candidates.push({
        kind: 'removed',
        path: beforePath as string,
        before,
        ...(known !== undefined && { after: known }),
      });
    }
  }
  return candidates;
}

/** Lost and gained names of the same inode, paired in the order of their paths. */
function pairRenames(slots: DiffSlots): { sources: Set<Slot>; targets: Map<Slot, Slot> } {
  const lost = new Map<number, Slot[]>();
  for (const slot of slots.slots) {
    const { before } = slot;
    if (before === undefined) continue;
    const others = lost.get(before.ino);
    if (others === undefined) lost.set(before.ino, [slot]);
    else others.push(slot);
  }
  for (const list of lost.values()) {
    list.sort((a, b) => compareText(a.beforePath as string, b.beforePath as string));
  }
  const sources = new Set<Slot>();
  const targets = new Map<Slot, Slot>();
  const got = slots.slots.filter((slot) => slot.after !== undefined);
  got.sort((a, b) => compareText(a.afterPath as string, b.afterPath as string));
  for (const slot of got) {
    const source = lost.get((slot.after as Inode).ino)?.shift();
    if (source === undefined) continue;
    sources.add(source);
    targets.set(slot, source);
  }
  return { sources, targets };
}

/** Files and directories that kept a name and whose record was written. */
function touched(volume: ReadableVolume, slots: DiffSlots): Candidate[] {
  const candidates: Candidate[] = [];
  const named = new Set(
    slots.slots.filter((slot) => slot.after !== undefined).map((slot) => slot.afterPath as string),
  );
  for (const ino of slots.touched) {
    const after = slots.inTo(ino);
    const before = slots.inFrom(ino);
    if (before === undefined || after === undefined) continue;
    for (const path of volume.paths.all(slots.to, ino)) {
      if (!named.has(path)) candidates.push({ kind: 'changed', path, before, after });
    }
  }
  return candidates;
}
