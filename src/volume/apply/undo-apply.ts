/**
 * The undo of an apply: an apply of what the base was before, part by part (rule
 * U5). The tree stays as it is. Between two parts, and after one that fails, the
 * base is what `meta/applied` says, and the same undo goes on from there.
 */
import type { Work } from '../../lib/work.js';
import { BASE_LAYER } from '../../format/records/tables.js';
import type { BaseUndo } from '../snapshots/tree-moves.js';
import { stepText } from '../snapshots/undo-line.js';
import type { Volume } from '../volume.js';
import { appliedParts, statesOf } from './applied.js';
import { type ApplyHost, type ApplyOutcome, type ApplyRequest, applyLayer } from './apply.js';

export type { BaseUndo };

export type UndoneApply = Pick<ApplyOutcome, 'items' | 'storedBytes' | 'writtenBytes'>;

/** Throws as `applyLayer`. */
export function* undoApply(
  volume: Volume,
  { told, states, timeMs, direction }: BaseUndo,
  how: Pick<ApplyRequest, 'ours' | 'source'>,
  host: ApplyHost,
): Work<UndoneApply> {
  const paths = states.flatMap((state) => state.paths);
  const isWhole = states.some((state) => state.paths.length === 0);
  const left = statesOf(appliedParts(volume), isWhole ? [] : paths);
  const what = told.passed.map(stepText).join(', ');
  const answer: UndoneApply = { items: [], storedBytes: 0, writtenBytes: 0 };
  // From the first part on nothing that is stored names them; the last one does again.
  const pinned = left.map(({ layer }) => layer).filter((layer) => layer !== BASE_LAYER);
  for (const layer of pinned) volume.pin(layer);
  try {
    for (const [i, { paths, target }] of states.entries()) {
      const isLast = i === states.length - 1;
      const undoing = { direction, timeMs, what, name: target.name, left, isLast };
      const done = yield* applyLayer(volume, target.layer, { ...how, paths, undoing }, host);
      answer.items.push(...done.items);
      answer.storedBytes += done.storedBytes;
      answer.writtenBytes += done.writtenBytes;
    }
  } finally {
    for (const layer of pinned) volume.unpin(layer);
  }
  return answer;
}
