/** Unmounting beside a command whose terminal sends its signals to everything that runs with it. */
import { rmdirSync } from 'node:fs';
import { attempt } from '../../lib/attempt.js';
import { fsPath } from '../../lib/byte-text.js';
import { unmount } from '../../fuse/mount/kernel-mount.js';
import { mountAt, readMountTable } from '../../daemon/mount/mount-table.js';

/** Ctrl-C also ends the program that unmounts. */
const ATTEMPTS_MAX = 5;

/** Unmounts what is there, and removes the mountpoint. False: it is in use, or nobody may. */
export function unmountSurely(mountpoint: string, lazy = false): boolean {
  const isMounted = (): boolean => mountAt(readMountTable(), mountpoint) !== undefined;
  for (let count = 0; count < ATTEMPTS_MAX && isMounted(); count++) {
    attempt(() => unmount(mountpoint, { lazy }));
  }
  attempt(() => rmdirSync(fsPath(mountpoint)));
  return !isMounted();
}
