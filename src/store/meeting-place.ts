/**
 * Where LMDB is told that a volume lies: a directory in memory with a link to
 * `data.mdb` and one to LMDB's lock file, which has its mutexes and its table of
 * readers.
 *
 * LMDB writes into that file through a shared map. Where a page of it can't go
 * back to the disk (a full copy-on-write file system) the process dies of
 * SIGBUS, and where it can't be made (a volume that can't be written) nothing
 * opens. So it lies in memory, with its pages taken before it is mapped.
 *
 * What must hold: all that have one `data.mdb` open, in whatever process, share
 * one lock file, or the pages that a reader needs are written over. So its name
 * is the device and the inode of the data file, which nobody else can have while
 * one has it open; and it goes when the last one leaves.
 */
import {
  chownSync,
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  type Stats,
  statfsSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { ERRNO } from '../lib/errors.js';
import { logFor } from '../lib/log.js';
import { sleepSync } from '../lib/sleep.js';
import { TMPFS_MAGIC } from '../libc/constants.js';
import { isLockedByOthers, lockFile } from '../libc/libc.js';
import { fsError } from '../libc/library.js';

const MEMORY = '/dev/shm';
/** LMDB's own names. */
const DATA_NAME = 'data.mdb';
const LOCK_NAME = 'lock.mdb';
/** More than LMDB asks for; what is more are places for readers. */
const LOCK_BYTES = 16 * 1024;
const POLL_MS = 1;

const log = logFor('store');

interface Meeting {
  /** The lock file. */
  lock: string;
  users: string;
  usersFd: number;
}

export class MeetingPlace {
  /** What LMDB opens. */
  readonly directory: string;
  readonly #meeting: Meeting | undefined;

  private constructor(directory: string, meeting: Meeting | undefined) {
    this.directory = directory;
    this.#meeting = meeting;
  }

  /**
   * `volumePath`: the directory of `data.mdb`, which is there. Where there is no memory to meet
   * in, the lock file lies beside the data. Throws what stat(2) does.
   */
  static enter(volumePath: string): MeetingPlace {
    const data = join(resolve(volumePath), DATA_NAME);
    const stat = statSync(data);
    let meeting: Meeting | undefined;
    try {
      const root = rootFor(stat.uid);
      if (root === undefined) return new MeetingPlace(volumePath, undefined);
      meeting = meet(join(root, `${stat.dev.toString(16)}-${stat.ino.toString(16)}`), stat);
      const directory = mkdtempSync(join(root, 'open-'));
      symlinkSync(data, join(directory, DATA_NAME));
      symlinkSync(meeting.lock, join(directory, LOCK_NAME));
      return new MeetingPlace(directory, meeting);
    } catch (error) {
      if (meeting !== undefined) leave(meeting);
      log(`${volumePath}: LMDB's lock file lies beside the data: ${String(error)}`);
      return new MeetingPlace(volumePath, undefined);
    }
  }

  /** LMDB has opened what it needs: it does not come back to the names. */
  opened(): void {
    if (this.#meeting !== undefined) rmSync(this.directory, { recursive: true, force: true });
  }

  /** Nobody else, in no thread either, has the file open; false where that can't be told. */
  get isAlone(): boolean {
    return this.#meeting !== undefined && !isLockedByOthers(this.#meeting.usersFd);
  }

  /** LMDB has closed it. */
  leave(): void {
    if (this.#meeting !== undefined) leave(this.#meeting);
  }
}

/**
 * The directory in memory of whom the volume belongs to: root, who may look at it, meets others
 * there. Undefined: there is none here. Throws when it is not as it must be.
 */
function rootFor(uid: number): string | undefined {
  try {
    if (statfsSync(MEMORY).type !== TMPFS_MAGIC) return undefined;
  } catch {
    return undefined;
  }
  const root = join(MEMORY, `shadowfs-${uid}`);
  const self = process.geteuid?.();
  if (self !== uid && self !== 0) throw new Error(`the data belongs to uid ${uid}`);
  try {
    mkdirSync(root, { mode: 0o700 });
    if (self !== uid) chownSync(root, uid, -1);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  // Everybody may make directories there: it must be nobody else's.
  const stat = lstatSync(root);
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o022) !== 0) {
    throw new Error(`${root} must be a directory that only uid ${uid} can write to`);
  }
  return root;
}

function meet(name: string, { uid }: Stats): Meeting {
  const lock = `${name}.lock`;
  const users = `${name}.users`;
  const usersFd = enterUsers(users, uid);
  try {
    if (!isRegularFile(lock)) makeLock(lock, uid);
    return { lock, users, usersFd };
  } catch (error) {
    closeSync(usersFd);
    throw error;
  }
}

/** A lock of the file `users` that is shared by all who are here. The last one removes the file. */
function enterUsers(users: string, uid: number): number {
  for (;;) {
    const fd = openSync(users, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    giveTo(fd, uid);
    const answer = lockFile(fd, 'shared');
    if (answer === 0 && isStill(users, fd)) return fd;
    closeSync(fd);
    if (answer !== 0 && answer !== -ERRNO.EAGAIN) throw fsError(answer, 'lock', users);
    // Somebody is just removing it.
    sleepSync(POLL_MS);
  }
}

function isStill(path: string, fd: number): boolean {
  try {
    return lstatSync(path).ino === fstatSync(fd).ino;
  } catch {
    return false;
  }
}

function isRegularFile(path: string): boolean {
  try {
    if (lstatSync(path).isFile()) return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  throw new Error(`${path} is no regular file`);
}

/** It appears whole: another process may be about to map it. And it is written, so it has its pages. */
function makeLock(lock: string, uid: number): void {
  const made = `${lock}.${process.pid}-${Math.random().toString(36).slice(2)}`;
  const fd = openSync(made, 'wx', 0o600);
  try {
    const count = writeSync(fd, Buffer.alloc(LOCK_BYTES));
    if (count !== LOCK_BYTES) throw new Error(`${MEMORY}: no room for ${LOCK_BYTES} bytes`);
    giveTo(fd, uid);
    closeSync(fd);
    linkSync(made, lock);
  } catch (error) {
    // Another one was faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(made, { force: true });
  }
}

function giveTo(fd: number, uid: number): void {
  if (process.geteuid?.() === 0 && uid !== 0) fchownSync(fd, uid, -1);
}

function leave({ lock, users, usersFd }: Meeting): void {
  // Whoever cleans up /dev/shm may have removed the file: another one of its name is others'.
  if (lockFile(usersFd, 'exclusive') === 0 && isStill(users, usersFd)) {
    rmSync(lock, { force: true });
    rmSync(users, { force: true });
  }
  closeSync(usersFd);
}
