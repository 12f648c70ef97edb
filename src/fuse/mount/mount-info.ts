/** The mounts from /proc/self/mountinfo, and settings per mount. */
import { closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { fsPath, textOfByteString } from '../../lib/byte-text.js';

export interface Mount {
  mountpoint: string;
  /** The directory of the file system that is mounted there: `/`, or another one by a bind mount. */
  root: string;
  /** `fuse.shadowfs`, `ext4` … */
  type: string;
  source: string;
  deviceMajor: number;
  deviceMinor: number;
}

/** Undoes the octal escapes of space, tab, newline and backslash. */
function unescapeField(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return textOfByteString(bytes);
}

/** `text`: the file's bytes as latin1. Lines in another format are skipped. */
export function parseMountInfo(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    // Optional fields end with a dash; then come type, source and options.
    const dash = fields.indexOf('-', 6);
    if (dash < 0) continue;
    const [major, minor] = (fields[2] ?? '').split(':').map(Number);
    mounts.push({
      mountpoint: unescapeField(fields[4] ?? ''),
      root: unescapeField(fields[3] ?? ''),
      type: unescapeField(fields[dash + 1] ?? ''),
      source: unescapeField(fields[dash + 2] ?? ''),
      deviceMajor: major ?? 0,
      deviceMinor: minor ?? 0,
    });
  }
  return mounts;
}

export function listMounts(): Mount[] {
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1'));
}

/** `major:minor` of a device number as stat gives it. Pure. */
export function deviceText(device: number): string {
  const low = device % 2 ** 32;
  const major = (low >>> 8) & 0xfff;
  const minor = (low & 0xff) | ((low >>> 12) & 0xfff00);
  return `${major}:${minor}`;
}

/**
 * A descriptor of the root directory of the file system `device`, which was mounted at `path`: a
 * directory above it may have been renamed since, and another mount may cover it. -1: no path leads
 * there. The caller closes it soon, since it keeps the mount busy.
 */
export function openMounted(path: string, device: string): number {
  const [major, minor] = device.split(':').map(Number);
  const others = listMounts()
    .filter((mount) => mount.deviceMajor === major && mount.deviceMinor === minor)
    .filter((mount) => mount.root === '/' && mount.mountpoint !== path)
    .map(({ mountpoint }) => mountpoint);
  for (const place of [path, ...others]) {
    try {
      const fd = openSync(fsPath(place), constants.O_RDONLY | constants.O_DIRECTORY);
      if (isOn(fd, device)) return fd;
      closeSync(fd);
    } catch {
      // Renamed, removed, or nobody may go there any more.
    }
  }
  return -1;
}

function isOn(fd: number, device: string): boolean {
  try {
    return deviceText(fstatSync(fd).dev) === device;
  } catch {
    return false;
  }
}

/** The top mount at exactly this path (absolute, without symbolic links). */
export function findMount(path: string): Mount | undefined {
  return listMounts().findLast(({ mountpoint }) => mountpoint === path);
}

/**
 * Lets the kernel read further ahead than its default of 128 KiB, where
 * permitted (root). Call it after INIT, which sets the value. Returns whether
 * it was set.
 */
export function raiseReadahead(mountpoint: string, readaheadBytes: number): boolean {
  const found = findMount(mountpoint);
  if (found === undefined) return false;
  const device = `${found.deviceMajor}:${found.deviceMinor}`;
  try {
    writeFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, String(readaheadBytes >>> 10));
    return true;
  } catch {
    return false;
  }
}
