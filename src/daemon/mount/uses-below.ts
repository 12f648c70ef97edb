/**
 * Processes that stand, or have files open, in the directory that a mount
 * covers. Their paths look as if they were in the mount: what they write goes
 * into the original directory, and nothing of the mount shows it to them. So a
 * mount names them. Only what /proc shows to this user is seen.
 *
 * Never call it in a thread that serves the mount: it may look into the mount.
 */
import { attempt } from '../../lib/attempt.js';
import { readLink } from '../../lib/byte-paths.js';
import { descriptorsOf, mountIdOf, otherProcesses } from '../../libc/process-files.js';
import { isWithin } from '../../lib/paths.js';
import type { MountEntry } from './mount-table.js';
import { BUSY_LINKS, commandOf, deviceOf, type MountUse, ownShellFirst } from './processes.js';

/** Enough to act upon; a busy server may have thousands of files open. */
const LIMIT = 100;

/** `servedBy`: the process that serves the mount, which has the directory open on purpose. */
export function usesBelow(mount: MountEntry, servedBy: number): MountUse[] {
  const uses: MountUse[] = [];
  for (const pid of otherProcesses()) {
    if (pid === servedBy) continue;
    uses.push(...usesByProcess(pid, mount));
    if (uses.length >= LIMIT) break;
  }
  return ownShellFirst(uses).slice(0, LIMIT);
}

function* usesByProcess(pid: number, mount: MountEntry): Generator<MountUse> {
  for (const [link, how] of BUSY_LINKS) {
    // A program writes nothing into its own file.
    if (link === 'exe') continue;
    const at = `/proc/${pid}/${link}`;
    const path = attempt(() => readLink(at));
    if (isBelow(at, path, mount)) yield { pid, command: commandOf(pid), how, path };
  }
  for (const fd of descriptorsOf(pid)) {
    const at = `/proc/${pid}/fd/${fd}`;
    const path = attempt(() => readLink(at));
    // What only reads, as a program's log viewer does, is misled, too.
    if (path === undefined || !isWithin(path, mount.mountpoint)) continue;
    // Asked before anything stats a file of the mount itself.
    if (mountIdOf(pid, fd) === mount.mountId || !isBelow(at, path, mount)) continue;
    yield { pid, command: commandOf(pid), how: 'open file', path, fd };
  }
}

function isBelow(link: string, path: string | undefined, mount: MountEntry): path is string {
  if (path === undefined || !isWithin(path, mount.mountpoint)) return false;
  // A removed file has no name that could be mistaken for one of the mount.
  if (path.endsWith(' (deleted)')) return false;
  const device = deviceOf(link);
  return device !== undefined && device !== mount.device;
}
