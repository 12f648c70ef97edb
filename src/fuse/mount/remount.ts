/**
 * Changes the kernel's own checks on an existing mount: read-only, set-user-id
 * bits, devices, programs. The serving process is not involved and continues.
 * Root only.
 */
import { byteStringOfText } from '../../lib/byte-text.js';
import { CommandError, ERRNO } from '../../lib/errors.js';
import { MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT } from '../../libc/constants.js';
import { mount } from '../../libc/libc.js';
import { fsError } from '../../libc/library.js';

export interface RemountFlags {
  readOnly: boolean;
  nosuid: boolean;
  nodev: boolean;
  noexec: boolean;
}

/**
 * Sets every flag as given; the kernel keeps `noatime`. Throws CommandError;
 * EBUSY while a file is open for writing.
 */
export function remount(mountpoint: string, flags: RemountFlags): void {
  const bits =
    MS_REMOUNT |
    (flags.readOnly ? MS_RDONLY : 0) |
    (flags.nosuid ? MS_NOSUID : 0) |
    (flags.nodev ? MS_NODEV : 0) |
    (flags.noexec ? MS_NOEXEC : 0);
  const done = mount('none', byteStringOfText(mountpoint), 'none', bits, '');
  if (done >= 0) return;
  if (done === -ERRNO.EPERM) {
    throw new CommandError('mount-not-permitted', 'EPERM', 'only root can remount');
  }
  if (done === -ERRNO.EBUSY) {
    throw new CommandError(
      'mount-busy',
      'EBUSY',
      `${mountpoint} can't turn read-only: programs have files open for writing`,
    );
  }
  const { message, code } = fsError(done, 'mount', mountpoint);
  throw new CommandError('mount-failed', code, `${mountpoint} can't be remounted: ${message}`);
}
