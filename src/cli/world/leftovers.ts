/** Processes that the command of a `run` has left behind in its branch. */
import { readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { attempt } from '../../lib/attempt.js';
import { otherProcesses } from '../../libc/process-files.js';
import { STAT_FIELD, statFields } from '../../libc/process-stat.js';
import { mountAt, readMountTable } from '../../daemon/mount/mount-table.js';
import { commandOf, usesOfMount } from '../../daemon/mount/processes.js';

/** What ends together with the command has so long. */
const GRACE_MS = 1_000;
const POLL_MS = 20;

export interface LeftProcess {
  pid: number;
  command: string;
}

/** Where the branch is: a namespace, or a mountpoint that everybody sees. */
export interface Whereabouts {
  namespace: string | null;
  mountpoint: string;
}

export function processesIn({ namespace, mountpoint }: Whereabouts): LeftProcess[] {
  const pids = new Set<number>();
  if (namespace !== null) for (const pid of inMountNamespace(namespace)) pids.add(pid);
  const mount = mountAt(readMountTable(), mountpoint);
  if (mount !== undefined) for (const { pid } of usesOfMount(mount)) pids.add(pid);
  return [...pids].sort((a, b) => a - b).map((pid) => ({ pid, command: commandOf(pid) }));
}

function inMountNamespace(namespace: string): number[] {
  return otherProcesses().filter((pid) => {
    if (attempt(() => readlinkSync(`/proc/${pid}/ns/mnt`)) !== namespace) return false;
    return statFields(pid)?.[STAT_FIELD.state] !== 'Z';
  });
}

/** Those that are still there after a moment. */
export async function leftProcesses(where: Whereabouts): Promise<LeftProcess[]> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const left = processesIn(where);
    if (left.length === 0 || waitedMs >= GRACE_MS) return left;
    await sleep(POLL_MS);
  }
}
