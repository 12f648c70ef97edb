/**
 * The processes of this machine and what they have open, as far as /proc shows
 * it to this user: processes come and go meanwhile, and those of other users
 * can't be inspected.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { attempt } from '../lib/attempt.js';

/** Every process but this one. */
export function otherProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid);
}

export function descriptorsOf(pid: number): number[] {
  return (attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []).map(Number);
}

/** What the kernel says of an open file, line by line (proc(5), fdinfo); '': nothing. */
export function descriptorInfo(pid: number | 'self', fd: number): string {
  return attempt(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1')) ?? '';
}

/** The kernel's id of the mount that a descriptor is on. Asks no file system. */
export function mountIdOf(pid: number | 'self', fd: number): number | undefined {
  const id = /^mnt_id:\s*(\d+)$/m.exec(descriptorInfo(pid, fd))?.[1];
  return id === undefined ? undefined : Number(id);
}
