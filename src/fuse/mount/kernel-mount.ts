/**
 * Mounting and unmounting: mount(2) as root, the setuid helper `fusermount3`
 * for everyone else. Returns the FUSE descriptor; the mount works as soon as a
 * session serves it.
 *
 * Never call this in the serving thread: an unmount writes dirty pages out, and
 * that thread must accept them.
 *
 * Doors: kernel-mount, mount-info, path-command, remount, usable.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, statfsSync, statSync } from 'node:fs';
import { attempt } from '../../lib/attempt.js';
import { byteStringOfText, fsPath, shownText } from '../../lib/byte-text.js';
import { CommandError, ERRNO, type ErrnoName } from '../../lib/errors.js';
import {
  AT_FDCWD,
  MNT_DETACH,
  MNT_FORCE,
  MS_NOATIME,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  O_NONBLOCK,
  O_RDWR,
  UMOUNT_NOFOLLOW,
} from '../../libc/constants.js';
import { recvFd, socketpair } from '../../libc/fd-passing.js';
import { close, getStatusFlags, mount, openat, setStatusFlags, umount2 } from '../../libc/libc.js';
import { fsError } from '../../libc/library.js';
import { readMountTable } from './mount-info.js';
import { commandAbout } from './path-command.js';

const DEVICE = '/dev/fuse';
export const HELPER = 'fusermount3';
/** How the kernel is told that the root is a directory; octal. */
const ROOT_MODE = '40000';
const DEFAULT_MAX_READ_BYTES = 1024 * 1024;

export interface MountOptions {
  /** The device name shown by df and mount. */
  source: string;
  /** The type is `fuse.<subtype>` (default `shadowfs`). */
  subtype?: string;
  /** Other users may enter; the usual permission checks apply to them. */
  allowOther?: boolean;
  readOnly?: boolean;
  /** Ignore set-user-id bits (always so for ordinary users). */
  nosuid?: boolean;
  /** Ignore device files (always so for ordinary users). */
  nodev?: boolean;
  noexec?: boolean;
  /** Default 1 MiB. */
  maxReadBytes?: number;
}

function refusal(code: string, errno: ErrnoName, message: string): CommandError {
  return new CommandError(code, errno, message);
}

/**
 * Mounts at `mountpoint` and returns the descriptor: nonblocking,
 * close-on-exec, owned by the caller. Always `noatime`, because no server here
 * updates access times at reads. Throws CommandError, one code per reason.
 */
export function mountFuse(mountpoint: string, options: MountOptions): number {
  checkMountpoint(mountpoint);
  return process.geteuid?.() === 0
    ? mountAsRoot(mountpoint, options)
    : mountAsUser(mountpoint, options);
}

function checkMountpoint(mountpoint: string): void {
  let isDirectory: boolean;
  try {
    // This asks the server of an existing mount; stat may be answered from a cache.
    statfsSync(fsPath(mountpoint));
    isDirectory = statSync(fsPath(mountpoint)).isDirectory();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    switch (code) {
      case 'ENOENT':
        throw refusal('mountpoint-missing', 'ENOENT', `mountpoint ${mountpoint} does not exist`);
      case 'ENOTCONN':
        throw refusal(
          'mountpoint-stale',
          'EBUSY',
          `${mountpoint} is the mount of a program that has ended; unmount it first`,
        );
      default:
        throw refusal(
          'mountpoint-unreadable',
          'EACCES',
          `mountpoint ${mountpoint} can't be used: ${code}`,
        );
    }
  }
  if (!isDirectory) {
    throw refusal(
      'mountpoint-not-directory',
      'ENOTDIR',
      `mountpoint ${mountpoint} is not a directory`,
    );
  }
}

function mountAsRoot(mountpoint: string, options: MountOptions): number {
  const fd = openat(AT_FDCWD, DEVICE, O_RDWR | O_NONBLOCK);
  if (fd < 0) throw deviceRefusal(-fd);
  const flags =
    MS_NOATIME |
    (options.readOnly === true ? MS_RDONLY : 0) |
    (options.nosuid === true ? MS_NOSUID : 0) |
    (options.nodev === true ? MS_NODEV : 0) |
    (options.noexec === true ? MS_NOEXEC : 0);
  const data = [
    `fd=${fd}`,
    `rootmode=${ROOT_MODE}`,
    'user_id=0',
    'group_id=0',
    'default_permissions',
    ...(options.allowOther === true ? ['allow_other'] : []),
    `max_read=${options.maxReadBytes ?? DEFAULT_MAX_READ_BYTES}`,
  ];
  const type = `fuse.${options.subtype ?? 'shadowfs'}`;
  const source = shownText(options.source);
  const mounted = mount(source, byteStringOfText(mountpoint), type, flags, data.join(','));
  if (mounted < 0) {
    close(fd);
    throw mountRefusal(-mounted, mountpoint);
  }
  return fd;
}

function deviceRefusal(errno: number): CommandError {
  switch (errno) {
    case ERRNO.ENOENT:
    case ERRNO.ENODEV:
    case ERRNO.ENXIO:
      return refusal(
        'fuse-missing',
        'ENODEV',
        `${DEVICE} is missing: the kernel has no FUSE, or its module is not loaded (modprobe fuse)`,
      );
    case ERRNO.EACCES:
    case ERRNO.EPERM:
      return refusal(
        'fuse-not-permitted',
        'EACCES',
        `no permission to open ${DEVICE} (root can allow it: chmod 666 ${DEVICE})`,
      );
    default:
      return refusal('fuse-missing', 'ENODEV', fsError(-errno, 'open', DEVICE).message);
  }
}

function mountRefusal(errno: number, mountpoint: string): CommandError {
  if (errno === ERRNO.EPERM || errno === ERRNO.EACCES) {
    const hint = 'mounting needs CAP_SYS_ADMIN, which containers often lack';
    return refusal('mount-not-permitted', 'EPERM', `not permitted to mount ${mountpoint}: ${hint}`);
  }
  const { message, code } = fsError(-errno, 'mount', mountpoint);
  return refusal('mount-failed', code, `${mountpoint} can't be mounted: ${message}`);
}

/** A comma ends an option, a backslash escapes. */
function escapeOption(value: string): string {
  return value.replace(/[\\,]/g, '\\$&');
}

function mountAsUser(mountpoint: string, options: MountOptions): number {
  const words = [
    `fsname=${escapeOption(shownText(options.source))}`,
    `subtype=${escapeOption(options.subtype ?? 'shadowfs')}`,
    'default_permissions',
    'noatime',
    ...(options.allowOther === true ? ['allow_other'] : []),
    ...(options.readOnly === true ? ['ro'] : []),
    ...(options.noexec === true ? ['noexec'] : []),
    `max_read=${options.maxReadBytes ?? DEFAULT_MAX_READ_BYTES}`,
  ];
  const sockets = socketpair();
  if (typeof sockets === 'number') {
    throw refusal('mount-failed', 'EIO', fsError(sockets, 'socketpair').message);
  }
  const [ours, theirs] = sockets;
  const before = mountsAt(mountpoint);
  try {
    const { command, args, input } = commandAbout(
      [HELPER, '-o', words.join(','), '--'],
      mountpoint,
    );
    const done = spawnSync(command, args, {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C', _FUSE_COMMFD: '3' },
      ...(input !== undefined && { input }),
      stdio: [input === undefined ? 'ignore' : 'pipe', 'ignore', 'pipe', theirs],
    });
    // Closed on our side, so that the helper's exit without a message is noticed.
    close(theirs);
    if (done.error !== undefined || done.status !== 0) throw helperRefusal(done, mountpoint);
    const fd = recvFd(ours);
    if (fd < 0) {
      throw refusal('mount-failed', 'EIO', `${HELPER} gave no descriptor for ${mountpoint}`);
    }
    setStatusFlags(fd, getStatusFlags(fd) | O_NONBLOCK);
    return fd;
  } catch (error) {
    // A signal to a whole group or unit may end the helper when it has mounted already.
    if (mountsAt(mountpoint) > before) unmountQuietly(mountpoint);
    throw error;
  } finally {
    close(ours);
  }
}

/** How many mounts lie on top of each other there. */
function mountsAt(path: string): number {
  return readMountTable().filter(({ mountpoint }) => mountpoint === path).length;
}

function unmountQuietly(mountpoint: string): void {
  try {
    unmount(mountpoint, { lazy: true });
  } catch {
    // What is told is why it could not be mounted.
  }
}

interface HelperOutcome {
  error?: Error;
  stderr: string;
  status: number | null;
}

/** In the first one every number stands for itself. */
function isInUserNamespace(): boolean {
  const map = attempt(() => readFileSync('/proc/self/uid_map', 'latin1'));
  return map !== undefined && !/^\s*0\s+0\s+4294967295\s*$/.test(map);
}

function helperRefusal({ error, stderr, status }: HelperOutcome, mountpoint: string): CommandError {
  if (error !== undefined) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return isMissing
      ? refusal('fusermount-missing', 'ENOENT', `${HELPER} is missing: install the package fuse3`)
      : refusal('mount-failed', 'EIO', `${HELPER}: ${error.message}`);
  }
  const text = stderr.trim() || `exit code ${status}`;
  if (text.includes('user_allow_other')) {
    return refusal(
      'allow-other-not-enabled',
      'EPERM',
      "allow_other needs the line 'user_allow_other' in /etc/fuse.conf, which root has to add",
    );
  }
  if (/device not found/.test(text)) return deviceRefusal(ERRNO.ENOENT);
  if (/\/dev\/fuse: Permission denied/.test(text)) return deviceRefusal(ERRNO.EACCES);
  if (isInUserNamespace()) {
    const why = `a set-user-id program has no rights in a user namespace, as in a run (${text})`;
    return refusal('mount-not-permitted', 'EPERM', `not permitted to mount ${mountpoint}: ${why}`);
  }
  if (/no write access|Permission denied|Operation not permitted/.test(text)) {
    return refusal('mount-not-permitted', 'EPERM', `not permitted to mount ${mountpoint}: ${text}`);
  }
  return refusal('mount-failed', 'EIO', `${mountpoint} can't be mounted: ${text}`);
}

/**
 * Removes the top mount at `mountpoint`; dirty pages are written out first.
 * `lazy`: detach it now, even when it is in use. `force` (root only): first
 * fail every request that waits for an answer. Throws CommandError.
 */
export function unmount(
  mountpoint: string,
  options: { lazy?: boolean; force?: boolean } = {},
): void {
  const lazy = options.lazy === true;
  if (process.geteuid?.() === 0) {
    const flags = (lazy ? MNT_DETACH : 0) | (options.force === true ? MNT_FORCE : 0);
    const done = umount2(byteStringOfText(mountpoint), UMOUNT_NOFOLLOW | flags);
    if (done === 0) return;
    if (done === -ERRNO.EBUSY) throw busy(mountpoint);
    const { message, code } = fsError(done, 'umount', mountpoint);
    throw refusal('unmount-failed', code, `${mountpoint} can't be unmounted: ${message}`);
  }
  const { command, args, input } = commandAbout(
    [HELPER, '-u', ...(lazy ? ['-z'] : []), '--'],
    mountpoint,
  );
  const done = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
    ...(input !== undefined && { input }),
    stdio: [input === undefined ? 'ignore' : 'pipe', 'ignore', 'pipe'],
  });
  if (done.status === 0) return;
  if (/busy/i.test(done.stderr ?? '')) throw busy(mountpoint);
  const text = done.error?.message ?? (done.stderr.trim() || `exit code ${done.status}`);
  throw refusal('unmount-failed', 'EPERM', `${mountpoint} can't be unmounted: ${text}`);
}

function busy(mountpoint: string): CommandError {
  return refusal('mount-busy', 'EBUSY', `${mountpoint} is in use`);
}
