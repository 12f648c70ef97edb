/**
 * Mounts that were detached (`umount -l`) and are still in use: no path leads
 * to them and no table lists them, but their process serves them, and has the
 * volume, until their last user is gone. So a new mount of the volume names
 * these users.
 */
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt } from '../../lib/attempt.js';
import { readLink } from '../../lib/byte-paths.js';
import { CommandError } from '../../lib/errors.js';
import { sleepSync } from '../../lib/sleep.js';
import { O_PATH } from '../../libc/constants.js';
import type { MountPlan } from './mount-plan.js';
import { isRunning, type MountRecord, readMountRecord, readMountRecords } from './mount-record.js';
import { mountAt, mountOfDevice, readMountTable } from './mount-table.js';
import type { StatePaths } from './paths.js';
import { commandOf, describeUse, type MountUse, ownShellFirst } from './processes.js';

const NAMED_MAX = 20;
/** How long a mount without users may take to store everything. */
const STORING_MS = 10_000;
const POLL_MS = 20;

/** The process serves a mount that is in no table any more. */
export function detachedMountOf(pid: number, paths: StatePaths): MountRecord | undefined {
  const record = readMountRecords(paths).find((one) => one.pid === pid && isRunning(one));
  if (record?.device === undefined || record.mountId === undefined) return undefined;
  const isListed = mountOfDevice(readMountTable(), record.device, record.mountpoint) !== undefined;
  return isListed ? undefined : record;
}

/** Who uses the detached mount, as far as /proc shows it to this user. */
export function usesOfDetached({ mountId, mountpoint, pid: server }: MountRecord): MountUse[] {
  // The kernel gives paths from the mount's root on.
  const pathAt = (link: string): string => {
    const path = attempt(() => readLink(link)) ?? '';
    return path.startsWith('/') ? join(mountpoint, path) : path || '?';
  };
  const uses: MountUse[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!/^\d+$/.test(name) || pid === process.pid || pid === server) continue;
    for (const [link, how] of [
      ['cwd', 'working directory'],
      ['root', 'root'],
      ['exe', 'program'],
    ] as const) {
      const at = `/proc/${pid}/${link}`;
      if (mountIdOf(at) !== mountId) continue;
      uses.push({ pid, command: commandOf(pid), how, path: pathAt(at) });
    }
    for (const fd of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
      if (mountIdIn(`/proc/${pid}/fdinfo/${fd}`) !== mountId) continue;
      const path = pathAt(`/proc/${pid}/fd/${fd}`);
      uses.push({ pid, command: commandOf(pid), how: 'open file', path, fd: Number(fd) });
    }
  }
  return ownShellFirst(uses);
}

/** Opens nothing but the way there: no file system is asked, and none can keep this waiting. */
function mountIdOf(link: string): number | undefined {
  const fd = attempt(() => openSync(link, O_PATH));
  if (fd === undefined) return undefined;
  try {
    return mountIdIn(`/proc/self/fdinfo/${fd}`);
  } finally {
    closeSync(fd);
  }
}

function mountIdIn(fdinfo: string): number | undefined {
  const text = attempt(() => readFileSync(fdinfo, 'latin1')) ?? '';
  const id = /^mnt_id:\s*(\d+)$/m.exec(text)?.[1];
  return id === undefined ? undefined : Number(id);
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
