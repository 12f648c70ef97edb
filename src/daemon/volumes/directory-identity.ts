/**
 * What tells a directory from others, whatever its path: the inode's number and
 * its birth time. The two together are never given twice, and do not change
 * when a disk gets another device number. Where a file system keeps no birth
 * time (older NFS, some FUSE file systems), the number and the file system's id
 * are left, and numbers are used again there: such directories are only *like*
 * each other.
 */
import { byteStringOfText } from '../../lib/byte-text.js';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from '../../libc/constants.js';
import { close, fileSystemId, openat } from '../../libc/libc.js';
import { StatxBuffer, statx } from '../../libc/statx.js';
import { deviceOf, inodeOf } from '../../base/base-stat.js';

export interface DirectoryIdentity {
  /** The kernel's id of the file system (f_fsid), hexadecimal; `0` where there is none. */
  fsid: string;
  /** May be another one after a restart. */
  device: number;
  inode: number;
  /** 0 where the file system keeps no birth time. */
  btimeS: number;
  btimeNs: number;
}

export type Likeness = 'same' | 'like' | 'other';

/** Undefined: there is no directory at the path, or this user can't see it. */
export function identityOf(path: string): DirectoryIdentity | undefined {
  const stat = new StatxBuffer();
  if (statx(AT_FDCWD, byteStringOfText(path), 0, stat) < 0) return undefined;
  const { btimeS, btimeNs } = stat;
  return { fsid: fsidOf(path), device: deviceOf(stat), inode: inodeOf(stat), btimeS, btimeNs };
}

/** The id of the file system at the path; `0`: it has none, or the path can't be opened. */
export function fsidOf(path: string): string {
  const fd = openat(AT_FDCWD, byteStringOfText(path), O_PATH | O_DIRECTORY);
  if (fd < 0) return '0';
  const id = fileSystemId(fd);
  close(fd);
  return typeof id === 'number' ? '0' : id;
}

type Stored = Omit<DirectoryIdentity, 'fsid'> & { fsid?: string };

/** Whether two identities, perhaps noted at different times, are one directory's. Pure. */
export function compareIdentities(a: Stored, b: Stored): Likeness {
  if (a.inode !== b.inode) return 'other';
  if (hasBirth(a) && hasBirth(b)) {
    return a.btimeS === b.btimeS && a.btimeNs === b.btimeNs ? 'same' : 'other';
  }
  const known = (fsid: string | undefined): boolean => fsid !== undefined && fsid !== '0';
  const isOneFileSystem =
    known(a.fsid) && known(b.fsid) ? a.fsid === b.fsid : a.device === b.device;
  return isOneFileSystem ? 'like' : 'other';
}

/** Two identities taken at the same moment: bind mounts of one directory agree, clones do not. */
export function isOneDirectory(a: DirectoryIdentity, b: DirectoryIdentity): boolean {
  return a.device === b.device && a.inode === b.inode;
}

function hasBirth({ btimeS, btimeNs }: Stored): boolean {
  return btimeS !== 0 || btimeNs !== 0;
}
