/**
 * The steps that bring what is staged to its places in the base. Each is one
 * visible change, says itself whether it is done already, and may be repeated:
 * so a switch that was cut off is completed by doing its steps again.
 */
import { FsError } from '../../lib/errors.js';
import { parentOf } from '../../lib/paths.js';
import type { BaseStat } from '../../base/base-stat.js';
import { type BaseWriter, isDirectoryStat } from '../../base/writing/base-writer.js';
import type { Step } from './journal.js';

/**
 * `isAgain`: later steps may have moved on what this one is about. True: a directory may have come,
 * gone or moved, so that paths lead elsewhere.
 */
export function doStep(writer: BaseWriter, step: Step, isAgain: boolean): boolean {
  switch (step.do) {
    case 'link':
      link(writer, step);
      return false;
    case 'move':
      return move(writer, step, isAgain);
    case 'drop':
      return drop(writer, step);
    case 'attributes':
      attributes(writer, step);
      return false;
    case 'note':
      return false;
  }
}

/** Where there are no hard links the file itself moves; its old name is gone a little early then. */
function link(writer: BaseWriter, { from, to, host }: Extract<Step, { do: 'link' }>): void {
  if (writer.lstat(to) !== undefined) return;
  if (writer.lstat(from)?.hostInode !== host) return;
  // Cut off after the last step: everything is in its place, and the staging directory is gone.
  if (writer.lstat(parentOf(to)) === undefined) return;
  try {
    writer.link(from, to);
  } catch (error) {
    if (!isUnable(error)) throw error;
    writer.rename(from, to);
  }
}

/**
 * What stands in the way goes: a file at once, a directory to the staging directory. Of a file with
 * several names, the staging directory keeps the one that it loses: views may read it by that.
 */
function move(writer: BaseWriter, step: Extract<Step, { do: 'move' }>, isAgain: boolean): boolean {
  const { from, to, host, trash } = step;
  const there = writer.lstat(to);
  if (there?.hostInode === host) {
    // Two names of one file: rename(2) would do nothing and leave both.
    if (writer.lstat(from)?.hostInode === host && !isDirectoryStat(there)) writer.unlink(from);
    return isDirectoryStat(there);
  }
  const moving = writer.lstat(from);
  if (moving?.hostInode !== host && isAgain) return true;
  if (moving?.hostInode !== host) throw new FsError('ENOENT', 'apply (it is not there)', from);
  if (there === undefined || !(isDirectoryStat(there) || isDirectoryStat(moving))) {
    if (there !== undefined && there.nlink > 1) keepName(writer, to, trash);
    writer.rename(from, to);
    return isDirectoryStat(moving);
  }
  // Both are there, and one is a directory: neither moment is without the name.
  if (writer.exchange(from, to)) {
    if (writer.lstat(from) !== undefined) writer.rename(from, trash);
    return true;
  }
  writer.rename(to, trash);
  writer.rename(from, to);
  return true;
}

/** Where there are no more names to be had, views can't read it until it has its last name. */
function keepName(writer: BaseWriter, path: string, trash: string): void {
  if (writer.lstat(trash) !== undefined) return;
  try {
    writer.link(path, trash);
  } catch (error) {
    if (!isUnable(error)) throw error;
  }
}

function isUnable(error: unknown): boolean {
  return error instanceof FsError && ['EPERM', 'EOPNOTSUPP', 'EMLINK'].includes(error.code);
}

function drop(writer: BaseWriter, { path, host, trash }: Extract<Step, { do: 'drop' }>): boolean {
  const there: BaseStat | undefined = writer.lstat(path);
  if (there?.hostInode !== host) return false;
  const isDirectory = isDirectoryStat(there);
  if (isDirectory) writer.rename(path, trash);
  else writer.unlink(path);
  return isDirectory;
}

function attributes(writer: BaseWriter, step: Extract<Step, { do: 'attributes' }>): void {
  const { path, mode, uid, gid, times, xattrs } = step;
  if (writer.lstat(path) === undefined) return;
  writer.setAttributes(path, {
    mode,
    uid,
    gid,
    times,
    ...(xattrs !== undefined && {
      xattrs: xattrs.map(([name, value]) => [name, Buffer.from(value, 'latin1')] as const),
    }),
  });
}
