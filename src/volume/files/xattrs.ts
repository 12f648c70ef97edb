/** Xattrs (extended attributes). Names are byte strings, values bytes. */
import { FsError } from '../../lib/errors.js';
import {
  xattrKey,
  xattrNameOf,
  inodePlace,
  placeOf,
  prefixEnd,
} from '../../format/records/keys.js';
import { TABLE } from '../../format/records/tables.js';
import { decodeAttribute } from '../../format/records/values.js';
import type { Seat } from '../branches/branch.js';
import type { VolumeCore } from '../core.js';
import type { Inodes } from '../names/inode-reader.js';
import type { Inode } from '../inode.js';
import { visitStored } from '../newest.js';
import type { View } from '../view.js';

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
/** XATTR_SIZE_MAX. */
export const MAX_VALUE_BYTES = 65536;
/** All names of one inode, as Linux bounds the answer of listxattr. */
const MAX_LIST_BYTES = 65536;

/** An xattr to set; null: to remove it. */
export type XattrValue = readonly [name: string, value: Buffer | null];

export class Xattrs {
  constructor(
    readonly core: VolumeCore,
    readonly seat: Seat,
    readonly inodes: Inodes,
  ) {}

  read(view: View, inode: Inode, name: string): Uint8Array | undefined {
    for (const changes of this.core.pendingChanges(view)) {
      const value = changes.xattrs.get(inode.ino)?.get(name);
      if (value !== undefined) return value ?? undefined;
    }
    if (!this.core.isInMemoryOnly(inode.ino)) {
      const key = xattrKey(view.fileset, inode.ino, name, 0);
      const found = this.core.newest(TABLE.attributes, placeOf(TABLE.attributes, key), view);
      if (found !== undefined) {
        return decodeAttribute(found.value, `attribute ${name} of inode ${inode.ino}`);
      }
    }
    if (inode.base === undefined || inode.base.isStored) return undefined;
    const { path } = inode.base;
    return ofFile(() => this.core.base?.getxattr(path, name));
  }

  list(view: View, inode: Inode): string[] {
    /** name → present. The first answer for a name is the newest. */
    const names = new Map<string, boolean>();
    const note = (name: string, present: boolean): void => {
      if (!names.has(name)) names.set(name, present);
    };
    for (const changes of this.core.pendingChanges(view)) {
      for (const [name, value] of changes.xattrs.get(inode.ino) ?? []) {
        note(name, value !== null);
      }
    }
    if (!this.core.isInMemoryOnly(inode.ino)) {
      const prefix = inodePlace(view.fileset, inode.ino);
      const end = prefixEnd(prefix);
      visitStored(this.core.reader, view, TABLE.attributes, prefix, end, (record) => {
        const { keyBytes, keyStart, keyEnd, value } = record;
        const key = keyBytes.subarray(keyStart, keyEnd);
        note(xattrNameOf(placeOf(TABLE.attributes, key)), value[0] === 1);
        return true;
      });
    }
    if (inode.base !== undefined && !inode.base.isStored) {
      const { path } = inode.base;
      for (const name of ofFile(() => this.core.base?.listxattr(path)) ?? []) note(name, true);
    }
    return [...names].filter(([, present]) => present).map(([name]) => name);
  }

  set(ino: number, name: string, value: Uint8Array, flags: number): void {
    if (name.length > 255) throw new FsError('ERANGE', 'setxattr', name);
    if (value.length > MAX_VALUE_BYTES) throw new FsError('E2BIG', 'setxattr', name);
    const inode = this.#require(ino);
    const present = this.read(this.seat.live, inode, name);
    const exists = present !== undefined;
    if (flags & XATTR_CREATE && exists) throw new FsError('EEXIST', 'setxattr', name);
    if (flags & XATTR_REPLACE && !exists) throw new FsError('ENODATA', 'setxattr', name);
    // As in ext4: setting the present value changes nothing, not even ctime.
    if (exists && Buffer.compare(present, value) === 0) return;
    if (!exists) {
      const length = this.list(this.seat.live, inode).reduce((sum, n) => sum + n.length + 1, 0);
      if (length + name.length + 1 > MAX_LIST_BYTES) throw new FsError('ENOSPC', 'setxattr', name);
    }
    this.core.admit(1, value.length + name.length + 64);
    this.put(ino, name, Buffer.from(value));
    this.#touch(ino);
  }

  remove(ino: number, name: string): void {
    const inode = this.#require(ino);
    if (this.read(this.seat.live, inode, name) === undefined) {
      throw new FsError('ENODATA', 'removexattr', name);
    }
    this.put(ino, name, null);
    this.#touch(ino);
  }

  #require(ino: number): Inode {
    const inode = this.inodes.get(this.seat.live, ino);
    if (inode === undefined) throw new FsError('ESTALE', 'xattr', String(ino));
    return inode;
  }

  #touch(ino: number): void {
    const inode = this.inodes.forChange(ino);
    const now = this.core.clock.now();
    inode.ctimeS = now.s;
    inode.ctimeNs = now.ns;
  }

  /**
   * Sets an xattr as part of a larger change: checks nothing, and leaves the times alone. Null:
   * removes it.
   */
  put(ino: number, name: string, value: Buffer | null): void {
    this.inodes.forChange(ino);
    const { xattrs: attributes, since } = this.seat.changes();
    since?.attribute(ino, name);
    let own = attributes.get(ino);
    if (own === undefined) {
      own = new Map();
      attributes.set(ino, own);
    }
    own.set(name, value);
    this.core.open.note(64 + name.length + (value?.length ?? 0));
  }
}

/** A file that others have removed from the base has none there any more. */
function ofFile<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FsError && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
