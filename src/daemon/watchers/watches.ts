/**
 * What programs watch of a mount with inotify or fanotify, as far as /proc
 * shows it: root sees every process, other users see their own. Never looks
 * into the mount.
 */
import { readlinkSync } from 'node:fs';
import { attempt } from '../../lib/attempt.js';
import { descriptorInfo, descriptorsOf, otherProcesses } from '../../libc/process-files.js';
import type { WatchedParts } from '../../tree/watchers/watched.js';

export interface WatchesFound extends WatchedParts {
  /** Processes that watch something of the mount. */
  programs: number;
}

const WATCHING_LINK = /^anon_inode:(?:inotify|\[fanotify\])$/;
/** Live inode numbers are below; those of snapshots, which never change, above. */
const LIVE_INOS = 2n ** 52n;
/** fanotify: FAN_MARK_FILESYSTEM, and FAN_MARK_MOUNT. */
const WHOLE = /^fanotify (?:sdev:([0-9a-f]+)|mnt_id:([0-9a-f]+)) /;
const ONE = /^(?:inotify wd:\S+|fanotify) ino:([0-9a-f]+) sdev:([0-9a-f]+) /;

/** A mount as the kernel's text about watches names it. */
export interface WatchedMount {
  /** `major:minor` */
  device: string;
  mountId: number;
}

/** What the text of a descriptor (/proc/PID/fdinfo/FD) says about the mount. Pure. */
export function parseWatches(text: string, { device, mountId }: WatchedMount): WatchedParts {
  const inodes: number[] = [];
  let everything = false;
  for (const line of text.split('\n')) {
    const whole = WHOLE.exec(line);
    if (whole !== null) {
      const [, sdev, id] = whole;
      if (sdev !== undefined && deviceOf(sdev) === device) everything = true;
      if (id !== undefined && Number.parseInt(id, 16) === mountId) everything = true;
      continue;
    }
    const [, ino, sdev] = ONE.exec(line) ?? [];
    if (ino === undefined || sdev === undefined || deviceOf(sdev) !== device) continue;
    const number = BigInt(`0x${ino}`);
    if (number < LIVE_INOS) inodes.push(Number(number));
  }
  return { inodes, everything };
}

/** The kernel's own form: 12 bits of major number, 20 of minor. */
function deviceOf(sdev: string): string {
  const device = Number.parseInt(sdev, 16);
  return `${device >>> 20}:${device & 0xfffff}`;
}

/** Gives other work a turn between two processes. */
export async function findWatches(mount: WatchedMount): Promise<WatchesFound> {
  const inodes = new Set<number>();
  let everything = false;
  let programs = 0;
  for (const pid of otherProcesses()) {
    const before = inodes.size;
    let watches = false;
    for (const fd of watchingDescriptors(pid)) {
      const found = parseWatches(descriptorInfo(pid, fd), mount);
      for (const ino of found.inodes) inodes.add(ino);
      everything ||= found.everything;
      watches ||= found.everything || found.inodes.length > 0;
    }
    if (watches || inodes.size > before) programs++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { inodes: [...inodes], everything, programs };
}

function watchingDescriptors(pid: number): number[] {
  return descriptorsOf(pid).filter((fd) =>
    WATCHING_LINK.test(attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? ''),
  );
}
