/**
 * `shadowfs apply --theirs`: where the base has changed in the same places, the
 * tree takes the base's versions, by ordinary calls through the mount as a
 * restore of paths does; the rest is then applied. `undo` takes back both.
 *
 * What must hold: nothing in the base changes before the tree has all that it is
 * to take; a base that changes meanwhile is met by the same checks again.
 */
import { shownName } from '../../lib/byte-text.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import type { Answer } from '../../control/command.js';
import { inspect } from './check.js';
import { statOf } from '../files/copy.js';
import { historyPaths } from '../files/paths.js';
import { type RestoreLine, restoreLines } from '../files/restore-plan.js';
import { FileRestore, runToEnd } from '../files/restore-run.js';
import { basePathOf, type Place, planTake } from '../files/take-plan.js';
import { Progress } from '../progress.js';
import type { MountedTarget } from '../target.js';

/** The base may change while it is looked at; not for ever. */
const ROUNDS = 3;

export interface Taken {
  /** The snapshot of the tree before; null: the volume keeps none. */
  undo: string | null;
  changes: RestoreLine[];
}

/** The tree takes the base's versions; afterwards an apply meets no conflict. */
export async function takeTheirs(
  target: MountedTarget,
  paths: string[],
): Promise<Taken | undefined> {
  let taken: Taken | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const args = { paths, resolve: 'theirs' as const };
    const preview = await inspect(target, { command: 'apply', args });
    refuse((preview['refusals'] ?? []) as { path: string; message: string }[]);
    const places = (preview['conflicts'] ?? []) as Place[];
    if (places.length === 0) break;
    const now = await take(target, places);
    taken = { undo: taken?.undo ?? now.undo, changes: [...(taken?.changes ?? []), ...now.changes] };
  }
  return taken;
}

/** Before the tree is touched. */
function refuse(refusals: readonly { path: string; message: string }[]): void {
  const [first] = refusals;
  if (first === undefined) return;
  const more = refusals.length > 1 ? ` (and ${refusals.length - 1} more)` : '';
  throw new CommandError(
    'apply-refused',
    'EACCES',
    `the base can not be changed as the tree is: ${shownName(first.path)}: ${first.message}${more}; ` +
      'nothing was changed (shadowfs apply -n --theirs lists all)',
    { refusals },
  );
}

async function take(target: MountedTarget, places: readonly Place[]): Promise<Taken> {
  const { control, mount } = target;
  const base = await baseSeenAt(target);
  const plan = planTake(places, base, mount.mountpoint);
  const changes = restoreLines(plan);
  const paths = places.map(({ treePath }) => treePath);
  const begun = await control.run('apply', undefined, {
    theirs: 'yes',
    path: historyPaths(paths),
  });
  const undo = typeof begun['undo'] === 'string' ? begun['undo'] : null;
  const progress = new Progress('apply --theirs', 'count');
  let done = 0;
  const onStep = (): void => progress.update(++done, changes.length);
  const restore = new FileRestore(base, mount.mountpoint, paths, onStep, basePathOf(places));
  const ended = await runToEnd(restore, plan);
  progress.stop();
  const [failure] = restore.failures;
  if (ended === undefined && failure === undefined) return { undo, changes };
  const what =
    failure === undefined ? messageOf(ended) : `${shownName(failure.path)}: ${failure.message}`;
  const isKnown = ended instanceof CommandError;
  throw new CommandError(
    'theirs-incomplete',
    isKnown ? ended.errno : 'EIO',
    `${what}; the base is as it was, and the tree has a part of the base's versions` +
      (undo === null ? '' : ': shadowfs undo takes them back'),
    { undo, failures: restore.failures },
  );
}

/** Where this process can look at the base of a mount. */
export async function baseSeenAt({ control }: MountedTarget): Promise<string> {
  const { baseSeenAt: path, base } = await control.state('status');
  if (typeof path === 'string' && statOf(`${path}/.`)?.isDirectory() === true) return path;
  throw new CommandError(
    'base-unreadable',
    'EACCES',
    `the base ${String(base)} lies under its mount, and only its owner gets at it`,
  );
}

/** What is told of it. */
export function takenText({ changes }: Taken, mountpoint: string): string {
  return `${mountpoint} took what the base has in ${changes.length === 1 ? 'one place' : `${changes.length} places`}`;
}

/** As JSON. */
export function withTaken(answer: Answer, taken: Taken | undefined): Answer {
  return { ...answer, taken: taken ?? null };
}
