/**
 * Calls that make and remove names in an open directory, and set times to the
 * nanosecond. Names are byte strings. 0, or -errno.
 */
import { AT_FDCWD } from './constants.js';
import { glibc, result, scratchPath, scratchPath2 } from './library.js';

const AT_REMOVEDIR = 0x200;
/** `tv_nsec`: this time does not change. */
const UTIME_OMIT = 0x3ffffffe;

type OnName = (dir: number, name: Uint8Array, argument: number) => number;

const callMknodat: (dir: number, name: Uint8Array, mode: number, rdev: number) => number =
  glibc.func('int mknodat(int, void *, uint32_t, uint64_t)');
const callMkdirat: OnName = glibc.func('int mkdirat(int, void *, uint32_t)');
const callUnlinkat: OnName = glibc.func('int unlinkat(int, void *, int)');
const callSymlinkat: (target: Uint8Array, dir: number, name: Uint8Array) => number = glibc.func(
  'int symlinkat(void *, int, void *)',
);
const callUtimensat: (dir: number, path: Uint8Array, times: Uint8Array, flags: number) => number =
  glibc.func('int utimensat(int, void *, void *, int)');

const times = new Uint8Array(32);
const timeWords = new BigInt64Array(times.buffer);

function onName(name: string, call: (bytes: Uint8Array) => number): number {
  const wrong = scratchPath.set(name);
  return wrong === 0 ? result(call(scratchPath.bytes)) : wrong;
}

export function mknodat(dir: number, name: string, mode: number, rdev: number): number {
  return onName(name, (bytes) => callMknodat(dir, bytes, mode, rdev));
}

export function mkdirat(dir: number, name: string, mode: number): number {
  return onName(name, (bytes) => callMkdirat(dir, bytes, mode));
}

export function unlinkat(dir: number, name: string): number {
  return onName(name, (bytes) => callUnlinkat(dir, bytes, 0));
}

export function rmdirat(dir: number, name: string): number {
  return onName(name, (bytes) => callUnlinkat(dir, bytes, AT_REMOVEDIR));
}

export function symlinkat(target: string, dir: number, name: string): number {
  const wrong = scratchPath2.set(target);
  if (wrong !== 0) return wrong;
  return onName(name, (bytes) => callSymlinkat(scratchPath2.bytes, dir, bytes));
}

export interface FileTime {
  s: number;
  ns: number;
}

/**
 * Sets the times of the file behind a descriptor of any kind. `atime` undefined: only the
 * modification time.
 */
export function setTimes(fd: number, atime: FileTime | undefined, mtime: FileTime): number {
  timeWords[0] = BigInt(atime?.s ?? 0);
  timeWords[1] = BigInt(atime?.ns ?? UTIME_OMIT);
  timeWords[2] = BigInt(mtime.s);
  timeWords[3] = BigInt(mtime.ns);
  // futimens refuses descriptors that only name a file (O_PATH).
  return onName(`/proc/self/fd/${fd}`, (bytes) => callUtimensat(AT_FDCWD, bytes, times, 0));
}
