/**
 * Learns what others change in the base directory, from inotify: which names of
 * the directories that the kernel has asked for, while it keeps what it was
 * told (decision 0012).
 *
 * Owns the inotify descriptor and the watches. What must hold: their number is
 * bounded; a directory counts as watched only from before it is read, so that
 * no change falls between; one that was renamed or removed is not watched any
 * more, under its old path or another.
 */
import {
  addWatch,
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_EXCL_UNLINK,
  IN_IGNORED,
  IN_MODIFY,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_ONLYDIR,
  IN_Q_OVERFLOW,
  IN_UNMOUNT,
  inotify,
  readEvents,
  removeWatch,
} from '../libc/inotify.js';
import { ERRNO } from '../lib/errors.js';
import { isWithin } from '../lib/paths.js';
import { close } from '../libc/libc.js';

/** Each takes about a kilobyte of the kernel's memory, and keeps an inode there. */
export const WATCHES_MAX = 16_384;

const MASK =
  IN_MODIFY |
  IN_ATTRIB |
  IN_MOVED_FROM |
  IN_MOVED_TO |
  IN_CREATE |
  IN_DELETE |
  IN_DELETE_SELF |
  IN_MOVE_SELF |
  IN_ONLYDIR |
  IN_EXCL_UNLINK;
const GONE = IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT;

export type BaseEvent =
  /** Something under this name: it came, went, leads elsewhere now, or has other bytes or attributes. */
  | { kind: 'name'; directory: string; name: string }
  /** The directory's own attributes; `isGone`: it is not watched any more. */
  | { kind: 'directory'; directory: string; isGone: boolean }
  /** Events were lost: anything may have changed. */
  | { kind: 'all' };

export class BaseWatch {
  /** Negative: this user has too many of them. */
  readonly fd: number;
  readonly #byPath = new Map<string, number>();
  readonly #byWatch = new Map<number, string>();
  #isFull = false;

  constructor() {
    this.fd = inotify();
  }

  get size(): number {
    return this.#byPath.size;
  }

  paths(): Iterable<string> {
    return this.#byPath.keys();
  }

  has(path: string): boolean {
    return this.#byPath.has(path);
  }

  /** `open`: a descriptor of the directory. False: it can't be watched. */
  add(path: string, open: number): boolean {
    if (this.#isFull || open < 0 || this.#byPath.size >= WATCHES_MAX) return false;
    const watch = addWatch(this.fd, `/proc/self/fd/${open}`, MASK);
    if (watch < 0) {
      // Whether there is room again is asked when a watch has gone. Other errors (no permission to
      // read it) are of this directory alone.
      if (watch === -ERRNO.ENOSPC || watch === -ERRNO.ENOMEM) this.#isFull = true;
      return false;
    }
    const before = this.#byWatch.get(watch);
    if (before !== undefined) this.#byPath.delete(before);
    this.#byPath.set(path, watch);
    this.#byWatch.set(watch, path);
    return true;
  }

  remove(path: string): void {
    const watch = this.#byPath.get(path);
    if (watch === undefined) return;
    this.#drop(watch, path);
    removeWatch(this.fd, watch);
  }

  /** The directory was renamed, and what lies below it with it. */
  removeBelow(path: string): void {
    for (const each of [...this.#byPath.keys()]) {
      if (isWithin(each, path)) this.remove(each);
    }
  }

  #drop(watch: number, path: string): void {
    this.#byWatch.delete(watch);
    this.#byPath.delete(path);
    this.#isFull = false;
  }

  /**
   * Some of what has happened since the last call, in its order; undefined: that was all. Several
   * events of one name are given once.
   */
  take(): BaseEvent[] | undefined {
    const batch = readEvents(this.fd);
    if (batch.length === 0) return undefined;
    const events: BaseEvent[] = [];
    const seen = new Set<string>();
    for (const { watch, mask, name } of batch) {
      if ((mask & IN_Q_OVERFLOW) !== 0) events.push({ kind: 'all' });
      const directory = this.#byWatch.get(watch);
      if (directory === undefined) continue;
      const isGone = name === '' && (mask & GONE) !== 0;
      if (isGone) this.#forget(watch, directory, mask);
      const key = `${directory}\0${name}`;
      if (!isGone && seen.has(key)) continue;
      seen.add(key);
      if (name === '') events.push({ kind: 'directory', directory, isGone });
      else events.push({ kind: 'name', directory, name });
    }
    return events;
  }

  /** The kernel keeps the watch of a directory that was renamed. */
  #forget(watch: number, path: string, mask: number): void {
    this.#drop(watch, path);
    if ((mask & IN_IGNORED) === 0) removeWatch(this.fd, watch);
  }

  close(): void {
    close(this.fd);
  }
}
