/**
 * System calls that change files, each below a directory's descriptor. Names are
 * byte strings; symlinks are not followed. 0 or -errno.
 */
import { AT_SYMLINK_NOFOLLOW } from './constants.js';
import { glibc, result, scratchPath, scratchPath2 } from './library.js';

const callMknodat: (dir: number, name: Uint8Array, mode: number, device: number) => number =
  glibc.func('int mknodat(int, void *, uint32_t, uint64_t)');
const callUtimensat: (dir: number, name: Uint8Array, times: Uint8Array, flags: number) => number =
  glibc.func('int utimensat(int, void *, void *, int)');
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

export function mknodat(dir: number, name: string, mode: number, device: number): number {
  const bad = scratchPath.set(name);
  return bad !== 0 ? bad : result(callMknodat(dir, scratchPath.bytes, mode, device));
}

const times = new BigInt64Array(4);

interface FileTimes {
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

/** An xattr of `path`. */
export function lsetxattr(path: string, name: string, value: Uint8Array): number {
  const bad = scratchPath.set(path) || scratchPath2.set(name);
  if (bad !== 0) return bad;
  return result(callLsetxattr(scratchPath.bytes, scratchPath2.bytes, value, value.length, 0));
}

export function lremovexattr(path: string, name: string): number {
  const bad = scratchPath.set(path) || scratchPath2.set(name);
  return bad !== 0 ? bad : result(callLremovexattr(scratchPath.bytes, scratchPath2.bytes));
}
