/** The plan of a mount. A frozen volume may be mounted over whatever is in its directory's place. */
import { CommandError } from '../../lib/errors.js';
import type { MountPlan, MountRequest } from '../../daemon/mount/mount-plan.js';
import type { StatePaths } from '../../daemon/mount/paths.js';

/** Throws CommandError, as `planMount` does. */
export async function planned(request: MountRequest, paths: StatePaths): Promise<MountPlan> {
  // Loaded only when needed: other commands start faster without it.
  const { planMount } = await import('../../daemon/mount/mount-plan.js');
  try {
    return planMount(request, paths);
  } catch (error) {
    if (!(await isFrozen(error))) throw error;
    return planMount({ ...request, options: { ...request.options, reattach: true } }, paths);
  }
}

/** It was refused since the directory is another one, and nothing is read from that. */
async function isFrozen(error: unknown): Promise<boolean> {
  if (!(error instanceof CommandError) || error.code !== 'base-mismatch') return false;
  const { readFacts } = await import('../../daemon/volumes/volume-facts.js');
  try {
    return readFacts(String(error.details['volumePath'])).isFrozen;
  } catch {
    return false;
  }
}
