/** Conflicts and refusals in words for people. Pure. */
import { shownName, textOfByteString } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { Conflict, Refusal } from './compare-base.js';

const REASONS: Record<Refusal['reason'], string> = {
  'not-writable': 'this user may not change names there',
  owner: 'it belongs to another user, and only root may change or make it',
  group:
    'it has a group that this user is not in, and only root may make it with that group ' +
    '(chgrp it in the tree to one of yours)',
  device: 'only root may make devices',
  xattr: 'only root may set its extended attributes',
  immutable: 'it is immutable or append-only (chattr)',
  mounted: 'something is mounted there',
  'other-device': 'it is on another file system than the base',
  lost: 'a part of it lay in the base, which was changed; --theirs takes what the base has',
};

export function shown(path: string): string {
  return path === '' ? '.' : textOfByteString(path);
}

/** As answers show it. */
export function shownConflict(one: Conflict): Conflict {
  return { ...one, path: shown(one.path), treePath: shown(one.treePath) };
}

export function shownRefusal({ path, reason }: Refusal): Refusal & { message: string } {
  return { path: shown(path), reason, message: REASONS[reason] };
}

/** `isUndo`: an apply is taken back. */
export function refuseConflicts(conflicts: readonly Conflict[], isUndo: boolean): void {
  if (conflicts.length === 0) return;
  const told = conflicts.slice(0, 20).map(({ path, base, isKept }) => {
    const what = `  ${shownName(shown(path))}: ${base} in the base`;
    return isKept || isUndo ? what : `${what}, and in no snapshot`;
  });
  if (conflicts.length > told.length) told.push(`  and ${conflicts.length - told.length} more`);
  throw new CommandError(
    'apply-conflict',
    'EBUSY',
    isUndo
      ? [
          'the base has changed since in places that would be taken back:',
          ...told,
          'nothing was changed; shadowfs undo --ours takes them back, too: what they are now is lost',
        ].join('\n')
      : [
          'the base has changed where the tree has, too:',
          ...told,
          'nothing was changed; --ours takes the versions of the tree, --theirs those of the base, ' +
            'and shadowfs apply -n says where both are',
          ...(conflicts.every(({ isKept }) => isKept)
            ? []
            : ['--ours loses what is in no snapshot: copy it first, if you want it']),
        ].join('\n'),
    { conflicts: conflicts.map(shownConflict) },
  );
}

export function refuseAll(refusals: readonly Refusal[]): void {
  if (refusals.length === 0) return;
  const told = refusals
    .slice(0, 20)
    .map(({ path, reason }) => `  ${shownName(shown(path))}: ${REASONS[reason]}`);
  if (refusals.length > told.length) told.push(`  and ${refusals.length - told.length} more`);
  throw new CommandError(
    'apply-refused',
    'EACCES',
    ['the base can not be changed as the tree is:', ...told, 'nothing was changed'].join('\n'),
    { refusals: refusals.map(shownRefusal) },
  );
}
