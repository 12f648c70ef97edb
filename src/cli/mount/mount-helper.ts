/**
 * The entry points of mount(8) and umount(8) for the types `fuse.shadowfs` and
 * `shadowfs`, through the scripts that mount-scripts/install puts into /sbin.
 * They are called as `shadowfs mount.shadowfs WORD…` and `shadowfs
 * umount.shadowfs WORD…`, and, by mount.fuse3, as `shadowfs BASE DIR -o …`.
 *
 * What must hold: the exit codes are mount(8)'s; a mount requested with `none`
 * shows `none` as its source, because `mount -a` looks for it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError, messageOf } from '../../lib/errors.js';
import { type MountOptions, parseMountOptions } from '../../daemon/mount/mount-options.js';
import { findMountRecord } from '../../daemon/mount/mount-record.js';
import {
  MOUNT_TYPE,
  mountAt,
  type MountEntry,
  readMountTable,
} from '../../daemon/mount/mount-table.js';
import { takeIn } from '../../daemon/volumes/take-in.js';
import { umountAndWait } from '../../daemon/mount/umount.js';
import { unmount } from '../../fuse/mount/kernel-mount.js';
import { remount } from '../../fuse/mount/remount.js';
import { UMOUNT_HELPER } from './helper-words.js';
import {
  type MountWords,
  NO_BASE,
  parseMountWords,
  parseUmountWords,
  splitOptions,
} from './mount-words.js';
import { printable } from '../output.js';
import { processesBelow } from './told-below.js';
import { planned, served } from './plan.js';
import { withVolumeOf } from './which-volume.js';
import { currentPaths } from '../target.js';

/** Wrong usage, or not permitted. */
const EXIT_REFUSED = 1;
const EXIT_FAILED = 32;

function exitCodeOf(error: unknown): number {
  if (!(error instanceof CommandError)) return EXIT_FAILED;
  const isRefused = error.code === 'bad-option' || error.errno === 'EPERM';
  return isRefused ? EXIT_REFUSED : EXIT_FAILED;
}

async function mountAsTold(words: MountWords, say: (text: string) => void): Promise<void> {
  const options = parseMountOptions(words.options);
  for (const note of words.notes) say(note);
  if (words.remount) {
    remountAsTold(words, options);
    return;
  }
  const paths = currentPaths();
  await takeIn(paths, say);
  const hasBase = !NO_BASE.has(words.spec);
  const request = {
    base: hasBase ? words.spec : undefined,
    source: hasBase ? undefined : words.spec,
    mountpoint: words.directory,
    volume: words.volume,
    driver: words.driver,
    options,
  };
  const plan = await planned(await withVolumeOf(request, paths), paths);
  for (const note of plan.notes) say(note);
  if (!words.fake) {
    const { isNew } = await served(plan, { words: words.options, driver: words.driver });
    if (isNew) say(`a new history begins (volume ${plan.volume})`);
    for (const text of processesBelow(plan).warnings) say(text);
  }
  if (words.verbose) say(`${plan.source} mounted on ${plan.mountpoint} (volume ${plan.volume})`);
}

/** The kernel can change read-only and which files work; all other options stay unchanged. */
function remountAsTold(words: MountWords, options: MountOptions): void {
  const mount = mountOf(words.directory);
  if (!options.readOnly && isServedReadOnly(mount)) {
    throw new CommandError(
      'read-only',
      'EROFS',
      `${mount.mountpoint} was mounted read-only; to write, unmount it and mount it again`,
    );
  }
  if (!words.fake) remount(mount.mountpoint, options);
}

/**
 * Options of the kernel's mount table that `parseMountOptions` knows; the
 * others (`noatime`) stay unchanged.
 */
function isKernelFlag(option: string): boolean {
  return ['ro', 'nosuid', 'nodev', 'noexec'].includes(option);
}

function mountOf(directory: string): MountEntry {
  const mount = mountAt(readMountTable(), directory);
  if (mount?.type === MOUNT_TYPE) return mount;
  throw new CommandError('not-mounted', 'ENOENT', `no volume is mounted on ${directory}`);
}

function isServedReadOnly(mount: MountEntry): boolean {
  const record = findMountRecord(currentPaths(), mount);
  if (record === undefined) return false;
  try {
    const status: unknown = JSON.parse(readFileSync(join(record.controlMount, 'status'), 'utf8'));
    return (status as { readOnly?: boolean }).readOnly === true;
  } catch {
    return false;
  }
}

async function umountAsTold(argv: readonly string[], say: (text: string) => void): Promise<void> {
  const words = parseUmountWords(argv);
  const mount = mountOf(words.directory);
  if (words.force) {
    // The mount's process may be stuck, so nothing waits for it.
    unmount(mount.mountpoint, { lazy: words.lazy, force: true });
    return;
  }
  try {
    await umountAndWait(mount, currentPaths(), words.lazy, say);
  } catch (error) {
    const isBusy = error instanceof CommandError && error.code === 'mount-busy';
    if (!isBusy || !words.readOnlyWhenBusy) throw error;
    remount(
      mount.mountpoint,
      parseMountOptions(splitOptions(`${mount.mountOptions},ro`).filter(isKernelFlag)),
    );
    say(`${mount.mountpoint} is in use; it is read-only now`);
    return;
  }
  if (words.verbose) say(`${mount.mountpoint} unmounted`);
}

/** Returns the exit code. */
export async function runHelper(name: string, words: readonly string[]): Promise<number> {
  const say = (text: string): void => void process.stderr.write(`${name}: ${text}\n`);
  try {
    if (name === UMOUNT_HELPER) await umountAsTold(words, say);
    else await mountAsTold(parseMountWords(words), say);
    return 0;
  } catch (error) {
    const message = messageOf(error);
    say(message.split('\n').map(printable).join('\n'));
    return exitCodeOf(error);
  }
}
