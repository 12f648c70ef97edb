/**
 * Mounts of volumes in the kernel's table. Pure but for `readMountTable`, `mountNamespaceOf` and
 * `isDead`.
 */
import { statfsSync } from 'node:fs';
import { attempt } from '../../lib/attempt.js';
import { readLink } from '../../lib/byte-paths.js';
import { fsPath } from '../../lib/byte-text.js';
import { isWithin } from '../../lib/paths.js';
import { mountAt, type MountEntry, readMountTable } from '../../fuse/mount/mount-info.js';

export { mountAt, readMountTable };
export type { MountEntry };

export const SUBTYPE = 'shadowfs';
export const CONTROL_SUBTYPE = 'shadowfs-control';
export const MOUNT_TYPE = `fuse.${SUBTYPE}`;
export const CONTROL_MOUNT_TYPE = `fuse.${CONTROL_SUBTYPE}`;

/** The mount of a volume by its device: at `likely`, if it is there, or wherever it is now. */
export function mountOfDevice(
  table: readonly MountEntry[],
  device: string,
  likely: string,
): MountEntry | undefined {
  const mounts = table.filter((entry) => entry.device === device && entry.type === MOUNT_TYPE);
  const whole = mounts.filter(({ root }) => root === '/');
  return whole.find(({ mountpoint }) => mountpoint === likely) ?? whole[0] ?? mounts[0];
}

/** The innermost mount of `type` that contains `path`. */
export function mountContaining(
  table: readonly MountEntry[],
  path: string,
  type = MOUNT_TYPE,
): MountEntry | undefined {
  return innermostMount(
    table.filter((entry) => entry.type === type),
    path,
  );
}

/** The mount that contains `path`, which is a real one. */
export function innermostMount(table: readonly MountEntry[], path: string): MountEntry | undefined {
  let found: MountEntry | undefined;
  for (const entry of table) {
    if (!isWithin(path, entry.mountpoint)) continue;
    if (found === undefined || entry.mountpoint.length >= found.mountpoint.length) found = entry;
  }
  return found;
}

/** The mount namespace of a process; undefined: this user may not know. */
export function mountNamespaceOf(pid: number | 'self'): string | undefined {
  return attempt(() => readLink(`/proc/${pid}/ns/mnt`));
}

/**
 * True for a mount whose process is gone. Attributes may stay cached for long, so `stat` would not
 * tell. ECONNABORTED: the process ended while this question waited for its answer.
 */
export function isDead(path: string): boolean {
  try {
    statfsSync(fsPath(path));
    return false;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOTCONN' || code === 'ECONNABORTED';
  }
}
