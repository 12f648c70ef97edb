/** Paths of any bytes, as text (byte-text.ts), where Node's own functions lose bytes. */
import { readlinkSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { fsPath, textOfBytes } from './byte-text.js';

/** Node puts this where a byte was lost. */
const LOST = '\ufffd';

/** Throws ENOENT when the directory is gone. */
export function currentDirectory(): string {
  const path = process.cwd();
  return path.includes(LOST) ? readLink('/proc/self/cwd') : path;
}

/** An absolute path without `.` and `..`. Symbolic links stay. */
export function absolutePath(path: string): string {
  return path.startsWith('/') ? resolve(path) : resolve(currentDirectory(), path);
}

/** Symbolic links followed. Throws what realpath(3) does. */
export function realPath(path: string): string {
  // The other form of this function makes a text of its argument.
  return textOfBytes(realpathSync.native(fsPath(path), 'buffer'));
}

export function readLink(path: string): string {
  return textOfBytes(readlinkSync(fsPath(path), 'buffer'));
}
