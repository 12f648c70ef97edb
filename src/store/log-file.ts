/**
 * The file of the intent log: `intent.log` beside LMDB's. Later writes must
 * change only its bytes, because a flush is then a single disk write. So the
 * file is created at full size, with written zeros.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  fsyncSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { flushDirectory } from '../lib/durable-file.js';
import { writeInPlace } from './in-place.js';

export const LOG_FILE = 'intent.log';
export const LOG_BYTES = 16 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

export function logPath(volumePath: string): string {
  return join(volumePath, LOG_FILE);
}

/**
 * Makes the file, unless it exists with the right size and no holes; flushed.
 * Throws the disk's error.
 */
export function makeLogFile(volumePath: string, bytes: number): void {
  const path = logPath(volumePath);
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  const fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error(`${path} is not a regular file`);
    // A copied file may have holes; a write into one would have to allocate blocks.
    if (stat.size === bytes && stat.blocks * 512 >= bytes) return;
    fchmodSync(fd, 0o600);
    if (stat.size === 0) writeInPlace(fd);
    const zeros = Buffer.alloc(Math.min(CHUNK_BYTES, bytes));
    for (let at = 0; at < bytes; at += zeros.length) {
      if (writeSync(fd, zeros, 0, zeros.length, at) !== zeros.length) {
        throw new Error(`${path}: no room for ${bytes} bytes`);
      }
    }
    ftruncateSync(fd, bytes);
    fsyncSync(fd);
    flushDirectory(dirname(path));
  } finally {
    closeSync(fd);
  }
}

/** Opens the file for writing. Throws when it is not as `makeLogFile` leaves it. */
export function openLogFile(volumePath: string): number {
  return openSync(logPath(volumePath), constants.O_RDWR | constants.O_NOFOLLOW);
}

/** The whole file; undefined when there is none. */
export function readLogFile(volumePath: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(logPath(volumePath), constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(Math.min(fstatSync(fd).size, LOG_BYTES));
    let at = 0;
    while (at < bytes.length) {
      const count = readSync(fd, bytes, at, bytes.length - at, at);
      if (count === 0) break;
      at += count;
    }
    return bytes.subarray(0, at);
  } finally {
    closeSync(fd);
  }
}
