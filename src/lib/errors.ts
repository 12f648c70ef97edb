/**
 * The errors that cross layers.
 *
 * `FsError` is expected and becomes an errno at the edge; `CorruptionError` is
 * EIO for one file only; `CommandError` answers a person's command with a
 * stable code; a failed `invariant` stops the process (past a commit point a
 * restart is better than continuing with wrong data).
 *
 * Doors: every file.
 */

/** The errno names this project gives out. The numbers are in `ERRNO`. */
export type ErrnoName = keyof typeof ERRNO;

/** Linux errno values (x86-64 and arm64 agree on all of these). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ETIMEDOUT: 110,
  EHOSTUNREACH: 113,
  ESTALE: 116,
  EDQUOT: 122,
  ECANCELED: 125,
} as const;

const ERRNO_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ERRNO).map(([name, number]) => [number, name]),
);

/** `ENOENT`, of a kernel's number. */
export function errnoName(number: number): string {
  return ERRNO_NAMES.get(number) ?? `errno ${number}`;
}

/** An expected failure of a file system call; becomes `-errno` at the edge. */
export class FsError extends Error {
  readonly code: ErrnoName;
  readonly syscall: string;
  readonly path: string;

  constructor(code: ErrnoName, syscall = '', path = '') {
    // ENOENT and ENODATA are common answers: a stack trace would cost more than the call.
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(path === '' ? `${syscall}: ${code}` : `${syscall} ${path}: ${code}`);
    Error.stackTraceLimit = limit;
    this.name = 'FsError';
    this.code = code;
    this.syscall = syscall;
    this.path = path;
  }

  get errno(): number {
    return ERRNO[this.code];
  }
}

/** Stored bytes differ from what was written. EIO for the file concerned only. */
export class CorruptionError extends FsError {
  readonly what: string;
  readonly where: string;

  constructor(what: string, where: string) {
    super('EIO', what, where);
    this.name = 'CorruptionError';
    this.what = what;
    this.where = where;
  }
}

/**
 * A command (save, restore, mount …) that can't be carried out. `code` is
 * stable and stands in the table of native-notes/reference.md; `errno` is what `write(2)` on a
 * control file returns; `message` is for people and names the file, snapshot or
 * volume.
 */
export class CommandError extends Error {
  readonly code: string;
  readonly errno: ErrnoName;
  readonly details: Record<string, unknown>;

  constructor(
    code: string,
    errno: ErrnoName,
    message: string,
    details: Record<string, unknown> = {},
  ) {
    super(message);
    this.name = 'CommandError';
    this.code = code;
    this.errno = errno;
    this.details = details;
  }
}

/**
 * The operation would wait for a disk, and the `WaitPolicy` does not allow it. Whoever dispatches it
 * catches this, and dispatches it again from its beginning. Both errors of the family say when.
 */
export abstract class WouldWait extends Error {}

/**
 * When another thread has read these bytes of a base file, so that they are in the page cache;
 * after a few times in vain, when it may wait.
 */
export class BaseReadBlocks extends WouldWait {
  readonly fd: number;
  readonly offset: number;
  readonly length: number;

  constructor(fd: number, offset: number, length: number) {
    super('another thread has to read this first');
    this.name = 'BaseReadBlocks';
    this.fd = fd;
    this.offset = offset;
    this.length = length;
  }
}

/**
 * When nobody else waits to be served, or others were served for long enough; then it may wait. The
 * kernel fetches meanwhile what the operation reads.
 */
export class RetryLater extends WouldWait {
  constructor() {
    super('fetching');
    this.name = 'RetryLater';
  }
}

/** What the system call returns for an expected failure. Undefined: this one was not expected. */
export function errnoOf(error: unknown): number | undefined {
  if (error instanceof FsError) return error.errno;
  if (error instanceof CommandError) return ERRNO[error.errno];
  return undefined;
}

/** What was thrown, in words. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
