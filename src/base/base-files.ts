/**
 * Bytes of base files (rules D9, D10): open descriptors in a bounded LRU, the
 * check that they still are the files named by the stored references, and the
 * list of mismatches.
 *
 * What must hold: bytes are handed out only when the file's identity matched
 * after they were read, so that old and new bytes never mix; nothing but
 * regular files is opened; a descriptor that was given away in `BaseReadBlocks`
 * stays open for `LENT_MS`, so that its number can't come to mean another file.
 * Whether a disk is waited for is the `WaitPolicy`'s to say; those of this
 * machine are near.
 */
import { ERRNO, FsError, BaseReadBlocks } from '../lib/errors.js';
import type { WaitPolicy } from '../lib/wait-policy.js';
import {
  AT_EMPTY_PATH,
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
} from '../libc/constants.js';
import { constants } from 'node:fs';
import { close, readAt, readAtNowait } from '../libc/libc.js';
import { fsError } from '../libc/library.js';
import { StatxBuffer, statx } from '../libc/statx.js';
import { type BaseHandles, isEntryName, meansAbsent, openBelow } from './base-handles.js';
import { isSameFile, isSameReference, referenceTo, toBaseStat } from './base-stat.js';
import type { BaseReference } from './base-reference.js';
import { S_IFMT, S_IFREG } from '../lib/file-mode.js';
import { parentOf } from '../lib/paths.js';

export const FILES_MAX = 160;
/** At most this many lent descriptors wait to be closed; beyond that none is lent. */
export const RETIRED_MAX = 64;
export const LENT_MS = 30_000;
export const MISMATCHES_MAX = 100;

const READ_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

/** A base file that differs from its stored reference. */
export interface BaseMismatch {
  /** Below the base directory, a byte string. */
  path: string;
  /** Absent for a directory that was to be listed. */
  expected: BaseReference | undefined;
  /** Absent when no such file exists now. */
  found: BaseReference | undefined;
  timeMs: number;
}

interface OpenFile {
  ref: BaseReference;
  fd: number;
  /** When the descriptor was last lent to another thread; 0: never. */
  lentMs: number;
}

export class BaseFiles {
  readonly #files = new Map<string, OpenFile>();
  readonly #mismatches = new Map<string, BaseMismatch>();
  readonly #stat = new StatxBuffer();
  #retired: OpenFile[] = [];
  #last: OpenFile | undefined;
  /** All mismatches ever noticed; the list keeps the newest, one per path. */
  mismatchCount = 0;

  /** `nearDevice`: whose disk answers soon, if it is known to. */
  constructor(
    readonly handles: BaseHandles,
    readonly nearDevice: number | undefined,
  ) {}

  get openCount(): number {
    return this.#files.size + this.#retired.length;
  }

  /** See BaseDirectory.read. */
  read(
    ref: BaseReference,
    offset: number,
    length: number,
    out: Buffer,
    outOffset: number,
    waits: WaitPolicy,
  ): number {
    const wanted = Math.min(length, ref.size - offset);
    const file = this.#open(ref);
    const isPatient = waits.mode === 'wait';
    let done = 0;
    while (done < wanted) {
      const at = offset + done;
      const left = wanted - done;
      let count = isPatient
        ? readAt(file.fd, out, outOffset + done, left, at)
        : readAtNowait(file.fd, out, outOffset + done, left, at);
      if (count === -ERRNO.EAGAIN) {
        const disk = ref.device === this.nearDevice ? 'near' : 'far';
        if (!waits.allows(disk) && this.#lend(file)) throw new BaseReadBlocks(file.fd, at, left);
        count = readAt(file.fd, out, outOffset + done, left, at);
      }
      if (count === -ERRNO.EINTR) continue;
      if (count < 0) throw fsError(count, 'read', ref.path);
      if (count === 0) break;
      done += count;
    }
    // A writer changes the times before the bytes: if the times match now, the bytes are not newer.
    const failed = statx(file.fd, '', AT_EMPTY_PATH, this.#stat);
    if (failed < 0) throw fsError(failed, 'stat', ref.path);
    if (!isSameFile(this.#stat, ref)) {
      this.#close(file);
      this.#refuse(ref, true);
    }
    return done;
  }

  #open(ref: BaseReference): OpenFile {
    const last = this.#last;
    if (last !== undefined && last.ref === ref) return last;
    const known = this.#files.get(ref.path);
    if (known !== undefined) {
      if (isSameReference(known.ref, ref)) {
        this.#files.delete(ref.path);
        this.#files.set(ref.path, known);
        this.#last = known;
        return known;
      }
      this.#close(known);
    }
    const file = { ref, fd: this.#openDescriptor(ref), lentMs: 0 };
    this.#files.set(ref.path, file);
    this.#last = file;
    if (this.#files.size > FILES_MAX) this.#close(this.#files.values().next().value as OpenFile);
    return file;
  }

  #openDescriptor(ref: BaseReference): number {
    const name = ref.path.slice(ref.path.lastIndexOf('/') + 1);
    if (!isEntryName(name)) this.#refuse(ref, false);
    const dirfd = this.handles.directory(parentOf(ref.path));
    if (meansAbsent(dirfd)) this.#refuse(ref, false);
    if (dirfd < 0) throw fsError(dirfd, 'open', ref.path);
    // Stat before open: opening a device or a FIFO can have side effects.
    const stated = statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, this.#stat);
    if (meansAbsent(stated)) this.#refuse(ref, false);
    if (stated < 0) throw fsError(stated, 'stat', ref.path);
    if ((this.#stat.mode & S_IFMT) !== S_IFREG || !isSameFile(this.#stat, ref)) {
      this.#refuse(ref, true);
    }
    let fd = openBelow(dirfd, name, READ_FLAGS | constants.O_NOATIME);
    // Only the file's owner may read with O_NOATIME.
    if (fd === -ERRNO.EPERM) fd = openBelow(dirfd, name, READ_FLAGS);
    if (meansAbsent(fd)) this.#refuse(ref, false);
    if (fd < 0) throw fsError(fd, 'open', ref.path);
    const again = statx(fd, '', AT_EMPTY_PATH, this.#stat);
    if (again < 0 || !isSameFile(this.#stat, ref)) {
      close(fd);
      if (again < 0) throw fsError(again, 'stat', ref.path);
      this.#refuse(ref, true);
    }
    return fd;
  }

  /** Throws EIO for this file. `stated`: #stat holds what was found instead. */
  #refuse(ref: BaseReference, stated: boolean): never {
    const found = stated ? referenceTo(ref.path, toBaseStat(this.#stat)) : undefined;
    this.noteMismatch(ref.path, ref, found);
    throw new FsError('EIO', 'read (the base file has changed)', ref.path);
  }

  noteMismatch(
    path: string,
    expected: BaseReference | undefined,
    found: BaseReference | undefined,
  ): void {
    this.mismatchCount++;
    this.#mismatches.delete(path);
    this.#mismatches.set(path, { path, expected, found, timeMs: this.handles.nowMs() });
    if (this.#mismatches.size > MISMATCHES_MAX) {
      this.#mismatches.delete(this.#mismatches.keys().next().value as string);
    }
  }

  /** The newest mismatches, one per path, oldest first. */
  get mismatches(): BaseMismatch[] {
    return [...this.#mismatches.values()];
  }

  /** Lends the descriptor to another thread; false when too many are lent. */
  #lend(file: OpenFile): boolean {
    this.#closeRetired(false);
    if (this.#retired.length >= RETIRED_MAX) return false;
    file.lentMs = this.handles.nowMs();
    return true;
  }

  #close(file: OpenFile): void {
    this.#files.delete(file.ref.path);
    if (this.#last === file) this.#last = undefined;
    this.#closeRetired(false);
    if (this.#isLent(file)) this.#retired.push(file);
    else close(file.fd);
  }

  #isLent(file: OpenFile): boolean {
    const ageMs = this.handles.nowMs() - file.lentMs;
    return file.lentMs !== 0 && ageMs >= 0 && ageMs < LENT_MS;
  }

  #closeRetired(all: boolean): void {
    if (this.#retired.length === 0) return;
    const kept: OpenFile[] = [];
    for (const file of this.#retired) {
      if (!all && this.#isLent(file)) kept.push(file);
      else close(file.fd);
    }
    this.#retired = kept;
  }

  /** How long descriptors may still be read by other threads; 0: none was lent. */
  lentMs(): number {
    const files = [...this.#files.values(), ...this.#retired];
    return files.some((file) => this.#isLent(file)) ? LENT_MS : 0;
  }

  /** Number of open descriptors. */
  get count(): number {
    return this.#files.size + this.#retired.length;
  }

  close(): void {
    for (const file of this.#files.values()) close(file.fd);
    this.#files.clear();
    this.#last = undefined;
    this.#closeRetired(true);
  }
}
