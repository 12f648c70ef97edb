/**
 * The daemon's log: lines on descriptor 2, which is the log file in the
 * background and the terminal with `-f`. Written synchronously, because
 * `process.stderr` of a worker needs the main thread and a thread that yields.
 */
import { mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** At the start of a mount, a longer log is renamed to `.1`. */
const MAX_LOG_BYTES = 1024 * 1024;

export function log(message: string): void {
  try {
    writeSync(2, `${new Date().toISOString()} ${message}\n`);
  } catch {
    // A full disk must not end the mount.
  }
}

/** Opens the log file for appending, starting a new one when it has grown. */
export function openLog(path: string): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    if (statSync(path).size > MAX_LOG_BYTES) renameSync(path, `${path}.1`);
  } catch {
    // There is no log yet.
  }
  return openSync(path, 'a', 0o600);
}
