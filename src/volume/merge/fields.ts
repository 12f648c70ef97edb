/**
 * Three-way by field: what their side changed of a file (bytes, mode, owner,
 * xattrs, times) and ours did not. Fields are independent of each other, but
 * for the mode and the access ACL, which say the same thing twice.
 */
import type { DiffDetail } from '../diff/compare.js';
import type { Inode } from '../inode.js';
import type { Side, ThreeViews } from './three-views.js';

export type FieldConflict = 'content' | 'target' | 'device' | 'mode' | 'owner' | 'xattr';

/** What is taken from their side. */
export interface TakenFields {
  content: boolean;
  target: boolean;
  device: boolean;
  mode: boolean;
  owner: boolean;
  /** Null: it is removed. */
  xattrs: Map<string, Buffer | null>;
  mtime: boolean;
}

const ACCESS_ACL = 'system.posix_acl_access';
const WHOLE = ['content', 'target', 'device', 'mode', 'owner'] as const;

/** The differences that make two versions of a file two versions for people: its times do not. */
export function isChanged(details: readonly DiffDetail[]): boolean {
  return details.some((detail) => detail !== 'times');
}

/** Of an inode that is in all three trees. Undefined: there is nothing to take. */
export function mergeFields(
  trees: ThreeViews,
  { before, theirs, ours }: { before: Inode; theirs: Inode; ours: Inode },
): { taken: TakenFields; conflicts: FieldConflict[] } | undefined {
  const there = trees.differences('base', before, 'theirs', theirs);
  if (there.length === 0) return undefined;
  const here = trees.differences('base', before, 'ours', ours);
  let between: readonly DiffDetail[] | undefined;
  const isSame = (field: DiffDetail): boolean => {
    between ??= trees.differences('theirs', theirs, 'ours', ours);
    return !between.includes(field);
  };
  const conflicts: FieldConflict[] = [];
  const take = (field: (typeof WHOLE)[number]): boolean => {
    if (!there.includes(field)) return false;
    if (!here.includes(field)) return true;
    if (!isSame(field)) conflicts.push(field);
    return false;
  };
  const taken: TakenFields = {
    content: take('content'),
    target: take('target'),
    device: take('device'),
    mode: take('mode'),
    owner: take('owner'),
    xattrs: new Map(),
    mtime: false,
  };
  if (there.includes('xattr')) mergeXattrs(trees, { before, theirs, ours }, taken, conflicts);
  if (taken.mode && isAclChanged(trees, before, 'ours', ours)) conflicts.push('mode');
  else if (taken.xattrs.has(ACCESS_ACL) && here.includes('mode')) conflicts.push('mode');
  // The time goes with the bytes; of two touches the later one counts.
  const isNewer = isLater(theirs, ours);
  taken.mtime = taken.content || (there.includes('times') && isNewer && !here.includes('content'));
  return { taken, conflicts };
}

export function isLater(a: Inode, b: Inode): boolean {
  return a.mtimeS > b.mtimeS || (a.mtimeS === b.mtimeS && a.mtimeNs > b.mtimeNs);
}

function isAclChanged(trees: ThreeViews, before: Inode, side: Side, inode: Inode): boolean {
  const was = xattrOf(trees, 'base', before, ACCESS_ACL);
  return !isSameValue(was, xattrOf(trees, side, inode, ACCESS_ACL));
}

function mergeXattrs(
  trees: ThreeViews,
  { before, theirs, ours }: { before: Inode; theirs: Inode; ours: Inode },
  taken: TakenFields,
  conflicts: FieldConflict[],
): void {
  const { volume, views } = trees;
  const names = new Set([
    ...volume.listAttributes(views.base, before),
    ...volume.listAttributes(views.theirs, theirs),
  ]);
  let isConflict = false;
  for (const name of names) {
    const was = xattrOf(trees, 'base', before, name);
    const there = xattrOf(trees, 'theirs', theirs, name);
    if (isSameValue(was, there)) continue;
    const here = xattrOf(trees, 'ours', ours, name);
    if (isSameValue(here, there)) continue;
    if (isSameValue(here, was)) {
      taken.xattrs.set(name, there === undefined ? null : Buffer.from(there));
    } else isConflict = true;
  }
  if (isConflict) conflicts.push('xattr');
}

function xattrOf(
  { volume, views }: ThreeViews,
  side: Side,
  inode: Inode,
  name: string,
): Uint8Array | undefined {
  return volume.readAttribute(views[side], inode, name);
}

function isSameValue(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a, b) === 0;
}
