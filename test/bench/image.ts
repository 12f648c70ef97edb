/**
 * The disk of the benchmark: one ext4 file system in a sparse file, mounted
 * through a loop device, on which everything compared keeps its data. (A root
 * disk with online discard makes deletions twenty times slower than they are.)
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

export interface Image {
  /** Mountpoints, state and the image file; on the root disk. */
  directory: string;
  /** Where the ext4 file system is mounted. */
  disk: string;
  remove(): void;
}

export function makeImage(sizeBytes: number): Image {
  removeLeftOver();
  const directory = join(PARENT, `${PREFIX}${process.pid}`);
  const disk = join(directory, 'disk');
  const file = join(directory, 'image');
  mkdirSync(disk, { recursive: true });
  const remove = (): void => removeDirectory(directory);
  try {
    writeFileSync(file, '');
    truncateSync(file, sizeBytes);
    const extended = 'lazy_itable_init=0,lazy_journal_init=0,nodiscard';
    run('mkfs.ext4', ['-q', '-F', '-E', extended, file]);
    run('mount', ['-o', 'loop', file, disk]);
  } catch (error) {
    remove();
    throw error;
  }
  return { directory, disk, remove };
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
  // The loop device goes with its mount.
  for (const place of mountsBelow(directory)) unmount(place);
  if (mountsBelow(directory).length > 0) {
    process.stderr.write(`bench: ${directory} is still in use and stays\n`);
    return;
  }
  const devices = run('losetup', ['-n', '-O', 'NAME', '-j', join(directory, 'image')]);
  for (const device of devices.split('\n').filter((line) => line !== '')) {
    succeeds('losetup', ['-d', device.trim()]);
  }
  rmSync(directory, { recursive: true, force: true });
}

function removeLeftOver(): void {
  for (const name of readdirSync(PARENT).filter((entry) => entry.startsWith(PREFIX))) {
    const pid = name.slice(PREFIX.length);
    if (/^\d+$/.test(pid) && !existsSync(`/proc/${pid}`)) removeDirectory(join(PARENT, name));
  }
}
