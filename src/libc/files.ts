/**
 * System calls that change a directory tree, each below a directory's
 * descriptor, and the attributes of files. Names are byte strings; symlinks are
 * not followed. 0 or -errno.
 */
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_NOFOLLOW, O_PATH } from './constants.js';
import { close, openat } from './libc.js';
import { glibc, result, scratchPath, scratchPath2 } from './library.js';

export const RENAME_EXCHANGE = 2;
export const AT_REMOVEDIR = 0x200;
const AT_EACCESS = 0x200;
const W_OK = 2;
const X_OK = 1;

const callRenameat2: (
  fromDir: number,
  from: Uint8Array,
  toDir: number,
  to: Uint8Array,
  flags: number,
) => number = glibc.func('int renameat2(int, void *, int, void *, uint32_t)');
const callLinkat: (
  fromDir: number,
  from: Uint8Array,
  toDir: number,
  to: Uint8Array,
  flags: number,
) => number = glibc.func('int linkat(int, void *, int, void *, int)');
const callUnlinkat: (dir: number, name: Uint8Array, flags: number) => number = glibc.func(
  'int unlinkat(int, void *, int)',
);
const callMkdirat: (dir: number, name: Uint8Array, mode: number) => number = glibc.func(
  'int mkdirat(int, void *, uint32_t)',
);
const callMknodat: (dir: number, name: Uint8Array, mode: number, device: number) => number =
  glibc.func('int mknodat(int, void *, uint32_t, uint64_t)');
const callSymlinkat: (target: Uint8Array, dir: number, name: Uint8Array) => number = glibc.func(
  'int symlinkat(void *, int, void *)',
);
const callFchmodat: (dir: number, name: Uint8Array, mode: number, flags: number) => number =
  glibc.func('int fchmodat(int, void *, uint32_t, int)');
const callFchownat: (
  dir: number,
  name: Uint8Array,
  uid: number,
  gid: number,
  flags: number,
) => number = glibc.func('int fchownat(int, void *, uint32_t, uint32_t, int)');
const callUtimensat: (dir: number, name: Uint8Array, times: Uint8Array, flags: number) => number =
  glibc.func('int utimensat(int, void *, void *, int)');
const callFaccessat: (dir: number, name: Uint8Array, mode: number, flags: number) => number =
  glibc.func('int faccessat(int, void *, int, int)');
const callFtruncate: (fd: number, size: number) => number = glibc.func(
  'int ftruncate64(int, int64_t)',
);
const callLsetxattr: (
  path: Uint8Array,
  name: Uint8Array,
  value: Uint8Array,
  size: number,
  flags: number,
) => number = glibc.func('int lsetxattr(void *, void *, void *, uint64_t, int)');
const callLremovexattr: (path: Uint8Array, name: Uint8Array) => number = glibc.func(
  'int lremovexattr(void *, void *)',
);

export function renameat2(
  fromDir: number,
  from: string,
  toDir: number,
  to: string,
  flags = 0,
): number {
  const bad = scratchPath.set(from) || scratchPath2.set(to);
  if (bad !== 0) return bad;
  return result(callRenameat2(fromDir, scratchPath.bytes, toDir, scratchPath2.bytes, flags));
}

export function linkat(fromDir: number, from: string, toDir: number, to: string): number {
  const bad = scratchPath.set(from) || scratchPath2.set(to);
  if (bad !== 0) return bad;
  return result(callLinkat(fromDir, scratchPath.bytes, toDir, scratchPath2.bytes, 0));
}

/** With AT_REMOVEDIR, an empty directory. */
export function unlinkat(dir: number, name: string, flags = 0): number {
  const bad = scratchPath.set(name);
  return bad !== 0 ? bad : result(callUnlinkat(dir, scratchPath.bytes, flags));
}

export function mkdirat(dir: number, name: string, mode: number): number {
  const bad = scratchPath.set(name);
  return bad !== 0 ? bad : result(callMkdirat(dir, scratchPath.bytes, mode));
}

export function mknodat(dir: number, name: string, mode: number, device: number): number {
  const bad = scratchPath.set(name);
  return bad !== 0 ? bad : result(callMknodat(dir, scratchPath.bytes, mode, device));
}

export function symlinkat(target: string, dir: number, name: string): number {
  const bad = scratchPath.set(target) || scratchPath2.set(name);
  return bad !== 0 ? bad : result(callSymlinkat(scratchPath.bytes, dir, scratchPath2.bytes));
}

/** Not for symlinks, which have no mode of their own: what one leads to keeps its mode. */
export function fchmodat(dir: number, name: string, mode: number): number {
  // The call itself would follow one, and has no flag against it before Linux 6.6.
  const fd = openat(dir, name, O_PATH | O_NOFOLLOW);
  if (fd < 0) return fd;
  scratchPath.set(`/proc/self/fd/${fd}`);
  const done = result(callFchmodat(AT_FDCWD, scratchPath.bytes, mode, 0));
  close(fd);
  return done;
}

export function fchownat(dir: number, name: string, uid: number, gid: number): number {
  const bad = scratchPath.set(name);
  if (bad !== 0) return bad;
  return result(callFchownat(dir, scratchPath.bytes, uid, gid, AT_SYMLINK_NOFOLLOW));
}

const times = new BigInt64Array(4);

export interface FileTimes {
  atimeS: number;
  atimeNs: number;
  mtimeS: number;
  mtimeNs: number;
}

export function utimensat(dir: number, name: string, time: FileTimes): number {
  const bad = scratchPath.set(name);
  if (bad !== 0) return bad;
  times[0] = BigInt(time.atimeS);
  times[1] = BigInt(time.atimeNs);
  times[2] = BigInt(time.mtimeS);
  times[3] = BigInt(time.mtimeNs);
  const bytes = new Uint8Array(times.buffer);
  return result(callUtimensat(dir, scratchPath.bytes, bytes, AT_SYMLINK_NOFOLLOW));
}

/** 0 when this process may make and remove names in the directory `name` below `dir`. */
export function mayChangeNames(dir: number, name: string): number {
  const bad = scratchPath.set(name);
  return bad !== 0 ? bad : result(callFaccessat(dir, scratchPath.bytes, W_OK | X_OK, AT_EACCESS));
}

export interface FileTime {
  s: number;
  ns: number;
}

/** `tv_nsec`: this time does not change. */
const UTIME_OMIT = 0x3ffffffe;

/** Of the file behind a descriptor of any kind. `atime` undefined: only the modification time. */
export function setTimes(fd: number, atime: FileTime | undefined, mtime: FileTime): number {
  times[0] = BigInt(atime?.s ?? 0);
  times[1] = BigInt(atime?.ns ?? UTIME_OMIT);
  times[2] = BigInt(mtime.s);
  times[3] = BigInt(mtime.ns);
  // futimens refuses descriptors that only name a file (O_PATH).
  scratchPath.set(`/proc/self/fd/${fd}`);
  return result(callUtimensat(AT_FDCWD, scratchPath.bytes, new Uint8Array(times.buffer), 0));
}

export function ftruncate(fd: number, size: number): number {
  return result(callFtruncate(fd, size));
}

/** An xattr of `path`, which leads through /proc/self/fd. */
export function lsetxattr(path: string, name: string, value: Uint8Array): number {
  const bad = scratchPath.set(path) || scratchPath2.set(name);
  if (bad !== 0) return bad;
  return result(callLsetxattr(scratchPath.bytes, scratchPath2.bytes, value, value.length, 0));
}

export function lremovexattr(path: string, name: string): number {
  const bad = scratchPath.set(path) || scratchPath2.set(name);
  return bad !== 0 ? bad : result(callLremovexattr(scratchPath.bytes, scratchPath2.bytes));
}
