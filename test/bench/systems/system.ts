/** What is compared: a file system, and how it is mounted over directories of the benchmark's disk. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from '../image.js';
import { run } from '../shell.js';

export interface Place {
  /** Everything that the file system keeps. */
  data: string;
  mountpoint: string;
}

export interface System {
  name: string;
  /** What it is compared as: the measure, another of the kernel's, a FUSE peer, shadowfs. */
  role: 'disk' | 'kernel' | 'peer' | 'own';
  /** Served by a process, which a cold workload starts afresh. */
  isServed: boolean;
  /**
   * False: a time that is set alone (as tar sets a file's mtime) is lost, as libfuse 2 does it; so
   * times are not verified.
   */
  readonly keepsTimes?: false;
  /** Called once before anything else. Throws when the file system can't be used on this machine. */
  start?(image: Image): void;
  /** Where its data lie, if not on the common disk. */
  disk?: string;
  /**
   * Mounts, over `base` if there is one (which others use too, and which nobody may change); returns
   * where to work. Called again after `unmount` it shows what was stored.
   */
  mount(place: Place, base?: string): string;
  unmount(place: Place): void;
  /** Waits until nothing that was written is still on its way to the disk. */
  settle?(place: Place): void;
  /** What the data take, of bytes of the disk. */
  storedBytes(place: Place): number;
  /** The process that serves the mount. */
  serverPid?(place: Place): number | undefined;
}

export function directories(data: string, ...names: string[]): string[] {
  return names.map((name) => {
    const path = join(data, name);
    mkdirSync(path, { recursive: true });
    return path;
  });
}

export function umount({ mountpoint }: Place): void {
  run('umount', [mountpoint]);
}

/** What all files below have; of a tree that is being worked on some may be gone when du gets there. */
export function treeBytes(directory: string, isWorkedOn = false): number {
  const codes = isWorkedOn ? [0, 1] : [0];
  return Number(run('du', ['-s', '-B1', directory], { codes }).split('\t')[0]);
}

/** The process whose command line names the mountpoint. */
export function processServing(mountpoint: string): number | undefined {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
      if (words.includes(mountpoint)) return Number(pid);
    } catch {
      // It ended meanwhile.
    }
  }
  return undefined;
}

/** Memory of a process that is not backed by files, in bytes. */
export function anonymousBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return 1024 * Number(/^RssAnon:\s*(\d+) kB/m.exec(status)?.[1]);
}
