/**
 * What becomes of a branch when its command has ended: kept, brought into the tree, that applied to
 * the directory below as well, or dropped. Nothing that was done is lost unless somebody asked for
 * it.
 */
import { CommandError } from '../../lib/errors.js';
import type { ControlClient } from '../control-client.js';
import { withProgress } from '../progress.js';
import type { Wish } from './ask.js';
import type { World } from './world.js';

export type Became = 'kept' | 'merged' | 'applied' | 'dropped';

export interface Settled {
  became: Became;
  /** The snapshot of what was dropped, or of the tree before the merge. */
  undo: string | null;
  /** Why it is kept, although something else was asked for. */
  failure: CommandError | undefined;
}

export const KEPT: Settled = { became: 'kept', undo: null, failure: undefined };

/** Where the tree or the directory below stand in the way, the branch is kept. */
export async function settle({ tree, branch }: World, wish: Wish): Promise<Settled> {
  const { control } = tree;
  try {
    switch (wish) {
      case 'keep':
        return KEPT;
      case 'discard':
        return { ...KEPT, became: 'dropped', undo: await drop(control, branch) };
      case 'merge':
        return { ...KEPT, became: 'merged', undo: await merge(control, branch) };
      case 'apply': {
        const apply = tree.base === null ? undefined : 'yes';
        const undo = await merge(control, branch, apply);
        return { ...KEPT, became: apply === undefined ? 'merged' : 'applied', undo };
      }
    }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { ...KEPT, failure: error };
  }
}

async function drop(control: ControlClient, branch: string): Promise<string | null> {
  const { undo = null } = await control.run('branch-delete', branch);
  return undo as string | null;
}

/**
 * All of it is in the tree now: the branch has nothing of its own any more. `apply`: and in the
 * directory below, or in neither; one undo takes both back.
 */
async function merge(
  control: ControlClient,
  branch: string,
  apply?: 'yes',
): Promise<string | null> {
  const words = { ...(apply !== undefined && { apply }) };
  const done = withProgress('merge', control, control.run('merge', branch, words));
  const { undo = null } = await done;
  await control.run('branch-delete', branch);
  return undo as string | null;
}
