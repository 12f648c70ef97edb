/**
 * Copies of a mount in other mount namespaces. Whoever makes a namespace (`run` does) gets a copy of
 * every mount there is; where mounts are private, an unmount here does not reach it, and the kernel
 * keeps the mount for as long as the namespace lives, whether anybody in there cares or not.
 *
 * A copy at the same path, below the same root directory, is such a by-product: it ends with the
 * mount, unless a process uses it. Any other one (a container's) was made on purpose, and stays.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { attempt } from '../../lib/attempt.js';
import { otherProcesses } from '../../libc/process-files.js';
import { close, syncfs } from '../../libc/libc.js';
import { openMounted, parseMountTable } from '../../fuse/mount/mount-info.js';
import { type MountEntry, mountNamespaceOf, readMountTable } from './mount-table.js';
import { commandOf, fileIdOf, type MountUse, usesByProcess } from './processes.js';

const CONNECTIONS = '/sys/fs/fuse/connections';
const NAMED_MAX = 3;

/** Where the mount is or was; records of an earlier version have no device. */
interface Place {
  device?: string;
  mountpoint: string;
}

export interface MountCopy {
  /** As the other namespace's table has it. */
  mount: MountEntry;
  isByProduct: boolean;
  /** The processes in that namespace. */
  pids: number[];
}

/** In the namespaces into which this user may look. */
export function copiesOf({ device, mountpoint }: Place): MountCopy[] {
  const here = mountNamespaceOf('self');
  const pidsIn = new Map<string, number[]>();
  for (const pid of otherProcesses()) {
    const namespace = mountNamespaceOf(pid);
    if (namespace === undefined || namespace === here) continue;
    const pids = pidsIn.get(namespace) ?? [];
    pids.push(pid);
    pidsIn.set(namespace, pids);
  }
  const copies: MountCopy[] = [];
  for (const pids of pidsIn.values()) {
    const at = `/proc/${pids[0]}`;
    const text = attempt(() => readFileSync(`${at}/mountinfo`, 'latin1')) ?? '';
    if (!text.includes(` ${device} `)) continue;
    const isSameRoot = fileIdOf(`${at}/root`) === fileIdOf('/');
    for (const mount of parseMountTable(text)) {
      if (mount.device !== device) continue;
      copies.push({ mount, isByProduct: isSameRoot && mount.mountpoint === mountpoint, pids });
    }
  }
  return copies;
}

export function usesOfCopies(copies: readonly MountCopy[]): MountUse[] {
  return copies.flatMap(({ mount, pids }) => pids.flatMap((pid) => [...usesByProcess(pid, mount)]));
}

/** Writes out what the kernel holds of it. A copy that another mount covers nobody can write to. */
export function flushMount(mountpoint: string, device: string): void {
  const fd = openMounted(mountpoint, device);
  if (fd < 0) return;
  syncfs(fd);
  close(fd);
}

/**
 * Ends a mount of which nothing but unused by-products is left, when all that the kernel holds of
 * it has been written out. Its process sees the end as that of an unmount. A text: who has copies
 * that it must not end, or that it can't.
 */
export function endCopies(mount: Place): string | undefined {
  if (mount.device === undefined) return undefined;
  const isHere = readMountTable().some(({ device }) => device === mount.device);
  const copies = isHere ? [] : copiesOf(mount);
  if (copies.length === 0) return undefined;
  const { device, mountpoint } = mount;
  const [, minor = ''] = device.split(':');
  const mayEnd = copies.every(({ isByProduct }) => isByProduct);
  if (mayEnd && usesOfCopies(copies).length === 0) {
    const isEnded = attempt(() => {
      flushMount(mountpoint, device);
      writeFileSync(`${CONNECTIONS}/${minor}/abort`, '1');
      return true;
    });
    if (isEnded === true) return undefined;
  }
  const pids = [...new Set(copies.flatMap((copy) => copy.pids))];
  const named = pids.slice(0, NAMED_MAX).map((pid) => `${commandOf(pid)} (pid ${pid})`);
  const more = pids.length > NAMED_MAX ? ` and ${pids.length - NAMED_MAX} more` : '';
  return `${named.join(', ')}${more}`;
}
