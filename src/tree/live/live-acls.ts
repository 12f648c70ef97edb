/**
 * ACLs of the live tree: how setting an ACL changes the mode, chmod an ACL, and
 * a directory's default ACL a new file in it. Owns a cache of default ACLs,
 * because every create needs one.
 *
 * Where the kernel does not check access by ACLs, no ACL can be set or
 * inherited, and the kernel has applied the umask. Stored ACLs still follow
 * chmod.
 */
import { FsError } from '../../lib/errors.js';
import type { XattrValue } from '../../volume/files/xattrs.js';
import { S_ISGID } from '../../lib/file-mode.js';
import type { Inode } from '../../volume/inode.js';
import type { View } from '../../volume/view.js';
import {
  ACCESS_ACL,
  type Acl,
  DEFAULT_ACL,
  decodeAcl,
  encodeAcl,
  inheritAcl,
  isMinimal,
  permissionBits,
  withMode,
} from './acl.js';
import type { TreeContext } from '../tree-context.js';

const PERMISSION_BITS = 0o777;
const MAX_CACHED = 4096;

export class LiveAcls {
  /** Directory → its default ACL, in `#cachedView` only. */
  readonly #defaults = new Map<number, Acl | undefined>();
  #cachedView: View | undefined;

  constructor(readonly context: TreeContext) {}

  #read(inode: Inode, name: string): Acl | undefined {
    const { volume } = this.context;
    const value = volume.readAttribute(volume.live, inode, name);
    const acl = value === undefined ? [] : decodeAcl(value);
    return acl.length === 0 ? undefined : acl;
  }

  #defaultOf(directory: Inode): Acl | undefined {
    const { live } = this.context.volume;
    if (this.#cachedView !== live || this.#defaults.size >= MAX_CACHED) {
      this.#defaults.clear();
      this.#cachedView = live;
    }
    const { ino } = directory;
    if (this.#defaults.has(ino)) return this.#defaults.get(ino);
    const acl = this.#read(directory, DEFAULT_ACL);
    this.#defaults.set(ino, acl);
    return acl;
  }

  #refuse(inode: Inode, name: string): void {
    if (this.context.acls() && !inode.isSymlink) return;
    throw new FsError('EOPNOTSUPP', 'acl', name);
  }

  /** Throws EINVAL for bytes that are not an ACL, EACCES for a default ACL of a file. */
  set(inode: Inode, name: string, value: Uint8Array, killSetGid: boolean): void {
    this.#refuse(inode, name);
    const acl = decodeAcl(value);
    if (name === DEFAULT_ACL && !inode.isDirectory) throw new FsError('EACCES', 'acl', name);
    if (name === ACCESS_ACL && acl.length > 0) this.#setAccess(inode, acl, killSetGid);
    else if (acl.length > 0) this.#setDefault(inode, acl);
    else this.remove(inode, name);
  }

  #setDefault(inode: Inode, acl: Acl): void {
    this.context.volume.xattrs.set(inode.ino, DEFAULT_ACL, encodeAcl(acl), 0);
    this.#defaults.delete(inode.ino);
  }

  /** Changes the mode to match the ACL; an ACL that the mode expresses fully is not stored. */
  #setAccess(inode: Inode, acl: Acl, killSetGid: boolean): void {
    const { volume } = this.context;
    const kept = inode.mode & ~(PERMISSION_BITS | (killSetGid ? S_ISGID : 0));
    const mode = kept | permissionBits(acl);
    const values: XattrValue[] = [];
    if (!isMinimal(acl)) values.push([ACCESS_ACL, encodeAcl(acl)]);
    else if (this.#read(inode, ACCESS_ACL) !== undefined) values.push([ACCESS_ACL, null]);
    volume.withXattrs(values, () => volume.setAttributes(inode.ino, { mode }));
  }

  /** Keeps the mode. Removing a missing ACL is not an error. */
  remove(inode: Inode, name: string): void {
    this.#refuse(inode, name);
    if (this.#read(inode, name) === undefined) return;
    this.context.volume.xattrs.remove(inode.ino, name);
    this.#defaults.delete(inode.ino);
  }

  /** How chmod to `mode` changes the inode's access ACL. */
  afterChmod(inode: Inode, mode: number): XattrValue[] {
    const isSame = ((inode.mode ^ mode) & PERMISSION_BITS) === 0;
    const acl = isSame || inode.isSymlink ? undefined : this.#read(inode, ACCESS_ACL);
    return acl === undefined ? [] : [[ACCESS_ACL, encodeAcl(withMode(acl, mode))]];
  }

  /** Mode and ACLs of a file other than a symbolic link, made in `directory`. */
  newborn(
    directory: Inode,
    mode: number,
    umask: number,
    isDirectory: boolean,
  ): { mode: number; values: XattrValue[] } {
    const acl = this.context.acls() ? this.#defaultOf(directory) : undefined;
    if (acl === undefined) return { mode: mode & ~(umask & PERMISSION_BITS), values: [] };
    const { mode: left, access } = inheritAcl(acl, mode);
    const values: XattrValue[] = [];
    if (access !== undefined) values.push([ACCESS_ACL, encodeAcl(access)]);
    if (isDirectory) values.push([DEFAULT_ACL, encodeAcl(acl)]);
    return { mode: left, values };
  }
}
