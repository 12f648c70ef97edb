/**
 * A node other than a plain live inode: its default answers. No special node
 * accepts changes; `refusal` is the errno they get.
 */
import { type ErrnoName, FsError } from '../../lib/errors.js';
import type { Attributes, Entry, FillDirectory, FillDirectoryPlus } from '../operations.js';

export abstract class SpecialNode {
  /** Lookups held by the kernel (for a node id below 2^52 the table counts them itself). */
  lookups = 0;

  /** The inode it shows, if any. */
  readonly ino: number | undefined = undefined;

  constructor(readonly id: number) {}

  readonly refusal: ErrnoName = 'EROFS';

  /** `isOpen`: asked through an open file, not by a path. */
  abstract attributes(isOpen?: boolean): Attributes;

  lookup(name: string): Entry {
    throw new FsError('ENOTDIR', 'lookup', name);
  }

  readlink(): string {
    throw new FsError('EINVAL', 'readlink');
  }

  read(_offset: number, _length: number, _out: Buffer, _outOffset: number): number {
    throw new FsError('EINVAL', 'read');
  }

  seek(_offset: number, _whence: 'data' | 'hole'): number {
    throw new FsError('EINVAL', 'lseek');
  }

  readdir(_offset: number, _fill: FillDirectory): void {
    throw new FsError('ENOTDIR', 'readdir');
  }

  readdirplus(_offset: number, _fill: FillDirectoryPlus): void {
    throw new FsError('ENOTDIR', 'readdirplus');
  }

  getxattr(name: string): Uint8Array {
    throw new FsError('ENODATA', 'getxattr', name);
  }

  listxattr(): string[] {
    return [];
  }

  /** The kernel tried to store pages here, and must not continue to show them. */
  writeRefused(): void {}

  /** The kernel has forgotten it; it has left the table. */
  forgotten(): void {}
}
