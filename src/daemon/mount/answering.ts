/**
 * File systems that may never answer: those with another machine or another
 * process behind them. Whoever asks one that is dead waits for ever, and can't
 * even be killed at times. So commands that only look around let a process of
 * its own ask, and go on without it after a while.
 */
import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { attempt } from '../../lib/attempt.js';
import { readLink } from '../../lib/byte-paths.js';
import { shownName } from '../../lib/byte-text.js';
import { commandAbout } from '../../fuse/mount/path-command.js';
import { innermostMount, type MountEntry } from './mount-table.js';

/** Those of a disk or the memory of this machine. */
const OWN_TYPES = new Set([
  ...['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs', 'bcachefs', 'zfs', 'jfs', 'nilfs2'],
  ...['reiserfs', 'vfat', 'msdos', 'exfat', 'ntfs3', 'hfsplus', 'iso9660', 'udf'],
  ...['tmpfs', 'ramfs', 'rootfs', 'overlay', 'squashfs', 'erofs'],
  ...['proc', 'sysfs', 'devtmpfs', 'devpts', 'cgroup', 'cgroup2', 'debugfs', 'tracefs'],
]);
/** As the kernel counts them before it gives up with ELOOP. */
const LINKS_MAX = 40;

/**
 * The first mount on the way to `path`, links followed, that may never answer; undefined: there is
 * none. Only looks at file systems that answer.
 */
export function mountThatMayHang(
  table: readonly MountEntry[],
  path: string,
): MountEntry | undefined {
  let left = path.split('/');
  let at = '/';
  let links = 0;
  for (let name = left.shift(); name !== undefined; name = left.shift()) {
    if (name === '' || name === '.') continue;
    const next = name === '..' ? dirname(at) : `${at === '/' ? '' : at}/${name}`;
    const mount = innermostMount(table, next);
    if (mount !== undefined && !OWN_TYPES.has(mount.type)) return mount;
    const target = attempt(() => readLink(next));
    if (target === undefined) {
      at = next;
      continue;
    }
    if (++links > LINKS_MAX) return undefined;
    if (target.startsWith('/')) at = '/';
    left = [...target.split('/'), ...left];
  }
  return undefined;
}

/** `/mnt (nfs4 from server:/export)` */
export function describeMount({ mountpoint, type, source }: MountEntry): string {
  return `${shownName(mountpoint)} (${type} from ${shownName(source)})`;
}

/** Asks the file system how much room it has, which no cache of the kernel knows. */
export function answers({ mountpoint }: MountEntry, limitMs: number): Promise<boolean> {
  const { command, args, input } = commandAbout(['stat', '-f', '--'], mountpoint);
  const child = spawn(command, args, {
    cwd: '/',
    stdio: [input === undefined ? 'ignore' : 'pipe', 'ignore', 'ignore'],
  });
  // This process ends without it.
  child.unref();
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return new Promise((resolve) => {
    const settle = (isThere: boolean): void => {
      clearTimeout(timer);
      resolve(isThere);
    };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      settle(false);
    }, limitMs);
    // An error is an answer, too.
    child.once('exit', () => settle(true));
    child.once('error', () => settle(true));
  });
}
