/**
 * The daemon's log: lines on descriptor 2, which is the log file in the
 * background and the terminal with `-f`. Written synchronously, because
 * `process.stderr` of a worker needs the main thread and a thread that yields.
 *
 * What must hold: a mount that is served for years keeps two files of about
 * MAX_LOG_BYTES. Whichever thread writes the line that is too much begins a new
 * file, for all threads.
 */
import { closeSync, fstatSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { fsPath } from '../../lib/byte-text.js';
import { makeDirectory } from '../../lib/make-directory.js';
import { duplicate } from '../../libc/libc.js';

/** A longer log is renamed to `.1`, in place of the one before. */
const MAX_LOG_BYTES = 1024 * 1024;

/** The log file behind descriptor 2; undefined: a terminal, or whatever a person has put there. */
let file: string | undefined;

/** Call it in each thread that logs, when descriptor 2 is the log file at `path`. */
export function keepLogShort(path: string): void {
  if (path !== '') file = path;
}

export function log(message: string): void {
  try {
    writeSync(2, `${new Date().toISOString()} ${message}\n`);
    if (file !== undefined && fstatSync(2).size > MAX_LOG_BYTES) beginAnew(file);
  } catch {
    // A full disk must not end the mount.
  }
}

/** Opens the log file for appending, starting a new one when it has grown. */
export function openLog(path: string): number {
  makeDirectory(dirname(path));
  try {
    if (statSync(path).size > MAX_LOG_BYTES) renameSync(path, `${path}.1`);
  } catch {
    // There is no log yet.
  }
  return openSync(path, 'a', 0o600);
}

function beginAnew(path: string): void {
  const named = statSync(fsPath(path), { throwIfNoEntry: false });
  // Another thread may have begun one just now.
  if (named !== undefined && named.ino !== fstatSync(2).ino) return;
  if (named !== undefined) renameSync(fsPath(path), fsPath(`${path}.1`));
  const fd = openSync(fsPath(path), 'a', 0o600);
  duplicate(fd, 2);
  closeSync(fd);
}
