/**
 * Runs that were killed: what they leave is cleaned up by the next command, which says so. Their
 * branches stay.
 */
import { shownName } from '../../lib/byte-text.js';
import type { StatePaths } from '../../daemon/mount/paths.js';
import { processesIn } from './leftovers.js';
import { hasEnded, readRuns, removeRun, type RunRecord, withRunLock } from './run-records.js';
import { closeHidden } from './tree.js';
import { unmountSurely } from './unmounting.js';
import type { Warn } from '../output.js';

/** Runs that have ended without an end, and nobody is in their branches any more. */
export function endedRuns(paths: StatePaths): RunRecord[] {
  return readRuns(paths).filter((one) => hasEnded(one) && processesIn(one).length === 0);
}

/** The run lock is held. */
export async function cleanEndedRuns(paths: StatePaths, warn: Warn): Promise<void> {
  for (const record of endedRuns(paths)) {
    const { id, mountpoint, branch, command, directory, hiddenTree, pid } = record;
    unmountSurely(mountpoint, true);
    removeRun(paths, id);
    if (hiddenTree !== null) await closeHidden(hiddenTree, record.isNewVolume, paths);
    const where = `branch ${branch} of ${shownName(directory)}`;
    const text = record.isTold
      ? `the processes that ${shownName(command)} had left in ${where} have ended`
      : `the run of ${shownName(command)} (pid ${pid}) did not come to its end; what it did is in ${where}`;
    warn('run-ended', text);
  }
}

/** For any command: cleans up when that takes no waiting. Never throws. */
export async function noteEndedRuns(paths: StatePaths, warn: Warn): Promise<void> {
  if (endedRuns(paths).length === 0) return;
  try {
    await withRunLock(paths, () => cleanEndedRuns(paths, warn), 0);
  } catch {
    // Another command is at it, or the next one.
  }
}
