/**
 * Entry of the toucher: a process that makes the calls for which the kernel
 * tells watching programs what a restore changed. `tree/watchers/` answers
 * them, and says why nothing else happens.
 *
 * It is a process of its own: a thread that waits for its own process's mount
 * would keep that process, and so the mount, from ever ending when it is killed.
 * It ends with the channel to the daemon.
 */
import { ERRNO } from '../../lib/errors.js';
import { S_IFDIR, S_IFLNK, S_IFMT } from '../../lib/file-mode.js';
import {
  AT_FDCWD,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from '../../libc/constants.js';
import { close, openat, openat2 } from '../../libc/libc.js';
import * as files from '../../libc/files.js';
import type { Touch } from '../../tree/watchers/touch.js';
import type { TouchBatch, TouchReport } from './toucher-messages.js';

/** Nothing that is mounted inside the mount, and nothing outside. */
const INSIDE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;

/** Runs `call` with a descriptor and closes it. -errno when there is none. */
function withFd(fd: number, call: (fd: number) => number): number {
  if (fd < 0) return fd;
  const done = call(fd);
  close(fd);
  return done;
}

/** IN_ATTRIB; without the access time IN_MODIFY, for which the owner needs no right to write. */
function setTimes(
  directory: number,
  touch: Touch & { kind: 'modified' | 'attributes' },
  both: boolean,
): number {
  const name = touch.name === '' ? '.' : touch.name;
  const atime = both ? { s: touch.atimeS, ns: touch.atimeNs } : undefined;
  const mtime = { s: touch.mtimeS, ns: touch.mtimeNs };
  return withFd(openat2(directory, name, O_PATH | O_NOFOLLOW, 0, INSIDE), (fd) =>
    files.setTimes(fd, atime, mtime),
  );
}

/** What a program that writes the file causes: IN_OPEN, IN_MODIFY, IN_CLOSE_WRITE. */
function modify(directory: number, touch: Touch & { kind: 'modified' }): number {
  // While it is open for writing nobody can execute it.
  const fd = touch.mayOpen
    ? openat2(directory, touch.name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW, 0, INSIDE)
    : -ERRNO.EACCES;
  if (fd < 0) return setTimes(directory, touch, false);
  return withFd(fd, () => files.setTimes(fd, undefined, { s: touch.mtimeS, ns: touch.mtimeNs }));
}

function add(directory: number, name: string, mode: number, rdev: number): number {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return files.mkdirat(directory, name, mode & 0o777);
    case S_IFLNK:
      return files.symlinkat('-', directory, name);
    default:
      return files.mknodat(directory, name, mode, rdev);
  }
}

function make(directory: number, touch: Touch): number {
  switch (touch.kind) {
    case 'modified':
      return modify(directory, touch);
    case 'attributes':
      return setTimes(directory, touch, true);
    case 'added':
      return add(directory, touch.name, touch.mode, touch.rdev);
    case 'removed':
      return touch.isDirectory
        ? files.unlinkat(directory, touch.name, files.AT_REMOVEDIR)
        : files.unlinkat(directory, touch.name);
  }
}

/** `root`: a descriptor of the mount. */
function touchAll(root: number, { secret, touches }: TouchBatch): TouchReport {
  const report: TouchReport = { told: 0, failed: {} };
  // Only the right mount has this name, and only if it knows this process from now on. Otherwise
  // the calls would do what they say.
  const known = withFd(openat2(root, secret, O_PATH | O_NOFOLLOW, 0, INSIDE), () => 0);
  if (known < 0) {
    report.failed[-known] = touches.length;
    return report;
  }
  for (const touch of touches) {
    const flags = O_PATH | O_DIRECTORY;
    const path = touch.parentPath === '' ? '.' : touch.parentPath;
    const done = withFd(openat2(root, path, flags, 0, INSIDE), (fd) => make(fd, touch));
    if (done >= 0) report.told++;
    else report.failed[-done] = (report.failed[-done] ?? 0) + 1;
  }
  return report;
}

function touchIn(batch: TouchBatch): TouchReport {
  const root = openat(AT_FDCWD, batch.mountpoint, O_PATH | O_DIRECTORY);
  if (root < 0) return { told: 0, failed: { [-root]: batch.touches.length } };
  try {
    return touchAll(root, batch);
  } finally {
    close(root);
  }
}

process.umask(0);
process.on('message', (batch: TouchBatch) => {
  process.send?.(touchIn(batch));
});
process.on('disconnect', () => process.exit());
// The daemon takes them, and ends this process when it has ended itself.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) {
  process.on(signal, () => undefined);
}
