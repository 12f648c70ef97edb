/**
 * Reading extended attributes. Names are byte strings. An O_PATH descriptor
 * (the only kind for a symlink or a file that must not be opened) is read
 * through its /proc/self/fd entry, because the f… calls refuse it.
 */
import { ERRNO } from '../lib/errors.js';
import { glibc, result, scratchPath, scratchPath2 } from './library.js';

/** XATTR_SIZE_MAX and XATTR_LIST_MAX. */
const VALUE_BYTES_MAX = 65536;

type Get = (file: number | Uint8Array, name: Uint8Array, out: Uint8Array, size: number) => number;
type List = (file: number | Uint8Array, out: Uint8Array, size: number) => number;

const callFgetxattr: Get = glibc.func('int64_t fgetxattr(int, void *, void *, uint64_t)');
const callGetxattr: Get = glibc.func('int64_t getxattr(void *, void *, void *, uint64_t)');
const callLgetxattr: Get = glibc.func('int64_t lgetxattr(void *, void *, void *, uint64_t)');
const callFlistxattr: List = glibc.func('int64_t flistxattr(int, void *, uint64_t)');
const callListxattr: List = glibc.func('int64_t listxattr(void *, void *, uint64_t)');
const callLlistxattr: List = glibc.func('int64_t llistxattr(void *, void *, uint64_t)');

const buffer = Buffer.alloc(VALUE_BYTES_MAX);

/** A copy of the value, or -errno (-ENODATA: no such xattr). `fd` may be O_PATH. */
export function fgetxattr(fd: number, name: string): Uint8Array | number {
  const bad = scratchPath2.set(name);
  if (bad !== 0) return bad;
  let size = result(callFgetxattr(fd, scratchPath2.bytes, buffer, buffer.length));
  if (size === -ERRNO.EBADF) {
    scratchPath.set(`/proc/self/fd/${fd}`);
    size = result(callGetxattr(scratchPath.bytes, scratchPath2.bytes, buffer, buffer.length));
    if (size === -ERRNO.ENOENT) size = -ERRNO.EBADF;
  }
  return copied(size);
}

/** The value of an xattr of `path`, symlinks not followed. */
export function lgetxattr(path: string, name: string): Uint8Array | number {
  const bad = scratchPath.set(path) || scratchPath2.set(name);
  if (bad !== 0) return bad;
  return copied(
    result(callLgetxattr(scratchPath.bytes, scratchPath2.bytes, buffer, buffer.length)),
  );
}

/** The names of all xattrs, or -errno. `fd` may be O_PATH. */
export function flistxattr(fd: number): string[] | number {
  let size = result(callFlistxattr(fd, buffer, buffer.length));
  if (size === -ERRNO.EBADF) {
    scratchPath.set(`/proc/self/fd/${fd}`);
    size = result(callListxattr(scratchPath.bytes, buffer, buffer.length));
    if (size === -ERRNO.ENOENT) size = -ERRNO.EBADF;
  }
  return names(size);
}

/** The names of all xattrs of `path`, symlinks not followed. */
export function llistxattr(path: string): string[] | number {
  const bad = scratchPath.set(path);
  if (bad !== 0) return bad;
  return names(result(callLlistxattr(scratchPath.bytes, buffer, buffer.length)));
}

function copied(size: number): Uint8Array | number {
  return size < 0 ? size : new Uint8Array(buffer.subarray(0, size));
}

function names(size: number): string[] | number {
  if (size < 0) return size;
  const list = buffer.toString('latin1', 0, size).split('\0');
  list.pop(); // the empty string after the last NUL
  return list;
}
