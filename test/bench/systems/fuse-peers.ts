/** The FUSE file systems of Debian that shadowfs is compared with, written in C. */
import { run } from '../shell.js';
import { ownFiles } from './disks.js';
import { directories, processServing, type System, treeBytes, umount } from './system.js';

const served = {
  role: 'peer',
  isServed: true,
  unmount: umount,
  storedBytes: ({ data }) => treeBytes(data),
  serverPid: ({ mountpoint }) => processServing(mountpoint),
} satisfies Partial<System>;

const bindfs: System = {
  ...served,
  name: 'bindfs',
  keepsTimes: false,
  mount: ({ data, mountpoint }, base) => {
    run('bindfs', [ownFiles(data, base), mountpoint]);
    return mountpoint;
  },
};

const fuseOverlayfs: System = {
  ...served,
  name: 'fuse-overlayfs',
  mount: ({ data, mountpoint }, base) => {
    const [lower, upper, work] = directories(data, 'lower', 'upper', 'work');
    const options = `lowerdir=${base ?? lower},upperdir=${upper},workdir=${work}`;
    run('fuse-overlayfs', ['-o', options, mountpoint]);
    return mountpoint;
  },
};

const unionfsFuse: System = {
  ...served,
  name: 'unionfs-fuse',
  keepsTimes: false,
  mount: ({ data, mountpoint }, base) => {
    const [lower, upper] = directories(data, 'lower', 'upper');
    run('unionfs', ['-o', 'cow', `${upper}=RW:${base ?? lower}=RO`, mountpoint]);
    return mountpoint;
  },
};

export const FUSE_PEERS: readonly System[] = [fuseOverlayfs, unionfsFuse, bindfs];
