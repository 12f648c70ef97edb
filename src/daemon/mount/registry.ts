/**
 * Finds a volume again by its base (or, without a base, by its mountpoint). One
 * small JSON file per base. A volume at the default path is found even without
 * one, since its name follows from the base's path.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hasRawBytes, shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import { type StatePaths, slugOf, volumesDirectory } from './paths.js';

/** The key by which a volume is looked up. Pure. */
export function volumeKey(base: string | undefined, mountpoint: string): string {
  return base ?? `no-base:${mountpoint}`;
}

function entryPath(paths: StatePaths, key: string): string {
  return join(paths.stateDirectory, 'registry', `${slugOf(key)}.json`);
}

/** The path as it is. Throws CommandError: LMDB opens no path with bytes that are not UTF-8. */
export function volumePathOf(path: string): string {
  if (!hasRawBytes(path)) return path;
  throw new CommandError(
    'bad-option',
    'EINVAL',
    `a volume can't lie at ${shownName(path)}: its path must be UTF-8 (the mountpoint's need not)`,
  );
}

/** The path of the volume for `key`, whether it exists or not. */
export function volumePathFor(paths: StatePaths, key: string): string {
  try {
    const entry: unknown = JSON.parse(readFileSync(entryPath(paths, key), 'utf8'));
    const volume = (entry as { volume?: unknown }).volume;
    if (typeof volume === 'string') return volume;
  } catch {
    // Not registered.
  }
  return join(volumesDirectory(paths), slugOf(key));
}

/** The path of the volume for `key`, or undefined when there is none yet. */
export function findVolume(paths: StatePaths, key: string): string | undefined {
  const path = volumePathFor(paths, key);
  return existsSync(join(path, 'data.mdb')) ? path : undefined;
}

export function registerVolume(paths: StatePaths, key: string, volume: string): void {
  const path = entryPath(paths, key);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const fresh = `${path}.${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify({ key, volume })}\n`, { mode: 0o600 });
  renameSync(fresh, path);
}
