/**
 * Makes a directory and those above it, with the errno of the call that failed:
 * Node's own way says ENOENT where a file system is read-only.
 */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fsPath } from './byte-text.js';

/** `path`: absolute, as text. New ones are for their owner alone. */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(fsPath(path), { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isThere = statSync(fsPath(path), { throwIfNoEntry: false })?.isDirectory() === true;
    // A read-only file system says so even of what exists.
    if (isThere) return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    makeDirectory(dirname(path));
    mkdirSync(fsPath(path), { mode: 0o700 });
  }
}
