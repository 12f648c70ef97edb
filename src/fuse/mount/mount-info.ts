/** What is mounted where, from /proc/self/mountinfo, and settings per mount. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { attempt } from '../../lib/attempt.js';
import { fsPath, textOfByteString } from '../../lib/byte-text.js';
import { otherProcesses } from '../../libc/process-files.js';

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

/** Undoes the octal escapes (space, tab, newline, backslash). */
function decode(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return textOfByteString(bytes);
}

/** `text`: the file's bytes as latin1. Lines that are no mount entries are left out. Pure. */
export function parseMountTable(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    // Optional fields end with a dash; then come type, source and options.
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

/** The topmost mount at exactly this mountpoint (absolute, without symbolic links). */
export function mountAt(table: readonly MountEntry[], mountpoint: string): MountEntry | undefined {
  return table.findLast((entry) => entry.mountpoint === mountpoint);
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
  const others = readMountTable()
    .filter((mount) => mount.device === device && mount.root === '/' && mount.mountpoint !== path)
    .map(({ mountpoint }) => mountpoint);
  for (const place of placesToLook(path, others, device)) {
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

/** Paths in this process's namespace first; those in others cost a look at every process. */
function* placesToLook(path: string, others: readonly string[], device: string): Generator<string> {
  yield path;
  yield* others;
  const seen = new Set([attempt(() => readlinkSync('/proc/self/ns/mnt'))]);
  for (const pid of otherProcesses()) {
    const namespace = attempt(() => readlinkSync(`/proc/${pid}/ns/mnt`));
    if (namespace === undefined || seen.has(namespace)) continue;
    seen.add(namespace);
    const text = attempt(() => readFileSync(`/proc/${pid}/mountinfo`, 'latin1')) ?? '';
    for (const mount of parseMountTable(text)) {
      if (mount.device !== device || mount.root !== '/') continue;
      yield `/proc/${pid}/root${mount.mountpoint}`;
    }
  }
}

function isOn(fd: number, device: string): boolean {
  try {
    return deviceText(fstatSync(fd).dev) === device;
  } catch {
    return false;
  }
}

/**
 * Lets the kernel read further ahead than its default of 128 KiB, where
 * permitted (root). Call it after INIT, which sets the value. Returns whether
 * it was set.
 */
export function raiseReadahead(mountpoint: string, readaheadBytes: number): boolean {
  const found = mountAt(readMountTable(), mountpoint);
  if (found === undefined) return false;
  try {
    writeFileSync(`/sys/class/bdi/${found.device}/read_ahead_kb`, String(readaheadBytes >>> 10));
    return true;
  } catch {
    return false;
  }
}
