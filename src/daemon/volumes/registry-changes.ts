/**
 * Changes of the registry, made under a lock, so that mounts at the same time do
 * not undo each other's.
 */
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { flushDirectory, replaceFile } from '../../lib/durable-file.js';
import { CommandError, ERRNO } from '../../lib/errors.js';
import { sleepSync } from '../../lib/sleep.js';
import { lockFile } from '../../libc/libc.js';
import type { StatePaths } from '../mount/paths.js';
import {
  directoryOf,
  filePath,
  FORMAT,
  readRegistry,
  unusable,
  type VolumeEntry,
} from './registry.js';

const LOCK_FILE = '.lock';
const LOCK_WAIT_MS = 10_000;
const POLL_MS = 10;
const MAX_MOUNTPOINTS = 8;

/** The registry, for as long as no one else can change it. */
export class LockedRegistry {
  readonly #paths: StatePaths;
  readonly #entries: Map<string, VolumeEntry>;

  constructor(paths: StatePaths) {
    this.#paths = paths;
    this.#entries = new Map(readRegistry(paths).map((entry) => [entry.id, entry]));
  }

  get entries(): VolumeEntry[] {
    return [...this.#entries.values()];
  }

  get(id: string): VolumeEntry | undefined {
    return this.#entries.get(id);
  }

  /** A file name for a new entry: the UUID, unless a copy of the volume has it. */
  freeId(uuid: string): string {
    for (let count = 1; ; count++) {
      const id = count === 1 ? uuid : `${uuid}.${count}`;
      if (!this.#entries.has(id)) return id;
    }
  }

  /** Durable when it returns. */
  put(entry: VolumeEntry): void {
    const { id, ...stored } = entry;
    const mountpoints = entry.mountpoints.slice(0, MAX_MOUNTPOINTS);
    const text = `${JSON.stringify({ format: FORMAT, ...stored, mountpoints })}\n`;
    try {
      replaceFile(filePath(this.#paths, id), text, 0o600);
    } catch (error) {
      throw unusable(this.#paths, error);
    }
    this.#entries.set(id, entry);
  }

  remove(id: string): void {
    try {
      rmSync(filePath(this.#paths, id), { force: true });
      flushDirectory(directoryOf(this.#paths));
    } catch (error) {
      throw unusable(this.#paths, error);
    }
    this.#entries.delete(id);
  }
}

/** Runs `change` while no other process changes the registry. Throws CommandError. */
export function changeRegistry<T>(paths: StatePaths, change: (registry: LockedRegistry) => T): T {
  const fd = openLock(paths);
  try {
    waitForLock(fd, paths);
    return change(new LockedRegistry(paths));
  } finally {
    closeSync(fd);
  }
}

function openLock(paths: StatePaths): number {
  try {
    mkdirSync(directoryOf(paths), { recursive: true, mode: 0o700 });
    return openSync(join(directoryOf(paths), LOCK_FILE), 'a', 0o600);
  } catch (error) {
    throw unusable(paths, error);
  }
}

/** The lock goes with its holder. Where a file system knows no locks, there is none. */
function waitForLock(fd: number, paths: StatePaths): void {
  const deadlineMs = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    const answer = lockFile(fd);
    if (answer !== -ERRNO.EAGAIN && answer !== -ERRNO.EACCES) return;
    if (Date.now() >= deadlineMs) {
      throw new CommandError(
        'registry-busy',
        'EBUSY',
        `the list of volumes in ${directoryOf(paths)} is locked by another command that does not end`,
      );
    }
    sleepSync(POLL_MS);
  }
}
