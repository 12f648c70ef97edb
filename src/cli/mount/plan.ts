/** The plan of a mount, and who carries it out. A frozen volume may be mounted over whatever is in its directory's place. */
import { CommandError } from '../../lib/errors.js';
import type { MountPlan, MountRequest } from '../../daemon/mount/mount-plan.js';
import type { OpenedFacts } from '../../daemon/serve/spawn.js';
import type { Given } from './beside.js';
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

/**
 * Mounted: by the process that serves the volume already, or by a new one. Throws CommandError.
 */
export async function served(plan: MountPlan, given: Given): Promise<OpenedFacts> {
  const { mountBeside } = await import('./beside.js');
  const beside = await mountBeside(plan, given);
  if (beside !== undefined) return beside;
  const { serveInBackground } = await import('../../daemon/serve/spawn.js');
  try {
    return await serveInBackground(plan);
  } catch (error) {
    if (!(error instanceof CommandError) || error.code !== 'volume-in-use') throw error;
    // Another command has mounted it in the meantime.
    const late = await mountBeside(plan, given);
    if (late === undefined) throw error;
    return late;
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
