/**
 * Whether there is such a command, as execvp(3) would find it: asked before anything is made for
 * it. The branch has the same files as the tree, so that the answer holds in there, too.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { attempt } from '../../lib/attempt.js';
import { fsPath, shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';

const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin';

/** Throws CommandError `no-such-command` or `not-executable`. */
export function requireProgram(name: string, cwd: string, searched = process.env['PATH']): void {
  const places = name.includes('/')
    ? [resolve(cwd, name)]
    : (searched ?? DEFAULT_PATH).split(':').map((place) => join(resolve(cwd, place || '.'), name));
  let found: string | undefined;
  for (const place of places) {
    const verdict = look(place, name.includes('/'));
    if (verdict === 'program') return;
    if (verdict === 'other') found ??= place;
  }
  if (found !== undefined) {
    throw new CommandError('not-executable', 'EACCES', `${shownName(found)} can't be executed`);
  }
  const where = name.includes('/') ? '' : ' in PATH';
  throw new CommandError('no-such-command', 'ENOENT', `no command ${shownName(name)}${where}`);
}

/** A directory of PATH that this user may not enter holds nothing for them, as in a shell. */
function look(place: string, isGiven: boolean): 'program' | 'other' | 'nothing' {
  let isFile: boolean;
  try {
    isFile = statSync(fsPath(place)).isFile();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return isGiven && code !== 'ENOENT' && code !== 'ENOTDIR' ? 'other' : 'nothing';
  }
  if (!isFile) return isGiven ? 'other' : 'nothing';
  return attempt(() => accessSync(fsPath(place), constants.X_OK) ?? true) ? 'program' : 'other';
}
