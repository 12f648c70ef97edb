/**
 * A shell that stood in a directory before it was put under history in place
 * still stands in the original below the mount. The paths are the same, so that
 * its person can't see it: what is written from there goes into the base, and a
 * save of the mount does not have it. Every command given from there says so.
 */
import { statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { fsPath } from '../lib/byte-text.js';
import type { MountEntry } from '../daemon/mount/mount-table.js';
import { deviceText } from '../fuse/mount/mount-info.js';
import { noteWarning } from './output.js';

/**
 * Whether the path leads below the mount instead of into it. `given`: as the person gave it; an
 * absolute path can't. `directory`: the same, absolute.
 */
function isBelow(mount: MountEntry, given: string | undefined, directory: string): boolean {
  if (given !== undefined && isAbsolute(given)) return false;
  const here = deviceAt(given ?? '.');
  if (here === undefined || here === mount.device) return false;
  // Something else may be mounted inside the mount, and the shell stand there.
  return here !== deviceAt(directory);
}

function deviceAt(path: string): string | undefined {
  try {
    return deviceText(statSync(fsPath(path)).dev);
  } catch {
    return undefined;
  }
}

/** Warns when a command about the mount was given from below it. */
export function warnBelowMount(
  mount: MountEntry,
  given: string | undefined,
  directory: string,
): void {
  if (!isBelow(mount, given, directory)) return;
  noteWarning(
    'uncovered-directory',
    `this shell stands in the original of ${directory}, below the mount: what it writes goes ` +
      'there is not in the history, and what is changed in the mount it does not see. ' +
      'This command acts on the mount. To enter the mount: cd .',
  );
}
