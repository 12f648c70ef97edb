/**
 * Which processes use a mount, as far as /proc shows it to this user. Never
 * call it in the serving thread: it looks into the mount.
 */
import { readFileSync, statSync } from 'node:fs';
import { attempt } from '../../lib/attempt.js';
import { readLink } from '../../lib/byte-paths.js';
import { shownName, textOfByteString } from '../../lib/byte-text.js';
import { ERRNO } from '../../lib/errors.js';
import { descriptorsOf, mountIdOf, otherProcesses } from '../../libc/process-files.js';
import { STAT_FIELD, statFields } from '../../libc/process-stat.js';
import { deviceText } from '../../fuse/mount/mount-info.js';
import { isWithin } from '../../lib/paths.js';
import type { MountEntry } from './mount-table.js';

export interface MountUse {
  pid: number;
  command: string;
  how: 'working directory' | 'root' | 'open file' | 'mapped file' | 'program';
  path: string;
  /** For open files: the descriptor's number. */
  fd?: number;
  /** The shell, or whatever else, that has started this command. */
  isOwnShell?: true;
}

/** The links of a process (proc(5)) that keep a mount busy. */
export const BUSY_LINKS = [
  ['cwd', 'working directory'],
  ['root', 'root'],
  ['exe', 'program'],
] as const;

/** Every use of the mount by a process that this user may inspect; at most `limit`. */
export function usesOfMount(mount: MountEntry, limit = 1000): MountUse[] {
  const uses: MountUse[] = [];
  for (const pid of otherProcesses()) {
    for (const use of usesByProcess(pid, mount)) {
      if (uses.length >= limit) return uses;
      uses.push(use);
    }
  }
  return ownShellFirst(uses);
}

/**
 * Those of the processes from which this command comes are first, and the nearest of them is marked:
 * it is what a person can do something about at once.
 */
export function ownShellFirst(uses: readonly MountUse[]): MountUse[] {
  const ancestors: number[] = [];
  for (let pid = process.ppid; pid > 1 && !ancestors.includes(pid); ) {
    ancestors.push(pid);
    pid = parentOf(pid);
  }
  const shell = ancestors.find((pid) => uses.some((use) => use.pid === pid));
  const rank = ({ pid }: MountUse): number =>
    ancestors.includes(pid) ? ancestors.indexOf(pid) : ancestors.length;
  return uses
    .map((use): MountUse => (use.pid === shell ? { ...use, isOwnShell: true } : use))
    .sort((a, b) => rank(a) - rank(b));
}

export function commandOf(pid: number): string {
  return attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim()) ?? '?';
}

/** `mount`: as the table of the process's own mount namespace has it. */
export function* usesByProcess(pid: number, mount: MountEntry): Generator<MountUse> {
  const command = commandOf(pid);
  for (const [link, how] of BUSY_LINKS) {
    const path = attempt(() => readLink(`/proc/${pid}/${link}`));
    if (path === undefined || !isWithin(path, mount.mountpoint)) continue;
    // The covered directory of a mount in place has the same path, but another device.
    if (deviceOf(`/proc/${pid}/${link}`) === mount.device) yield { pid, command, how, path };
  }
  for (const fd of descriptorsOf(pid)) {
    if (mountIdOf(pid, fd) !== mount.mountId) continue;
    const path = attempt(() => readLink(`/proc/${pid}/fd/${fd}`)) ?? '?';
    yield { pid, command, how: 'open file', path, fd };
  }
  const mapped = new Set<string>();
  for (const line of (attempt(() => readFileSync(`/proc/${pid}/maps`, 'latin1')) ?? '').split(
    '\n',
  )) {
    const path = textOfByteString(line.slice(line.indexOf('/')));
    if (line.includes('/') && isWithin(path, mount.mountpoint) && !mapped.has(path)) {
      mapped.add(path);
      if (line.split(/\s+/)[3] === hexDevice(mount.device)) {
        yield { pid, command, how: 'mapped file', path };
      }
    }
  }
}

/**
 * Open files of the mount that show an old version since a restore that began
 * at `sinceMs`: their attributes are stale, or they lost their last name then.
 */
export function staleFiles(mount: MountEntry, sinceMs: number): MountUse[] {
  const stale = usesOfMount(mount).filter((use) => {
    if (use.fd === undefined) return false;
    try {
      const { nlink, ctimeMs } = statSync(`/proc/${use.pid}/fd/${use.fd}`);
      return nlink === 0 && ctimeMs >= sinceMs;
    } catch (error) {
      // Node has no name for ESTALE.
      return (error as NodeJS.ErrnoException).errno === -ERRNO.ESTALE;
    }
  });
  // A kernel that can't expire a name without removing it reports a changed file as deleted.
  return stale.map((use) => ({ ...use, path: use.path.replace(/ \(deleted\)$/, '') }));
}

/** The process that started it, or 0. */
export function parentOf(pid: number): number {
  return Number(statFields(pid)?.[STAT_FIELD.parent] ?? 0);
}

/** For messages: `sleep (pid 17): working directory /mnt/x`. */
export function describeUse(use: MountUse): string {
  const who = use.isOwnShell === true ? `, this shell` : '';
  return `${use.command} (pid ${use.pid}${who}): ${use.how} ${shownName(use.path)}`;
}

export function deviceOf(path: string): string | undefined {
  const device = attempt(() => statSync(path).dev);
  return device === undefined ? undefined : deviceText(device);
}

/** Which file it is, whatever its name; undefined: it can't be looked at. */
export function fileIdOf(path: string): string | undefined {
  const found = attempt(() => statSync(path));
  return found && `${found.dev}:${found.ino}`;
}

/** As /proc/PID/maps writes it. */
function hexDevice(device: string): string {
  return device
    .split(':')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':');
}
