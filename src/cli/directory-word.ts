/** Whether a word of the command line is a directory, for commands that take one as the last word. */
import { statSync } from 'node:fs';
import { fsPath } from '../lib/byte-text.js';

/** What can't be there, as against what this user can't look at. */
const ABSENT: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']);

export function isDirectoryWord(word: string): boolean {
  try {
    return statSync(fsPath(word)).isDirectory();
  } catch (error) {
    // The mount of another user, or a dead one, can't be looked at and is there.
    return !ABSENT.has((error as NodeJS.ErrnoException).code);
  }
}

/** A directory as the last word is the mountpoint, as for other commands. */
export function wordsOf(given: string[]): { words: string[]; mountpoint: string | undefined } {
  const last = given.at(-1);
  if (last === undefined || !isDirectoryWord(last)) return { words: given, mountpoint: undefined };
  return { words: given.slice(0, -1), mountpoint: last };
}
