/**
 * The file system that something lies on, by its mountpoint: so that a volume on
 * a disk that is not mounted now is told from one that is gone.
 */
import { innermostMount, type MountEntry } from '../mount/mount-table.js';
import { fsidOf } from './directory-identity.js';

export interface Disk {
  mountpoint: string;
  /** `/dev/sdb1`, `server:/export` … */
  source: string;
  type: string;
  fsid: string;
}

/** The innermost mount that contains the path, which is a real one. */
export function diskOf(table: readonly MountEntry[], path: string): Disk | undefined {
  const found = innermostMount(table, path);
  if (found === undefined) return undefined;
  const { mountpoint, source, type } = found;
  return { mountpoint, source, type, fsid: fsidOf(mountpoint) };
}

/** Why nothing of the disk can be seen, as the end of a sentence; undefined: it is mounted. */
export function whyAbsent(
  disk: Disk | null,
  table: readonly MountEntry[],
  fsid: (mountpoint: string) => string = fsidOf,
): string | undefined {
  if (disk === null) return undefined;
  const { mountpoint, source, type } = disk;
  const now = table.findLast((entry) => entry.mountpoint === mountpoint);
  if (now === undefined) {
    return `${source} (${type}), which was mounted on ${mountpoint}, is not mounted there now`;
  }
  const nowId = fsid(mountpoint);
  // Some file systems derive the id from the device's number, which may change.
  const isOther = nowId !== disk.fsid && (now.source !== source || now.type !== type);
  if (!isOther) return undefined;
  return `${source} (${type}) was mounted on ${mountpoint}, and ${now.source} (${now.type}) is now`;
}
