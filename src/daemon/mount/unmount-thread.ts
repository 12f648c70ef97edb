/**
 * Entry of a thread that unmounts, for a process whose main thread serves the
 * mount: an unmount waits for answers of the mount, and looking for those who
 * use it asks it, too.
 */
import { messageOf } from '../../lib/errors.js';
import { threadData } from '../../lib/threads.js';
import { parentPort } from 'node:worker_threads';
import { unmount } from '../../fuse/mount/kernel-mount.js';
import { mountAt, readMountTable } from './mount-table.js';
import { describeUse, usesOfMount } from './processes.js';

export interface UnmountTask {
  mountpoint: string;
  /** At once, whoever uses it. */
  lazy: boolean;
}

export interface UnmountReport {
  /** It was in use, and has been detached from its users. */
  wasBusy: boolean;
  /** For the log. */
  lines: string[];
}

/** Unmounts; what is in use is detached from its users, who are named. */
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
