/** Before any command: whether a `run` was killed, or had left processes that are gone now. */
import { noteWarning } from './output.js';
import { currentPaths } from './target.js';
import { hasEnded, readRuns } from './world/run-records.js';

/** Costs one look into a directory when there was none. */
export async function lookAfterRuns(): Promise<void> {
  if (!readRuns(currentPaths()).some(hasEnded)) return;
  const { noteEndedRuns } = await import('./world/ended-runs.js');
  await noteEndedRuns(currentPaths(), noteWarning);
}
