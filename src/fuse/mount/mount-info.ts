/** The mounts from /proc/self/mountinfo, and settings per mount. */
import { readFileSync, writeFileSync } from 'node:fs';
import { textOfByteString } from '../../lib/byte-text.js';

export interface Mount {
  mountpoint: string;
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
