/**
 * The writing half of the gate to a base directory: only `apply` has it (rule
 * D9). Every call names a file by its path below the base, opens the directory
 * above it step by step, never through a symlink nor out of the base, and
 * changes one name there.
 *
 * What must hold: nothing outside the base is reached, whatever somebody else
 * does to the directories meanwhile; each call is one change, done or refused
 * (FsError).
 *
 * Doors: base-writer.
 */
import { ERRNO, FsError } from '../../lib/errors.js';
import { S_IFDIR, S_IFLNK, S_IFMT } from '../../lib/file-mode.js';
import { isWithin, parentOf } from '../../lib/paths.js';
import {
  AT_EMPTY_PATH,
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
} from '../../libc/constants.js';
import { readDirectory } from '../../libc/directory.js';
import {
  AT_REMOVEDIR,
  fchmodat,
  fchownat,
  type FileTimes,
  ftruncate,
  linkat,
  lremovexattr,
  lsetxattr,
  mayChangeNames,
  mkdirat,
  mknodat,
  RENAME_EXCHANGE,
  renameat2,
  symlinkat,
  unlinkat,
  utimensat,
} from '../../libc/files.js';
import { close, dup, fstatfs, openat, pwrite, syncfs } from '../../libc/libc.js';
import { fsError } from '../../libc/library.js';
import { StatxBuffer, statx } from '../../libc/statx.js';
import { llistxattr, lgetxattr } from '../../libc/xattrs.js';
import { meansAbsent, openBelow } from '../base-handles.js';
import { type BaseStat, toBaseStat } from '../base-stat.js';

/** Directories kept open. */
const DIRECTORIES_MAX = 64;

export interface FileAttributes {
  mode: number;
  uid: number;
  gid: number;
  times: FileTimes;
  /** All that the file is to have; absent: they stay as they are. */
  xattrs?: readonly (readonly [name: string, value: Uint8Array])[];
}

/** A name in an open directory. */
interface Place {
  fd: number;
  name: string;
}

export class BaseWriter {
  readonly #rootFd: number;
  readonly #directories = new Map<string, number>();
  readonly #stat = new StatxBuffer();

  /** `rootFd`: a descriptor of the base, which stays the caller's. */
  constructor(rootFd: number) {
    this.#rootFd = dup(rootFd);
    if (this.#rootFd < 0) throw fsError(this.#rootFd, 'dup');
  }

  close(): void {
    this.forget();
    close(this.#rootFd);
  }

  /** Call when directories have moved: those that are open may lie elsewhere now. */
  forget(): void {
    for (const fd of this.#directories.values()) close(fd);
    this.#directories.clear();
  }

  #directory(path: string): number {
    if (path === '') return this.#rootFd;
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const fd = openBelow(this.#rootFd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0) return fd;
    if (this.#directories.size >= DIRECTORIES_MAX) this.forget();
    this.#directories.set(path, fd);
    return fd;
  }

  /** Two places that are used together: the descriptor of one stays open while the other's opens. */
  #places(from: string, to: string, syscall: string): { source: Place; target: Place } {
    if (this.#directories.size + 2 > DIRECTORIES_MAX) this.forget();
    return { source: this.#place(from, syscall), target: this.#place(to, syscall) };
  }

  #place(path: string, syscall: string): Place {
    const fd = this.#directory(parentOf(path));
    if (fd < 0) throw fsError(fd, syscall, path);
    return { fd, name: path.slice(path.lastIndexOf('/') + 1) || '.' };
  }

  /** Undefined: there is no such file. */
  lstat(path: string): BaseStat | undefined {
    if (path === '') return this.#rootStat();
    const fd = this.#directory(parentOf(path));
    if (fd < 0 && meansAbsent(fd)) return undefined;
    if (fd < 0) throw fsError(fd, 'stat', path);
    const name = path.slice(path.lastIndexOf('/') + 1);
    const failed = statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, this.#stat);
    if (failed === 0) return toBaseStat(this.#stat);
    if (meansAbsent(failed)) return undefined;
    throw fsError(failed, 'stat', path);
  }

  #rootStat(): BaseStat {
    const failed = statx(this.#rootFd, '', AT_EMPTY_PATH, this.#stat);
    if (failed < 0) throw fsError(failed, 'stat');
    return toBaseStat(this.#stat);
  }

  /** Whether this process may make and remove names in a directory: 0 or -errno. */
  mayChangeNames(path: string): number {
    const fd = this.#directory(path);
    return fd < 0 ? fd : mayChangeNames(fd, '.');
  }

  /** Bytes that this user may still write. */
  availableBytes(): number {
    const space = fstatfs(this.#rootFd);
    return typeof space === 'number' ? 0 : space.blocksAvailable * space.blockSize;
  }

  makeDirectory(path: string, mode: number): void {
    const { fd, name } = this.#place(path, 'mkdir');
    check(mkdirat(fd, name, mode), 'mkdir', path);
  }

  /** A new file: its descriptor, which the caller closes. */
  makeFile(path: string, size: number): number {
    const { fd, name } = this.#place(path, 'create');
    const file = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    if (file < 0) throw fsError(file, 'create', path);
    const failed = ftruncate(file, size);
    if (failed === 0) return file;
    close(file);
    throw fsError(failed, 'truncate', path);
  }

  write(fd: number, bytes: Uint8Array, offset: number, path: string): void {
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.subarray(done);
      const count = pwrite(fd, rest, rest.length, offset + done);
      if (count === -ERRNO.EINTR) continue;
      if (count < 0) throw fsError(count, 'write', path);
      done += count;
    }
  }

  makeSymlink(path: string, target: string): void {
    const { fd, name } = this.#place(path, 'symlink');
    check(symlinkat(target, fd, name), 'symlink', path);
  }

  makeNode(path: string, mode: number, device: number): void {
    const { fd, name } = this.#place(path, 'mknod');
    check(mknodat(fd, name, mode, device), 'mknod', path);
  }

  link(from: string, to: string): void {
    const { source, target } = this.#places(from, to, 'link');
    check(linkat(source.fd, source.name, target.fd, target.name), 'link', to);
  }

  /** Replaces what is there, where rename(2) does. */
  rename(from: string, to: string): void {
    this.#rename(from, to, 0);
  }

  /** Both names must be there; false: the file system can't. */
  exchange(a: string, b: string): boolean {
    try {
      this.#rename(a, b, RENAME_EXCHANGE);
      return true;
    } catch (error) {
      if (error instanceof FsError && error.code === 'EINVAL') return false;
      throw error;
    }
  }

  #rename(from: string, to: string, flags: number): void {
    const { source, target } = this.#places(from, to, 'rename');
    check(renameat2(source.fd, source.name, target.fd, target.name, flags), 'rename', to);
    for (const path of this.#directories.keys()) {
      if (isWithin(path, from) || isWithin(path, to)) {
        this.forget();
        return;
      }
    }
  }

  unlink(path: string): void {
    const { fd, name } = this.#place(path, 'unlink');
    check(unlinkat(fd, name), 'unlink', path);
  }

  removeDirectory(path: string): void {
    this.forget();
    const { fd, name } = this.#place(path, 'rmdir');
    check(unlinkat(fd, name, AT_REMOVEDIR), 'rmdir', path);
  }

  /** Names of a directory, in the file system's order, with what their entries say they are. */
  names(path: string): { name: string; type: number }[] {
    const fd =
      path === ''
        ? openat(this.#rootFd, '.', O_RDONLY | O_DIRECTORY)
        : openBelow(this.#rootFd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0) throw fsError(fd, 'readdir', path);
    try {
      const found = readDirectory(fd);
      if (typeof found === 'number') throw fsError(found, 'readdir', path);
      return found;
    } finally {
      close(fd);
    }
  }

  /**
   * Owner before mode, since chown(2) takes set-id bits away; xattrs (ACLs among them) after the
   * mode, which they refine; times last.
   */
  setAttributes(path: string, wanted: FileAttributes): void {
    const { fd, name } = this.#place(path, 'setattr');
    const now = this.lstat(path);
    if (now === undefined) throw new FsError('ENOENT', 'setattr', path);
    const isLink = (now.mode & S_IFMT) === S_IFLNK;
    if (now.uid !== wanted.uid || now.gid !== wanted.gid) {
      check(fchownat(fd, name, wanted.uid, wanted.gid), 'chown', path);
    }
    const isChanged = now.mode !== wanted.mode || now.uid !== wanted.uid || now.gid !== wanted.gid;
    if (!isLink && isChanged) check(fchmodat(fd, name, wanted.mode & 0o7777), 'chmod', path);
    if (wanted.xattrs !== undefined) this.#setXattrs(fd, name, path, wanted.xattrs);
    check(utimensat(fd, name, wanted.times), 'utimens', path);
  }

  #setXattrs(
    fd: number,
    name: string,
    path: string,
    wanted: readonly (readonly [name: string, value: Uint8Array])[],
  ): void {
    const file = `/proc/self/fd/${fd}/${name}`;
    const found = llistxattr(file);
    const names = typeof found === 'number' ? [] : found;
    for (const [xattr, value] of wanted) {
      const has = lgetxattr(file, xattr);
      if (typeof has !== 'number' && Buffer.compare(has, value) === 0) continue;
      check(lsetxattr(file, xattr, value), `setxattr ${xattr}`, path);
    }
    for (const xattr of names) {
      // Security modules label files by themselves.
      if (xattr === 'security.selinux' || wanted.some(([kept]) => kept === xattr)) continue;
      check(lremovexattr(file, xattr), `removexattr ${xattr}`, path);
    }
  }

  closeFile(fd: number): void {
    close(fd);
  }

  /** Writes everything of the base's file system out. */
  flush(): void {
    check(syncfs(this.#rootFd), 'syncfs');
  }

  /** A descriptor that `flush` of another thread can use. */
  get rootFd(): number {
    return this.#rootFd;
  }
}

export function isDirectoryStat({ mode }: Pick<BaseStat, 'mode'>): boolean {
  return (mode & S_IFMT) === S_IFDIR;
}

function check(answer: number, syscall: string, path = ''): void {
  if (answer < 0) throw fsError(answer, syscall, path);
}
