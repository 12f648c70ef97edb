/** What is mounted where, from /proc/self/mountinfo. Pure except for `readMountTable`. */
import { readFileSync, statfsSync } from 'node:fs';
import { fsPath, textOfByteString } from '../../lib/byte-text.js';
import { isWithin } from '../../lib/paths.js';

export interface MountEntry {
  mountId: number;
  /** `major:minor` of the file system. */
  device: string;
  /** The directory of the file system that is mounted there; not `/`: a bind mount of a part. */
  root: string;
  mountpoint: string;
  /** `fuse.shadowfs`, `ext4` … */
  type: string;
  source: string;
  mountOptions: string;
  superOptions: string;
}

export const SUBTYPE = 'shadowfs';
export const CONTROL_SUBTYPE = 'shadowfs-control';
export const MOUNT_TYPE = `fuse.${SUBTYPE}`;
export const CONTROL_MOUNT_TYPE = `fuse.${CONTROL_SUBTYPE}`;

/** Undoes the octal escapes (space, tab, newline, backslash). */
function decode(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return textOfByteString(bytes);
}

/** `text`: the file's bytes as latin1. Lines that are no mount entries are left out. */
export function parseMountTable(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const [id, , device, root, mountpoint, mountOptions] = fields;
    const [type, source, superOptions] = fields.slice(dash + 1);
    if (dash < 0 || mountpoint === undefined || type === undefined || source === undefined)
      continue;
    entries.push({
      mountId: Number(id),
      device: device ?? '',
      root: decode(root ?? ''),
      mountpoint: decode(mountpoint),
      type: decode(type),
      source: decode(source),
      mountOptions: mountOptions ?? '',
      superOptions: superOptions ?? '',
    });
  }
  return entries;
}

export function readMountTable(): MountEntry[] {
  return parseMountTable(readFileSync('/proc/self/mountinfo', 'latin1'));
}

/** The topmost mount at exactly this mountpoint. */
export function mountAt(table: readonly MountEntry[], mountpoint: string): MountEntry | undefined {
  return table.findLast((entry) => entry.mountpoint === mountpoint);
}

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

/**
 * True for a mount whose process is gone. Attributes may stay cached for long, so `stat` would not
 * tell.
 */
export function isDead(path: string): boolean {
  try {
    statfsSync(fsPath(path));
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOTCONN';
  }
}
