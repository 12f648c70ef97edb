/**
 * Mounts that were detached (`umount -l`) and are still in use: no path leads
 * to them and no table lists them, but their process serves them, and has the
 * volume, until their last user is gone. So a new mount of the volume names
 * these users.
 */
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { readLink } from '../../lib/byte-paths.js';
import { CommandError } from '../../lib/errors.js';
import { O_PATH } from '../../libc/constants.js';
import { isRunning, type MountRecord, readMountRecords } from './mount-record.js';
import { mountOfDevice, readMountTable } from './mount-table.js';
import type { StatePaths } from './paths.js';
import { attempt, commandOf, describeUse, type MountUse, ownShellFirst } from './processes.js';

const NAMED_MAX = 20;

/** The process serves a mount that is in no table any more. */
export function detachedMountOf(pid: number, paths: StatePaths): MountRecord | undefined {
  const record = readMountRecords(paths).find((one) => one.pid === pid && isRunning(one));
  if (record?.device === undefined || record.mountId === undefined) return undefined;
  const isListed = mountOfDevice(readMountTable(), record.device, record.mountpoint) !== undefined;
  return isListed ? undefined : record;
}

/** Who uses the detached mount, as far as /proc shows it to this user. */
export function usesOfDetached({ mountId, pid: server }: MountRecord): MountUse[] {
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
      uses.push({ pid, command: commandOf(pid), how, path: attempt(() => readLink(at)) ?? '?' });
    }
    for (const fd of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
      if (mountIdIn(`/proc/${pid}/fdinfo/${fd}`) !== mountId) continue;
      const path = attempt(() => readLink(`/proc/${pid}/fd/${fd}`)) ?? '?';
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
  if (record === undefined) return error;
  const uses = usesOfDetached(record);
  const lines = uses.slice(0, NAMED_MAX).map((use) => `\n  ${describeUse(use)}`);
  const who = lines.length === 0 ? ' processes this user may not look at' : lines.join('');
  return new CommandError(
    error.code,
    error.errno,
    `${error.message}: it was detached from there (umount -l), and is served until its last user is gone:${who}`,
    { ...error.details, isDetached: true, uses },
  );
}
