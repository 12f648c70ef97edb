/**
 * One process at a time owns a volume; or some share it, of which none writes.
 *
 * The owner holds a lock on the file `owner` in the volume's directory; the
 * lock goes with the process, however it ends. What the file says (JSON) only
 * serves to name the owner to others. Those that share it hold a lock that goes
 * with the others' and leave no trace.
 */
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { CommandError, ERRNO } from '../lib/errors.js';
import { logFor } from '../lib/log.js';
import { sleepSync } from '../lib/sleep.js';
import { O_CREAT, O_RDONLY, O_RDWR } from '../libc/constants.js';
import { lockFile } from '../libc/libc.js';
import { fsError } from '../libc/library.js';
import { OWNER_FILE, unwritable } from './open.js';

const POLL_MS = 20;

const log = logFor('store');

export interface OwnerRecord {
  pid: number;
  host: string;
  startedMs: number;
  mountpoint?: string;
}

export interface AcquireOptions {
  /** How long to wait for an owner that is closing. Blocks the thread. */
  waitMs?: number;
  /** Waiting has no use any more. */
  isInVain?: () => boolean;
  mountpoint?: string;
}

/** The record of the present or last owner, as far as it can be read. */
export function readOwner(volumePath: string): OwnerRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(volumePath, OWNER_FILE), 'utf8')) as OwnerRecord;
  } catch {
    return undefined;
  }
}

export class Owner {
  #fd: number;
  readonly #record: OwnerRecord;

  constructor(fd: number, record: OwnerRecord) {
    this.#fd = fd;
    this.#record = record;
    this.#write();
  }

  /** On a full disk the file says nothing; the lock counts. */
  #write(): void {
    const text = Buffer.from(`${JSON.stringify(this.#record)}\n`);
    try {
      ftruncateSync(this.#fd, 0);
      writeSync(this.#fd, text, 0, text.length, 0);
    } catch (error) {
      log(`the record of the owner: ${String(error)}`);
    }
  }

  /** Another mount is the one to name. */
  movedTo(mountpoint: string): void {
    if (this.#fd < 0 || this.#record.mountpoint === mountpoint) return;
    this.#record.mountpoint = mountpoint;
    this.#write();
  }

  /** Keeps the file: removing it would let two owners lock two files. */
  release(): void {
    if (this.#fd < 0) return;
    try {
      ftruncateSync(this.#fd, 0);
    } catch (error) {
      log(`the record of the owner: ${String(error)}`);
    }
    closeSync(this.#fd);
    this.#fd = -1;
  }
}

/**
 * Takes the volume, or throws CommandError: `volume-in-use`, which names the owner, or
 * `volume-unusable`, when it can't be written.
 */
export function acquireOwner(volumePath: string, options: AcquireOptions = {}): Owner {
  const path = join(volumePath, OWNER_FILE);
  const fd = openForOwner(volumePath, path);
  const deadlineMs = Date.now() + (options.waitMs ?? 0);
  for (;;) {
    const answer = lockFile(fd);
    if (answer === 0) break;
    if (answer !== -ERRNO.EAGAIN && answer !== -ERRNO.EACCES) {
      closeSync(fd);
      throw fsError(answer, 'lock', path);
    }
    if (Date.now() >= deadlineMs || options.isInVain?.() === true) {
      closeSync(fd);
      throw inUse(volumePath);
    }
    sleepSync(POLL_MS);
  }
  const { mountpoint } = options;
  return new Owner(fd, {
    pid: process.pid,
    host: hostname(),
    startedMs: Date.now(),
    ...(mountpoint !== undefined && { mountpoint }),
  });
}

function openForOwner(volumePath: string, path: string): number {
  try {
    return openSync(path, O_RDWR | O_CREAT, 0o600);
  } catch (error) {
    throw unwritable(volumePath, error) ?? error;
  }
}

/** Keeps owners away, and not others that only read. */
export interface Share {
  release(): void;
}

/**
 * A share of the volume, for as long as nothing of it may change; writes nothing. Undefined: a
 * process owns it. Where there never was an owner, or a file system knows no locks, nothing is kept.
 */
export function shareVolume(volumePath: string, waitMs = 0): Share | undefined {
  let fd: number;
  try {
    fd = openSync(join(volumePath, OWNER_FILE), O_RDONLY);
  } catch (error) {
    log(`${volumePath} is read without a lock: ${String(error)}`);
    return { release: () => undefined };
  }
  const deadlineMs = Date.now() + waitMs;
  for (;;) {
    const answer = lockFile(fd, 'shared');
    const isOwned = answer === -ERRNO.EAGAIN || answer === -ERRNO.EACCES;
    if (!isOwned) return { release: () => closeSync(fd) };
    if (Date.now() >= deadlineMs) break;
    sleepSync(POLL_MS);
  }
  closeSync(fd);
  return undefined;
}

/** Undefined: nobody, one that was killed or could not say who it is, or some that only read. */
export function presentOwner(volumePath: string): OwnerRecord | undefined {
  const owner = readOwner(volumePath);
  if (owner === undefined || owner.host !== hostname()) return owner;
  return existsSync(`/proc/${owner.pid}`) ? owner : undefined;
}

export function inUse(volumePath: string): CommandError {
  const owner = presentOwner(volumePath);
  const who =
    owner === undefined
      ? 'another process (a read-only mount leaves no name)'
      : `process ${owner.pid} on ${owner.host}`;
  const where = owner?.mountpoint === undefined ? '' : `, mounted on ${owner.mountpoint}`;
  return new CommandError(
    'volume-in-use',
    'EBUSY',
    `the volume ${volumePath} is in use by ${who}${where}`,
    { ...owner },
  );
}
