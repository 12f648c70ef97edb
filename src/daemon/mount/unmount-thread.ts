/**
 * Entry of a thread that unmounts, for a process whose main thread serves the
 * mount: an unmount waits for answers of the mount, and so does the search for
 * its users.
 */
import { messageOf } from '../../lib/errors.js';
import { threadData } from '../../lib/threads.js';
import { parentPort } from 'node:worker_threads';
import { unmount } from '../../fuse/mount/kernel-mount.js';
import { mountAt, readMountTable } from './mount-table.js';
import { describeUse, usesOfMount } from './processes.js';

export interface UnmountTask {
  mountpoint: string;
  /** Detach at once, even while programs use the mount. */
  lazy: boolean;
}

export interface UnmountReport {
  /** The mount was in use, and has been detached from its users. */
  wasBusy: boolean;
  /** For the log. */
  lines: string[];
}

/** Unmounts; detaches a mount that is in use, and names the processes that use it. */
export function unmountOrDetach({ mountpoint, lazy }: UnmountTask): UnmountReport {
  const lines: string[] = [];
  const mount = mountAt(readMountTable(), mountpoint);
  if (!lazy) {
    try {
      unmount(mountpoint);
      return { wasBusy: false, lines };
    } catch (busy) {
      lines.push(messageOf(busy));
    }
    if (mount !== undefined) {
      for (const use of usesOfMount(mount)) lines.push(`in use by ${describeUse(use)}`);
    }
  }
  try {
    unmount(mountpoint, { lazy: true });
  } catch (error) {
    lines.push(messageOf(error));
  }
  return { wasBusy: !lazy, lines };
}

if (parentPort !== null) parentPort.postMessage(unmountOrDetach(threadData() as UnmountTask));
