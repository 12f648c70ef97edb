/**
 * File systems of the kernel: plain ext4, which is the measure; Btrfs and XFS,
 * each in an image of its own; overlayfs over directories of the ext4 image.
 * Where it can, a disk's files over a base are a clone of it: Btrfs takes a
 * snapshot, XFS shares the blocks.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from '../image.js';
import { run } from '../shell.js';
import { directories, type Place, type System, treeBytes, umount } from './system.js';

const copyTree = (from: string, to: string, ...options: string[]): void => {
  mkdirSync(to, { recursive: true });
  run('cp', ['-a', ...options, `${from}/.`, to]);
};

/** The directory itself, or for the peers that pass everything through: what they are given. */
export function ownFiles(data: string, base: string | undefined): string {
  const files = join(data, 'files');
  if (base === undefined) mkdirSync(files, { recursive: true });
  else if (!existsSync(files)) copyTree(base, files, '--reflink=never');
  return files;
}

export const ext4: System = {
  name: 'ext4',
  role: 'disk',
  isServed: false,
  mount: ({ data }, base) => ownFiles(data, base),
  unmount: () => undefined,
  storedBytes: ({ data }) => treeBytes(data),
};

/** A disk whose files can share blocks. */
class CloningDisk implements System {
  readonly role = 'kernel';
  readonly isServed = false;
  disk = '';

  constructor(
    readonly name: string,
    readonly mkfs: readonly string[],
    readonly mountOptions: string,
    readonly copyBase: (from: string, to: string) => void,
    readonly clone: (from: string, to: string) => void,
  ) {}

  start(image: Image): void {
    this.disk = image.addDisk(this.name, this.mkfs, this.mountOptions);
  }

  mount({ data }: Place, base?: string): string {
    const files = join(data, 'files');
    if (existsSync(files)) return files;
    mkdirSync(data, { recursive: true });
    if (base === undefined) mkdirSync(files);
    else {
      const own = join(this.disk, base.replaceAll('/', '-'));
      if (!existsSync(own)) this.copyBase(base, own);
      this.clone(own, files);
    }
    return files;
  }

  unmount(): void {}

  /** Of the whole disk: `du` counts shared blocks again. */
  storedBytes(): number {
    run('sync', ['-f', this.disk]);
    return Number(run('df', ['-B1', '--output=used', this.disk]).split('\n')[1]);
  }
}

export const btrfs = new CloningDisk(
  'btrfs',
  ['mkfs.btrfs', '-q', '-f'],
  'loop,nodiscard',
  (from, to) => {
    run('btrfs', ['subvolume', 'create', to]);
    copyTree(from, to);
  },
  (from, to) => void run('btrfs', ['subvolume', 'snapshot', from, to]),
);

export const xfs = new CloningDisk(
  'xfs',
  ['mkfs.xfs', '-q', '-f', '-m', 'reflink=1'],
  'loop',
  copyTree,
  (from, to) => copyTree(from, to, '--reflink=always'),
);

export const overlayfs: System = {
  name: 'overlayfs',
  role: 'kernel',
  isServed: false,
  mount: ({ data, mountpoint }, base) => {
    const [lower, upper, work] = directories(data, 'lower', 'upper', 'work');
    const options = `lowerdir=${base ?? lower},upperdir=${upper},workdir=${work}`;
    run('mount', ['-t', 'overlay', 'overlay', '-o', options, mountpoint]);
    return mountpoint;
  },
  unmount: umount,
  storedBytes: ({ data }) => treeBytes(data),
};
