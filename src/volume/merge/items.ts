/** What a merge does, and its conflicts, as people and programs see them: with paths. */
import { type DiffType, typeOf } from '../diff/diff.js';
import type { Inode } from '../inode.js';
import { joinPath } from '../names/inode-reader.js';
import type { Entity } from './entities.js';
import type { TakenFields } from './fields.js';
import type { Conflict, ConflictReason, MergePlan } from './plan.js';
import type { Side } from './three-views.js';

/** One file that the merge changes here. */
export interface MergeItem {
  kind: 'added' | 'changed' | 'removed' | 'renamed';
  /** Below the root, a byte string: on their side; of what goes, here. */
  path: string;
  /** Where it is here, when it is renamed. */
  oldPath?: string;
  type: DiffType;
  /** Of a file: of what comes, or of what goes. */
  size?: number;
}

export interface MergeConflict {
  reasons: ConflictReason[];
  type: DiffType;
  /** Byte strings below the root of each tree; null: it is not there. */
  basePath: string | null;
  oursPath: string | null;
  theirsPath: string | null;
}

export interface MergeSummary {
  added: number;
  changed: number;
  removed: number;
  renamed: number;
}

export function summaryOf(items: readonly MergeItem[]): MergeSummary {
  const summary = { added: 0, changed: 0, removed: 0, renamed: 0 };
  for (const { kind } of items) summary[kind]++;
  return summary;
}

/** Of everything that is not dropped, ordered by path. */
export function* itemsOf(plan: MergePlan): Generator<MergeItem | undefined> {
  const renamed = new Set(plan.gains.map(({ entity }) => entity));
  const lost = new Set(plan.losses.map(({ entity }) => entity));
  for (const entity of plan.entities.all.values()) {
    yield itemOf(plan, entity, renamed.has(entity), lost.has(entity));
  }
}

function itemOf(
  plan: MergePlan,
  entity: Entity,
  isGiven: boolean,
  isLost: boolean,
): MergeItem | undefined {
  const { before, theirs, ours, isNew, isRemoved, isDropped } = entity;
  if (isDropped) return undefined;
  const path = (side: Side, inode: Inode | undefined): string =>
    (inode && plan.trees.path(side, inode.ino)) ?? '';
  if (isNew && theirs !== undefined) {
    const size = theirs.isRegular && { size: theirs.size };
    return { kind: 'added', path: path('theirs', theirs), type: typeOf(theirs), ...size };
  }
  if (ours === undefined) return undefined;
  const type = typeOf(ours);
  if (isRemoved) {
    const gone = ours.isRegular && { size: ours.size };
    return { kind: 'removed', path: path('ours', ours), type, ...gone };
  }
  if (theirs === undefined) return undefined;
  const size = theirs.isRegular && { size: theirs.size };
  if (isGiven || isLost) {
    const oldPath = path('ours', ours);
    const now = path('theirs', theirs);
    const kind = isLost && isGiven ? 'renamed' : isLost ? 'removed' : 'added';
    if (kind === 'removed') {
      // One of its names: which one, only our tree can say.
      const loss = plan.losses.find((one) => one.entity === entity);
      const above = loss && plan.trees.path('ours', loss.directory);
      return { kind, path: joinPath(above ?? '', loss?.name ?? ''), type, ...size };
    }
    return { kind, path: now, ...(kind === 'renamed' && { oldPath }), type, ...size };
  }
  const { taken, text } = entity;
  const isTouched = text !== undefined || (taken !== undefined && hasFields(taken));
  if (before === undefined || !isTouched) return undefined;
  return { kind: 'changed', path: path('ours', ours), type, ...size };
}

function hasFields(taken: TakenFields): boolean {
  const { content, target, device, mode, owner, xattrs, mtime } = taken;
  return content || target || device || mode || owner || mtime || xattrs.size > 0;
}

export function conflictOf(plan: MergePlan, { entity, reasons }: Conflict): MergeConflict {
  const { before, ours, theirs } = entity;
  const path = (side: Side, inode: Inode | undefined): string | null =>
    (inode && plan.trees.path(side, inode.ino)) ?? null;
  return {
    reasons,
    type: typeOf((theirs ?? before ?? ours) as Inode),
    basePath: path('base', before),
    oursPath: path('ours', ours) ?? ownPath(plan, entity),
    theirsPath: path('theirs', theirs),
  };
}

/** Of a name that leads to another file here. */
function ownPath({ trees }: MergePlan, { gained }: Entity): string | null {
  for (const { directory, name } of gained) {
    const here = trees.counterpart(directory);
    const found = here === 0 ? 0 : trees.child('ours', here, name);
    const path = found === 0 ? undefined : trees.path('ours', found);
    if (path !== undefined) return path;
  }
  return null;
}
