/**
 * The disks of the benchmark: an ext4 file system in a sparse file, mounted
 * through a loop device, on which everything compared keeps its data, and
 * further ones beside it for other kinds of disk. (A root disk with online
 * discard makes deletions twenty times slower than they are.)
 *
 * What must hold: nothing is left behind, whatever ends the process; what a
 * killed run left is taken away by the next one.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { run, sleepMs, succeeds } from './shell.js';

const PARENT = '/var/tmp';
const PREFIX = 'shadowfs-bench-';
const UNMOUNT_MAX_MS = 10_000;
export const MKFS_EXT4 = [
  'mkfs.ext4',
  '-q',
  '-F',
  '-E',
  'lazy_itable_init=0,lazy_journal_init=0,nodiscard',
];

export interface Image {
  /** Mountpoints, state and the image files; on the root disk. */
  directory: string;
  /** Where the ext4 file system is mounted. */
  disk: string;
  /** Another disk in an image of its own; returns where it is mounted. */
  addDisk(name: string, mkfs: readonly string[], mountOptions: string): string;
  remove(): void;
}

export function makeImage(sizeBytes: number): Image {
  removeLeftOver();
  const directory = join(PARENT, `${PREFIX}${process.pid}`);
  mkdirSync(directory);
  const addDisk: Image['addDisk'] = (name, mkfs, mountOptions) => {
    const [command = '', ...args] = mkfs;
    const disk = join(directory, name);
    const file = join(directory, `${name}.image`);
    mkdirSync(disk);
    writeFileSync(file, '');
    truncateSync(file, sizeBytes);
    run(command, [...args, file]);
    run('mount', ['-o', mountOptions, file, disk]);
    return disk;
  };
  const remove = (): void => removeDirectory(directory);
  try {
    return { directory, disk: addDisk('disk', MKFS_EXT4, 'loop'), addDisk, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Everything mounted below the directory, innermost first. */
function mountsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((place) => place.startsWith(`${directory}/`))
    .reverse();
}

/** A server may still be storing, and hold the disk, after its mount is gone. */
function unmount(place: string): void {
  const start = Date.now();
  while (Date.now() - start < UNMOUNT_MAX_MS) {
    if (succeeds('umount', [place])) return;
    sleepMs(200);
  }
  succeeds('umount', ['-l', place]);
}

function removeDirectory(directory: string): void {
  // The loop devices go with their mounts.
  for (const place of mountsBelow(directory)) unmount(place);
  if (mountsBelow(directory).length > 0) {
    process.stderr.write(`bench: ${directory} is still in use and stays\n`);
    return;
  }
  for (const file of readdirSync(directory).filter((name) => name.endsWith('.image'))) {
    const devices = run('losetup', ['-n', '-O', 'NAME', '-j', join(directory, file)]);
    for (const device of devices.split('\n').filter((line) => line !== '')) {
      succeeds('losetup', ['-d', device.trim()]);
    }
  }
  rmSync(directory, { recursive: true, force: true });
}

function removeLeftOver(): void {
  for (const name of readdirSync(PARENT).filter((entry) => entry.startsWith(PREFIX))) {
    const pid = name.slice(PREFIX.length);
    if (/^\d+$/.test(pid) && !existsSync(`/proc/${pid}`)) removeDirectory(join(PARENT, name));
  }
}
