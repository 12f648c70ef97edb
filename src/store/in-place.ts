/**
 * Files whose room, once they have it, is theirs. Btrfs writes what is written
 * again to a new place: on a full disk it has none, whatever was set aside for
 * the file (fallocate). A file that is told so while it is empty is written in
 * place, as on other disks.
 */
import { BTRFS_SUPER_MAGIC, FS_NOCOW_FL } from '../libc/constants.js';
import { fstatfs, getFileFlags, setFileFlags } from '../libc/libc.js';

export function isOnBtrfs(fd: number): boolean {
  const space = fstatfs(fd);
  return typeof space !== 'number' && space.type === BTRFS_SUPER_MAGIC;
}

/** `fd`: an empty file. Where it can't be had the file is as any other. */
export function writeInPlace(fd: number): void {
  if (!isOnBtrfs(fd)) return;
  const flags = getFileFlags(fd);
  if (flags >= 0) setFileFlags(fd, flags | FS_NOCOW_FL);
}

/** False: what is written again takes room again. */
export function isWrittenInPlace(fd: number): boolean {
  if (!isOnBtrfs(fd)) return true;
  const flags = getFileFlags(fd);
  return flags >= 0 && (flags & FS_NOCOW_FL) !== 0;
}
