/**
 * Mounts that were detached (`umount -l`) and are still in use: no path leads
 * to them and no table lists them, but their process serves them, and has the
 * volume, until their last user is gone. So a new mount of the volume names
 * these users.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { attempt } from '../../lib/attempt.js';
import { readLink } from '../../lib/byte-paths.js';
import { CommandError } from '../../lib/errors.js';
import { sleepSync } from '../../lib/sleep.js';
import { O_PATH } from '../../libc/constants.js';
import { descriptorsOf, mountIdOf, otherProcesses } from '../../libc/process-files.js';
import type { MountPlan } from './mount-plan.js';
import { type MountRecord, readMountRecord, recordsOf } from './mount-record.js';
import { mountAt, mountOfDevice, readMountTable } from './mount-table.js';
import type { StatePaths } from './paths.js';
import { BUSY_LINKS, commandOf, describeUse, type MountUse, ownShellFirst } from './processes.js';

const NAMED_MAX = 20;
/** How long a mount without users may take to store everything. */
const STORING_MS = 10_000;
const POLL_MS = 20;

/** The process serves a mount that is in no table any more, perhaps beside others. */
export function detachedMountOf(pid: number, paths: StatePaths): MountRecord | undefined {
  const table = readMountTable();
  return recordsOf(pid, paths).find(
    ({ device, mountId, mountpoint }) =>
      device !== undefined &&
      mountId !== undefined &&
      mountOfDevice(table, device, mountpoint) === undefined,
  );
}

/** Who uses the detached mount, as far as /proc shows it to this user. */
export function usesOfDetached({ mountId, mountpoint, pid: server }: MountRecord): MountUse[] {
  // The kernel gives paths from the mount's root on.
  const pathAt = (link: string): string => {
    const path = attempt(() => readLink(link)) ?? '';
    return path.startsWith('/') ? join(mountpoint, path) : path || '?';
  };
  const uses: MountUse[] = [];
  for (const pid of otherProcesses()) {
    if (pid === server) continue;
    for (const [link, how] of BUSY_LINKS) {
      const at = `/proc/${pid}/${link}`;
      if (mountBehind(at) !== mountId) continue;
      uses.push({ pid, command: commandOf(pid), how, path: pathAt(at) });
    }
    for (const fd of descriptorsOf(pid)) {
      if (mountIdOf(pid, fd) !== mountId) continue;
      const path = pathAt(`/proc/${pid}/fd/${fd}`);
      uses.push({ pid, command: commandOf(pid), how: 'open file', path, fd });
    }
  }
  return ownShellFirst(uses);
}

/** Opens nothing but the way there: no file system is asked, and none can keep this waiting. */
function mountBehind(link: string): number | undefined {
  const fd = attempt(() => openSync(link, O_PATH));
  if (fd === undefined) return undefined;
  try {
    return mountIdOf('self', fd);
  } finally {
    closeSync(fd);
  }
}

/** `volume-in-use`, with the users of a detached mount when that is what keeps the volume. */
export function explainInUse(error: unknown, paths: StatePaths): unknown {
  if (!(error instanceof CommandError) || error.code !== 'volume-in-use') return error;
  const record = detachedMountOf(Number(error.details['pid']), paths);
  return record === undefined ? error : stillServed(record, error.code, error.message);
}

/**
 * A mount at the same path was detached: its control files are still where the new mount's would
 * be. Waits for one that is only storing; throws CommandError when programs use it.
 */
export function refuseDetached({ paths, mountpoint, controlMount }: MountPlan): void {
  const isThere = (): boolean => mountAt(readMountTable(), controlMount) !== undefined;
  for (let waitedMs = 0; waitedMs < STORING_MS && isThere(); waitedMs += POLL_MS) {
    const pid = readMountRecord(paths, mountpoint)?.pid;
    const record = pid === undefined ? undefined : detachedMountOf(pid, paths);
    if (record === undefined) return;
    if (usesOfDetached(record).length > 0) {
      throw stillServed(
        record,
        'mountpoint-in-use',
        `process ${record.pid} still serves ${mountpoint}`,
      );
    }
    sleepSync(POLL_MS);
  }
}

function stillServed(record: MountRecord, code: string, what: string): CommandError {
  const uses = usesOfDetached(record);
  const lines = uses.slice(0, NAMED_MAX).map((use) => `\n  ${describeUse(use)}`);
  const who = lines.length === 0 ? ' processes this user may not look at' : lines.join('');
  return new CommandError(
    code,
    'EBUSY',
    `${what}: it was detached from there (umount -l), and is served until its last user is gone:${who}`,
    { pid: record.pid, volume: record.volume, isDetached: true, uses },
  );
}
