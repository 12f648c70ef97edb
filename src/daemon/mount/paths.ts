/**
 * The paths of the program's files: volumes, log files and mount records in the
 * state directory, control mounts in the run-time directory.
 *
 * Everything here belongs to one user: directories are 0700 and must belong to
 * the caller, since every user can write to /tmp (the last resort).
 */
import { createHash } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { basename, join } from 'node:path';
import { bytesOfText } from '../../lib/byte-text.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import { makeDirectory } from '../../lib/make-directory.js';

/** What the paths depend on; a parameter, so that tests can set it. */
export interface Surroundings {
  uid: number;
  env: Readonly<Record<string, string | undefined>>;
  home: string;
}

export interface StatePaths {
  stateDirectory: string;
  runtimeDirectory: string;
}

const SLUG_HASH_LENGTH = 12;
const SLUG_NAME_LENGTH = 32;

/** Pure. Only absolute paths of the environment count, as the XDG rules say. */
export function statePathsFor(where: Surroundings): StatePaths {
  const own = where.env['SHADOWFS_STATE_DIR'];
  const state = where.env['XDG_STATE_HOME'];
  const runtime = where.env['XDG_RUNTIME_DIR'];
  const isRoot = where.uid === 0;
  const stateDirectory = isRoot
    ? '/var/lib/shadowfs'
    : join(isAbsolute(state) ? state : join(where.home, '.local', 'state'), 'shadowfs');
  const runtimeDirectory = isRoot
    ? '/run/shadowfs'
    : isAbsolute(runtime)
      ? join(runtime, 'shadowfs')
      : `/tmp/shadowfs-${where.uid}`;
  return { stateDirectory: isAbsolute(own) ? own : stateDirectory, runtimeDirectory };
}

function isAbsolute(path: string | undefined): path is string {
  return path?.startsWith('/') === true;
}

/**
 * A file name for a path: a part that people recognise, and a hash that tells paths apart. Pure.
 */
export function slugOf(path: string): string {
  const name = (basename(path) || 'root')
    .replace(/[^A-Za-z0-9._-]+/g, '_')
    .slice(0, SLUG_NAME_LENGTH);
  const hash = createHash('sha256')
    .update(bytesOfText(path))
    .digest('hex')
    .slice(0, SLUG_HASH_LENGTH);
  return `${name.replace(/^\.+/, '_')}-${hash}`;
}

export function volumesDirectory(paths: StatePaths): string {
  return join(paths.stateDirectory, 'volumes');
}

export function logPath(paths: StatePaths, mountpoint: string): string {
  return join(paths.stateDirectory, 'log', `${slugOf(mountpoint)}.log`);
}

export function recordPath(paths: StatePaths, mountpoint: string): string {
  return join(paths.stateDirectory, 'mounts', `${slugOf(mountpoint)}.json`);
}

export function controlMountPath(paths: StatePaths, mountpoint: string): string {
  return join(paths.runtimeDirectory, slugOf(mountpoint));
}

/**
 * Makes the directory (and its parents) when it is missing. CommandError
 * `unsafe-directory` unless it is a directory that only `uid` can write to.
 */
export function ensurePrivateDirectory(path: string, uid: number): void {
  try {
    makeDirectory(path);
  } catch (error) {
    throw new CommandError(
      'state-unusable',
      'EACCES',
      `${path} can't be made: ${messageOf(error)}`,
    );
  }
  const stat = lstatSync(path);
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o022) !== 0) {
    throw new CommandError(
      'unsafe-directory',
      'EACCES',
      `${path} must be a directory that belongs to uid ${uid} and that nobody else can write to`,
    );
  }
}
