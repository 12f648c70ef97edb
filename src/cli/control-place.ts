/**
 * Which control files belong to a mount, and which mount to control files: by
 * what is mounted, since names, state directories and users differ.
 *
 * What must hold: root reaches the mounts of every user. FUSE lets nobody but
 * the mount's owner in, not even root, so that root becomes that user first.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fsPath } from '../lib/byte-text.js';
import { findMountRecord, isRunning } from '../daemon/mount/mount-record.js';
import {
  CONTROL_MOUNT_TYPE,
  type MountEntry,
  mountContaining,
  mountOfDevice,
  readMountTable,
} from '../daemon/mount/mount-table.js';
import type { StatePaths } from '../daemon/mount/paths.js';

/** The directory of the control files of a mount. */
export function controlDirectoryOf(mount: MountEntry, paths: StatePaths): string {
  becomeOwner(mount);
  const record = findMountRecord(paths, mount);
  if (record !== undefined && isRunning(record)) return record.controlMount;
  // Another user's, or made with another state directory.
  const all = readMountTable().filter(({ type }) => type === CONTROL_MOUNT_TYPE);
  const isLikely = ({ source }: MountEntry): boolean => source === `control:${mount.mountpoint}`;
  const likely = all.filter(isLikely);
  // A directory above the mountpoint may have been renamed.
  for (const { mountpoint } of [...likely, ...all.filter((entry) => !isLikely(entry))]) {
    if (statusAt(mountpoint)?.device === mount.device) return mountpoint;
  }
  return likely.at(-1)?.mountpoint ?? join(mount.mountpoint, '.control');
}

/** The mount whose control files contain `path`. Undefined: none do, or it was detached. */
export function mountOfControlFiles(
  table: readonly MountEntry[],
  path: string,
): MountEntry | undefined {
  const control = mountContaining(table, path, CONTROL_MOUNT_TYPE);
  if (control === undefined) return undefined;
  becomeOwner(control);
  const { device, mountpoint = '' } = statusAt(control.mountpoint) ?? {};
  return typeof device === 'string' ? mountOfDevice(table, device, mountpoint) : undefined;
}

/** Undefined: it does not answer to this user. */
function statusAt(controlMount: string): { device?: unknown; mountpoint?: string } | undefined {
  try {
    return JSON.parse(readFileSync(fsPath(join(controlMount, 'status')), 'utf8')) as {
      device?: unknown;
    };
  } catch {
    return undefined;
  }
}

/** Who made the mount, as the kernel's table has it. */
export function ownerOf({ superOptions }: MountEntry): { uid: number; gid: number } {
  const number = (key: string): number =>
    Number(new RegExp(`(?:^|,)${key}=(\\d+)`).exec(superOptions)?.[1] ?? 0);
  return { uid: number('user_id'), gid: number('group_id') };
}

/** Root turns into the user whose mount it is, for the rest of this process. */
function becomeOwner(mount: MountEntry): void {
  const { uid, gid } = ownerOf(mount);
  if (process.getuid?.() !== 0 || uid === 0) return;
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}
