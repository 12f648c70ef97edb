/**
 * Loads glibc through koffi and holds what its calls share. Only the files of
 * this directory import it.
 *
 * Rules of the gate:
 * - No call throws for an errno: it returns a count or a value, or `-errno` (a
 *   thrown error costs 20 times as much). `fsError` converts `-errno` to an
 *   `FsError` where one is needed.
 * - Names and paths are byte strings (latin1, one character per byte).
 * - The scratch areas are per thread (each worker loads its own module) and
 *   only valid during one call; nothing here is reentrant across `await`.
 */
import koffi from 'koffi';
import { getSystemErrorName } from 'node:util';
import { ERRNO, type ErrnoName, FsError } from '../lib/errors.js';

export const glibc = koffi.load('libc.so.6');

/** A call's return value, or `-errno` when it was -1. */
export function result(answer: number): number {
  return answer === -1 ? -koffi.errno() : answer;
}

/** `negative`: -errno. A code without a name here becomes EIO, with the real one in the text. */
export function fsError(negative: number, syscall: string, path = ''): FsError {
  const name = getSystemErrorName(negative);
  if (Object.hasOwn(ERRNO, name)) return new FsError(name as ErrnoName, syscall, path);
  return new FsError('EIO', `${syscall} (${name})`, path);
}

/** PATH_MAX, the terminating NUL included. */
const PATH_BYTES = 4096;

/** Room for one path on its way into a system call. */
export class PathScratch {
  readonly bytes = Buffer.alloc(PATH_BYTES);

  /** Stores `path` with a NUL behind it. 0, or -errno when the kernel could not accept it. */
  set(path: string): number {
    const { length } = path;
    if (length >= PATH_BYTES) return -ERRNO.ENAMETOOLONG;
    if (path.includes('\0')) return -ERRNO.EINVAL;
    this.bytes.write(path, 0, 'latin1');
    this.bytes[length] = 0;
    return 0;
  }
}

export const scratchPath = new PathScratch();
export const scratchPath2 = new PathScratch();

/** The address of a view's first byte; valid as long as the view is referenced. */
export function addressOf(view: Uint8Array): bigint {
  return koffi.address(view);
}
