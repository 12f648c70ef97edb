/**
 * Descriptors of directories in the base directory (rule D9): opened step by
 * step below its own descriptor, never through a symlink, kept in a bounded
 * LRU.
 *
 * Owns the base directory's descriptor, the pinned ones and the LRU. What must
 * hold: no path leaves the base directory; a directory that was renamed or
 * replaced underneath is seen under its old path for at most `HANDLE_AGE_MS`.
 */
import { ERRNO } from '../lib/errors.js';
import {
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from '../libc/constants.js';
import { close, openat2 } from '../libc/libc.js';

export const HANDLES_MAX = 160;
/** How long a directory's descriptor is trusted. */
export const HANDLE_AGE_MS = 1000;
const STRICTLY_BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
/** Longer paths are opened in pieces: the kernel accepts 4095 bytes at a time. */
const PIECE_BYTES = 3800;

/**
 * Opens `path` strictly below `dirfd`; a descriptor or -errno. The kernel
 * answers EAGAIN when a rename anywhere races with the walk.
 */
export function openBelow(dirfd: number, path: string, flags: number): number {
  for (let attempt = 0; ; attempt++) {
    const fd = openat2(dirfd, path, flags, 0, STRICTLY_BELOW);
    if (fd !== -ERRNO.EAGAIN || attempt === 8) return fd;
  }
}

interface Handle {
  path: string;
  fd: number;
  openedMs: number;
}

/** True for the errors that mean "there is no such file in the base directory". */
export function meansAbsent(negative: number): boolean {
  return (
    negative === -ERRNO.ENOENT ||
    negative === -ERRNO.ENOTDIR ||
    // A symlink in the middle, or a way out: not a file of the base directory.
    negative === -ERRNO.ELOOP ||
    negative === -ERRNO.EXDEV
  );
}

/** True for names a directory can hold; `.`, `..` and the like would lead elsewhere. */
export function isEntryName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('\0');
}

export class BaseHandles {
  readonly #handles = new Map<string, Handle>();
  readonly #pinned = new Map<string, number>();
  #last: Handle | undefined;

  /** Takes ownership of `rootFd`, the base directory's own descriptor. */
  constructor(
    readonly rootFd: number,
    readonly nowMs: () => number,
  ) {}

  /** An O_PATH descriptor of a directory, owned by this object, for immediate use; or -errno. */
  directory(path: string): number {
    if (path === '') return this.rootFd;
    const nowMs = this.nowMs();
    const last = this.#last;
    if (last !== undefined && last.path === path && this.#isBelieved(last, nowMs)) return last.fd;
    if (this.#pinned.size > 0) {
      const pinned = this.#pinned.get(path);
      if (pinned !== undefined) return pinned;
    }
    let handle = this.#handles.get(path);
    if (handle !== undefined) {
      this.#handles.delete(path);
      if (this.#isBelieved(handle, nowMs)) {
        this.#handles.set(path, handle);
        this.#last = handle;
        return handle.fd;
      }
      this.#drop(handle);
    }
    const fd = this.open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0) return fd;
    handle = { path, fd, openedMs: nowMs };
    this.#handles.set(path, handle);
    this.#last = handle;
    if (this.#handles.size > HANDLES_MAX) {
      const oldest = this.#handles.values().next().value as Handle;
      this.#handles.delete(oldest.path);
      this.#drop(oldest);
    }
    return fd;
  }

  #isBelieved(handle: Handle, nowMs: number): boolean {
    const ageMs = nowMs - handle.openedMs;
    return ageMs >= 0 && ageMs < HANDLE_AGE_MS;
  }

  #drop(handle: Handle): void {
    if (this.#last === handle) this.#last = undefined;
    close(handle.fd);
  }

  /** A new descriptor of the file at `path`, which the caller closes; or -errno. */
  open(path: string, flags: number): number {
    const start = this.#startOf(path);
    let from = start.fd;
    let rest = start.rest;
    while (rest.length > PIECE_BYTES) {
      const cut = rest.lastIndexOf('/', PIECE_BYTES);
      const next =
        cut <= 0
          ? -ERRNO.ENAMETOOLONG
          : openBelow(from, rest.slice(0, cut), O_PATH | O_DIRECTORY | O_NOFOLLOW);
      if (from !== start.fd) close(from);
      if (next < 0) return next;
      from = next;
      rest = rest.slice(cut + 1);
    }
    const fd = openBelow(from, rest === '' ? '.' : rest, flags);
    if (from !== start.fd) close(from);
    return fd;
  }

  /** Where a walk to `path` starts: the nearest pinned directory, else the base directory. */
  #startOf(path: string): { fd: number; rest: string } {
    let start = { fd: this.rootFd, rest: path };
    for (const [pinned, fd] of this.#pinned) {
      if (path === pinned) return { fd, rest: '' };
      const restLength = path.length - pinned.length - 1;
      if (restLength < start.rest.length && path.startsWith(`${pinned}/`)) {
        start = { fd, rest: path.slice(pinned.length + 1) };
      }
    }
    return start;
  }

  /** Keeps a descriptor of `path` until close. 0 or -errno. */
  pin(path: string): number {
    if (path === '' || this.#pinned.has(path)) return 0;
    const fd = this.open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0) return fd;
    this.#pinned.set(path, fd);
    this.forgetHandles();
    return 0;
  }

  /** Whatever is there now is found again. */
  unpin(path: string): void {
    const fd = this.#pinned.get(path);
    if (fd === undefined) return;
    this.#pinned.delete(path);
    close(fd);
    this.forgetHandles();
  }

  /** The descriptor for stating a pinned path, the base directory itself included. */
  pinnedFd(path: string): number | undefined {
    if (path === '') return this.rootFd;
    return this.#pinned.size === 0 ? undefined : this.#pinned.get(path);
  }

  /** Number of open descriptors, for tests and status. */
  get count(): number {
    return 1 + this.#pinned.size + this.#handles.size;
  }

  forgetHandles(): void {
    for (const handle of this.#handles.values()) this.#drop(handle);
    this.#handles.clear();
    this.#last = undefined;
  }

  close(): void {
    this.forgetHandles();
    for (const fd of this.#pinned.values()) close(fd);
    this.#pinned.clear();
    close(this.rootFd);
  }
}
