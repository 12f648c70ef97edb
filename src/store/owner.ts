/**
 * One process at a time owns a volume.
 *
 * The owner holds a lock on the file `owner` in the volume's directory; the
 * lock goes with the process, however it ends. What the file says (JSON) only
 * serves to name the owner to others.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { CommandError, ERRNO } from '../lib/errors.js';
import { O_CREAT, O_RDWR } from '../libc/constants.js';
import { lockFile } from '../libc/libc.js';
import { fsError } from '../libc/library.js';
import { OWNER_FILE } from './open.js';

const POLL_MS = 20;

export interface OwnerRecord {
  pid: number;
  host: string;
  startedMs: number;
  mountpoint?: string;
}

export interface AcquireOptions {
  /** How long to wait for an owner that is closing. Blocks the thread. */
  waitMs?: number;
  mountpoint?: string;
}

function sleep(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

/** What the present or last owner wrote about itself, as far as it can be read. */
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

  #write(): void {
    const text = Buffer.from(`${JSON.stringify(this.#record)}\n`);
    ftruncateSync(this.#fd, 0);
    writeSync(this.#fd, text, 0, text.length, 0);
  }

  /** The file stays: removing it would let two owners lock two files. */
  release(): void {
    if (this.#fd < 0) return;
    ftruncateSync(this.#fd, 0);
    closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Takes the volume, or throws CommandError `volume-in-use`, which names the owner. */
export function acquireOwner(volumePath: string, options: AcquireOptions = {}): Owner {
  const path = join(volumePath, OWNER_FILE);
  const fd = openSync(path, O_RDWR | O_CREAT, 0o600);
  const deadlineMs = Date.now() + (options.waitMs ?? 0);
  for (;;) {
    const answer = lockFile(fd);
    if (answer === 0) break;
    if (answer !== -ERRNO.EAGAIN && answer !== -ERRNO.EACCES) {
      closeSync(fd);
      throw fsError(answer, 'lock', path);
    }
    if (Date.now() >= deadlineMs) {
      closeSync(fd);
      throw inUse(volumePath);
    }
    sleep(POLL_MS);
  }
  const { mountpoint } = options;
  return new Owner(fd, {
    pid: process.pid,
    host: hostname(),
    startedMs: Date.now(),
    ...(mountpoint !== undefined && { mountpoint }),
  });
}

function inUse(volumePath: string): CommandError {
  const owner = readOwner(volumePath);
  const who = owner === undefined ? 'another process' : `process ${owner.pid} on ${owner.host}`;
  const where = owner?.mountpoint === undefined ? '' : `, mounted on ${owner.mountpoint}`;
  return new CommandError(
    'volume-in-use',
    'EBUSY',
    `the volume ${volumePath} is in use by ${who}${where}`,
    { ...owner },
  );
}
