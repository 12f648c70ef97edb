/** After a mount: which processes still stand in the directory that it covers. */
import type { MountPlan } from '../../daemon/mount/mount-plan.js';
import { mountAt, MOUNT_TYPE, readMountTable } from '../../daemon/mount/mount-table.js';
import { readMountRecord } from '../../daemon/mount/mount-record.js';
import { describeUse, type MountUse } from '../../daemon/mount/processes.js';
import { usesBelow } from '../../daemon/mount/uses-below.js';

const NAMED_MAX = 20;

export interface Below {
  uses: MountUse[];
  /** What to say, one text for each warning; the one about this shell comes last. */
  warnings: string[];
}

export function processesBelow(plan: MountPlan): Below {
  const mount = mountAt(readMountTable(), plan.mountpoint);
  if (mount?.type !== MOUNT_TYPE) return { uses: [], warnings: [] };
  const uses = usesBelow(mount, readMountRecord(plan.paths, plan.mountpoint)?.pid ?? 0);
  return { uses, warnings: warningsOf(uses, plan.inPlace) };
}

/** Pure. */
export function warningsOf(uses: readonly MountUse[], inPlace: boolean): string[] {
  if (uses.length === 0) return [];
  const lines = uses.slice(0, NAMED_MAX).map((use) => `\n  ${describeUse(use)}`);
  const more = uses.length - NAMED_MAX;
  if (more > 0) lines.push(`\n  and ${more} more`);
  const where = inPlace
    ? 'the original directory; what they write there goes into the base, not into the history'
    : 'the directory that the mount covers; what they write there is not in the mount';
  const named = `these processes are still in ${where}:${lines.join('')}`;
  const isHere = uses.some(({ isOwnShell, how }) => isOwnShell === true && how !== 'open file');
  if (!isHere) return [named];
  return [named, 'this shell stands there itself; to enter the mount: cd .'];
}
