/**
 * Read-only access to the directory under a volume, its *base directory* (rules
 * D9, D10, D11). Synchronous, called by the volume in the serving thread.
 *
 * Owns every descriptor into the base directory (at most 600), and the watches. What must hold:
 * nothing is written; symlinks inside it are returned, never followed; no path
 * leads out of it; changes underneath are noticed, and cause neither a crash
 * nor a mix of old and new bytes.
 *
 * Paths are byte strings below the base directory, without `.` and `..`; '' is
 * the base directory itself. Errors of the host (EACCES …) are thrown as
 * FsError.
 *
 * Doors: base-directory, base-reference, base-stat.
 * Doors inside base/: base-handles.
 */
import { CommandError, ERRNO, FsError } from '../lib/errors.js';
import { invariant } from '../lib/invariant.js';
import type { WaitPolicy } from '../lib/wait-policy.js';
import { ALLOCATOR, COUNTER_BITS, inodeNumber, ROOT_INODE } from '../format/records/tables.js';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
  O_DIRECTORY,
  O_RDONLY,
} from '../libc/constants.js';
import { close, fstatfs, openat, readlinkat } from '../libc/libc.js';
import { fsError } from '../libc/library.js';
import { StatxBuffer, statx } from '../libc/statx.js';
import { fgetxattr, flistxattr, lgetxattr, llistxattr } from '../libc/xattrs.js';
import type { CacheFigures } from '../measure/stats-report.js';
import { isNearFileSystem } from './base-file-system.js';
import { BaseFiles, type BaseMismatch, FILES_MAX, RETIRED_MAX } from './base-files.js';
import { BaseHandles, HANDLES_MAX, isEntryName, meansAbsent } from './base-handles.js';
import { BaseListings, type BaseName, LISTED_NAMES_MAX } from './base-listing.js';
import { type BaseEvent, BaseWatch, WATCHES_MAX } from './base-watch.js';
import { type BaseStat, toBaseStat } from './base-stat.js';
import type { BaseReference } from './base-reference.js';

export type { BaseMismatch } from './base-files.js';
export type { BaseName } from './base-listing.js';
export type { BaseEvent } from './base-watch.js';
export type { BaseStat } from './base-stat.js';

const COUNTER_LIMIT = 2 ** COUNTER_BITS;

/** Where a path ends: a name below a directory's descriptor; '' is the descriptor itself. */
interface Found {
  fd: number;
  name: string;
}

export class BaseDirectory {
  /** The base's own attributes when it was opened. */
  readonly rootStat: BaseStat;
  readonly #handles: BaseHandles;
  readonly #files: BaseFiles;
  readonly #listings: BaseListings;
  #watch: BaseWatch | undefined;
  /** Others on this machine can be heard of; a network's file system does not tell. */
  readonly #tells: boolean;
  readonly #stat = new StatxBuffer();
  readonly #place: Found = { fd: -1, name: '' };
  #isClosed = false;

  private constructor(rootFd: number, rootStat: BaseStat, nowMs: () => number) {
    this.rootStat = rootStat;
    this.#handles = new BaseHandles(rootFd, nowMs);
    const space = fstatfs(rootFd);
    const isNear = typeof space !== 'number' && isNearFileSystem(space.type);
    this.#tells = isNear;
    this.#files = new BaseFiles(this.#handles, isNear ? rootStat.device : undefined);
    this.#listings = new BaseListings(this.#handles, rootStat.device, (path) => this.lstat(path));
  }

  /** Descriptors and names that are kept, each with its bound. */
  caches(): CacheFigures[] {
    return [
      { name: 'base directories', count: this.#handles.count, maxCount: 1 + HANDLES_MAX },
      { name: 'base files', count: this.#files.openCount, maxCount: FILES_MAX + RETIRED_MAX },
      { name: 'base watches', count: this.#watch?.size ?? 0, maxCount: WATCHES_MAX },
      { name: 'base names', count: this.#listings.nameCount, maxCount: LISTED_NAMES_MAX },
    ];
  }

  /**
   * Opens a base directory; `path` is a byte string. Open it before anything is
   * mounted over it: the covered directory stays readable through its
   * descriptor. Throws CommandError `base-missing`, `base-not-directory`,
   * `base-unreadable`.
   */
  static open(path: string, nowMs: () => number = Date.now): BaseDirectory {
    const shown = Buffer.from(path, 'latin1').toString();
    const fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) throw openError(fd, shown);
    const stat = new StatxBuffer();
    // "." goes through the directory: read permission without search permission is not enough.
    const failed = statx(fd, '.', AT_NO_AUTOMOUNT, stat);
    if (failed < 0) {
      close(fd);
      throw openError(failed, shown);
    }
    return new BaseDirectory(fd, toBaseStat(stat), nowMs);
  }

  /**
   * Call this before something is mounted on the directory `path` below the
   * base directory (a volume on a directory of its own base). From then on the
   * covered directory is read, and the mount is never touched. Throws FsError.
   */
  pin(path: string): void {
    const failed = this.#handles.pin(path);
    if (failed < 0) throw fsError(failed, 'open', path);
    this.#listings.clear();
  }

  /** That mount is gone. */
  unpin(path: string): void {
    this.#handles.unpin(path);
    this.#listings.clear();
  }

  /**
   * Attributes of the file itself; symlinks are not followed. Undefined when
   * there is no such file.
   */
  lstat(path: string): BaseStat | undefined {
    const place = this.#find(path);
    if (place === undefined) return undefined;
    const failed =
      place.name === ''
        ? statx(place.fd, '', AT_EMPTY_PATH, this.#stat)
        : statx(place.fd, place.name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, this.#stat);
    if (failed === 0) return toBaseStat(this.#stat);
    if (meansAbsent(failed)) return undefined;
    throw fsError(failed, 'stat', path);
  }

  /** Undefined when there is no such file. The next call reuses the object. */
  #find(path: string): Found | undefined {
    const place = this.#place;
    const pinned = this.#handles.pinnedFd(path);
    if (pinned !== undefined) {
      place.fd = pinned;
      place.name = '';
      return place;
    }
    const slash = path.lastIndexOf('/');
    place.name = path.slice(slash + 1);
    if (!isEntryName(place.name)) return undefined;
    place.fd = this.#handles.directory(slash < 0 ? '' : path.slice(0, slash));
    if (place.fd >= 0) return place;
    if (meansAbsent(place.fd)) return undefined;
    throw fsError(place.fd, 'open', path);
  }

  /** As `#find`, for calls that need the file: throws ENOENT when it is gone. */
  #mustFind(path: string, syscall: string): Found {
    const place = this.#find(path);
    if (place === undefined) throw new FsError('ENOENT', syscall, path);
    return place;
  }

  /**
   * The names of a directory, sorted by (hash, name), without `.` and `..`. The
   * result is cached while the directory does not change; treat it as frozen. A
   * missing directory is a mismatch: EIO.
   */
  list(path: string): readonly BaseName[] {
    const names = this.#listings.list(path);
    if (names !== undefined) return names;
    this.#files.noteMismatch(path, undefined, undefined);
    throw new FsError('EIO', 'readdir (the base directory is gone)', path);
  }

  /** Target of a symlink, a byte string. */
  readlink(path: string): string {
    const { fd, name } = this.#mustFind(path, 'readlink');
    const target = readlinkat(fd, name);
    if (typeof target === 'number') throw fsError(target, 'readlink', path);
    return target;
  }

  /**
   * Reads up to `length` bytes at `offset` into `out` at `outOffset`. Returns
   * the count, short only at the end of the file. Throws FsError EIO, and notes
   * a mismatch, when the file is not the one `ref` was made from, before or
   * after the read: then the bytes in `out` mean nothing. Throws BaseReadBlocks
   * when the page cache can't answer and `waits` does not allow to wait.
   */
  read(
    ref: BaseReference,
    offset: number,
    length: number,
    out: Buffer,
    outOffset: number,
    waits: WaitPolicy,
  ): number {
    invariant(outOffset + length <= out.length, 'the bytes fit into the buffer');
    const named = ref.device === 0 ? { ...ref, device: this.rootStat.device } : ref;
    return this.#files.read(named, offset, length, out, outOffset, waits);
  }

  /** Names of the extended attributes; none where the file system has none. */
  listxattr(path: string): string[] {
    const { fd, name } = this.#mustFind(path, 'listxattr');
    const names = name === '' ? flistxattr(fd) : llistxattr(`/proc/self/fd/${fd}/${name}`);
    if (typeof names !== 'number') return names;
    if (names === -ERRNO.EOPNOTSUPP) return [];
    throw fsError(names, 'listxattr', path);
  }

  /** Undefined: no such attribute. */
  getxattr(path: string, attribute: string): Uint8Array | undefined {
    const { fd, name } = this.#mustFind(path, 'getxattr');
    const value =
      name === '' ? fgetxattr(fd, attribute) : lgetxattr(`/proc/self/fd/${fd}/${name}`, attribute);
    if (typeof value !== 'number') return value;
    if (value === -ERRNO.ENODATA || value === -ERRNO.EOPNOTSUPP) return undefined;
    throw fsError(value, 'getxattr', path);
  }

  /**
   * The inode number derived from the host's (rule D10), the same at every
   * mount. Undefined when it needs the `baseids` table or, for the 0 of a
   * listing, `lstat`.
   */
  inodeNumber(stat: { device: number; hostInode: number }): number | undefined {
    const { device, hostInode } = stat;
    if (device !== this.rootStat.device || hostInode === 0) return undefined;
    if (hostInode === this.rootStat.hostInode) return ROOT_INODE;
    return hostInode < COUNTER_LIMIT ? inodeNumber(ALLOCATOR.base, hostInode) : undefined;
  }

  /**
   * Hears of changes of the directory from now on: call it before the directory is read. False: it
   * can't be, and what was read is to be asked for again soon.
   */
  watch(path: string): boolean {
    const watch = this.#watch;
    if (watch === undefined) return false;
    return watch.has(path) || watch.add(path, this.#handles.directory(path));
  }

  watchedPaths(): Iterable<string> {
    return this.#watch?.paths() ?? [];
  }

  isWatched(path: string): boolean {
    return this.#watch?.has(path) === true;
  }

  unwatch(path: string): void {
    this.#watch?.remove(path);
  }

  /**
   * For a mount: directories can be watched from now on. Returns a descriptor that is readable when
   * `changes` has something to tell; undefined: nothing will.
   */
  startWatching(): number | undefined {
    if (!this.#tells) return undefined;
    const watch = new BaseWatch();
    if (watch.fd < 0) return undefined;
    this.#watch = watch;
    return watch.fd;
  }

  /** Some of what others have changed in watched directories; undefined: nothing more. */
  changes(): BaseEvent[] | undefined {
    return this.#watch?.take();
  }

  /** A directory has another path: nothing may be taken for what lies below the old one. */
  moved(path: string): void {
    this.#watch?.removeBelow(path);
    this.#handles.forgetHandles();
  }

  /** A descriptor of the base itself, for the half that writes; it stays this object's. */
  get rootFd(): number {
    return this.#handles.rootFd;
  }

  /** Call when `apply` has moved directories: what is known about paths may be wrong. */
  forgetPaths(): void {
    this.#handles.forgetHandles();
    this.#listings.clear();
  }

  /** Changes noticed underneath: the newest 100 paths, oldest first. */
  get mismatches(): BaseMismatch[] {
    return this.#files.mismatches;
  }

  /** Number of changes noticed underneath. */
  get mismatchCount(): number {
    return this.#files.mismatchCount;
  }

  /** For status and tests. */
  get usage(): { descriptors: number; listedNames: number } {
    return {
      descriptors: this.#handles.count + this.#files.count,
      listedNames: this.#listings.nameCount,
    };
  }

  /** After this long, no thread reads a descriptor of it any more. */
  lentMs(): number {
    return this.#files.lentMs();
  }

  /** Again: does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch?.close();
    this.#listings.clear();
    this.#files.close();
    this.#handles.close();
  }
}

function openError(negative: number, path: string): CommandError {
  if (negative === -ERRNO.ENOENT) {
    return new CommandError('base-missing', 'ENOENT', `the base ${path} does not exist`, { path });
  }
  if (negative === -ERRNO.ENOTDIR) {
    const message = `the base ${path} is not a directory`;
    return new CommandError('base-not-directory', 'ENOTDIR', message, { path });
  }
  const { code } = fsError(negative, 'open', path);
  const message = `the base ${path} can't be read: ${code}`;
  return new CommandError('base-unreadable', code, message, { path });
}
