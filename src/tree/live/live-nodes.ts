/**
 * The live tree: requests for live inodes, by inode number. Owns no state; the
 * volume has the content, the node table the lookups.
 *
 * Doors inside tree/: acl, live-nodes, space.
 */
import { Deferred } from '../../lib/deferred.js';
import { FsError } from '../../lib/errors.js';
import { S_IFDIR, S_IFLNK, S_IFMT } from '../../lib/file-mode.js';
import type { Inode } from '../../volume/inode.js';
import type { View } from '../../volume/view.js';
import { isAclName } from './acl.js';
import { inherited, negativeEntry, withoutSetId } from '../attributes.js';
import { dotFiller, listFrom } from '../listing.js';
import { LiveAcls } from './live-acls.js';
import type {
  AttributeChanges,
  Attributes,
  Caller,
  Entry,
  FillDirectory,
  FillDirectoryPlus,
} from '../operations.js';
import { isShadowAttribute } from '../snapshots/shadow-attributes.js';
import { liveIno } from '../snapshots/shadow-ino.js';
import type { Transitions } from '../coherence/transitions.js';
import { MAX_NAME_BYTES, type TreeContext } from '../tree-context.js';
import { CAPABILITY, checkAttributeName } from '../xattr-names.js';
import { ROOT_INO } from '../nodes/hidden-names.js';

const RENAME_WHITEOUT = 4;

export class LiveNodes {
  readonly #acls: LiveAcls;
  /** The kernel still holds this inode: it must survive the removal of its last name. */
  readonly #inUse = (ino: number): boolean => {
    const known = this.context.nodes.knowsLive(ino);
    if (known) this.context.nodes.noteUnlinked(ino);
    return known;
  };

  constructor(
    readonly context: TreeContext,
    readonly transitions: Transitions,
  ) {
    this.#acls = new LiveAcls(context);
  }

  get #view(): View {
    return this.context.volume.live;
  }

  /** Throws ESTALE: the live tree no longer has this inode (a restore removed it). */
  inode(ino: number): Inode {
    const inode = this.context.volume.inode(this.#view, ino);
    if (inode === undefined) throw new FsError('ESTALE', 'inode', String(ino));
    return inode;
  }

  #directory(ino: number, syscall: string): Inode {
    const inode = this.inode(ino);
    if (!inode.isDirectory) throw new FsError('ENOTDIR', syscall);
    return inode;
  }

  #entry(inode: Inode, entryTimeoutS = this.context.timeoutS): Entry {
    const attr = this.context.liveAttributes(inode);
    const nodeId = this.context.nodes.addLookup(inode.ino);
    return { nodeId, entryTimeoutS, attr };
  }

  /** An ordinary name; hidden ones are answered before. */
  lookup(parent: number, name: string): Entry {
    if (name.length > MAX_NAME_BYTES) throw new FsError('ENAMETOOLONG', 'lookup', name);
    const directory = this.#directory(parent, 'lookup');
    const timeoutS = this.context.namesTimeoutS(directory);
    const found = this.context.volume.lookup(this.#view, directory, name);
    return found === undefined ? negativeEntry(timeoutS) : this.#entry(found, timeoutS);
  }

  attributes(ino: number): Attributes {
    return this.context.liveAttributes(this.inode(ino));
  }

  setAttributes(ino: number, changes: AttributeChanges): Attributes {
    const { killSetId, keepTimes, ...wanted } = changes;
    const changesOwner = wanted.uid !== undefined || wanted.gid !== undefined;
    if (killSetId === true || changesOwner) {
      const inode = this.inode(ino);
      if (wanted.mode === undefined) {
        const mode = withoutSetId(inode.mode);
        if (mode !== inode.mode) wanted.mode = mode;
      }
      this.#dropCapability(inode);
    }
    const keep = { mtime: wanted.mtime === undefined, ctime: wanted.ctime === undefined };
    this.changeContent(ino, keepTimes === true, () => this.#change(ino, wanted), keep);
    return this.attributes(ino);
  }

  #change(ino: number, wanted: AttributeChanges): Inode {
    const { volume } = this.context;
    const change = (): Inode => volume.setAttributes(ino, wanted);
    if (wanted.mode === undefined) return change();
    const values = this.#acls.afterChmod(this.inode(ino), wanted.mode);
    return values.length === 0 ? change() : volume.withXattrs(values, change);
  }

  /** Changes a file; `keepTimes` keeps its mtime and ctime. */
  changeContent<T>(
    ino: number,
    keepTimes: boolean,
    change: () => T,
    keep = { mtime: true, ctime: true },
  ): T {
    if (!keepTimes) return change();
    const { mtimeS, mtimeNs, ctimeS, ctimeNs } = this.inode(ino);
    const result = change();
    const inode = this.context.volume.inodes.forChange(ino);
    if (keep.mtime) Object.assign(inode, { mtimeS, mtimeNs });
    if (keep.ctime) Object.assign(inode, { ctimeS, ctimeNs });
    return result;
  }

  #dropCapability(inode: Inode): void {
    const { volume } = this.context;
    if (!inode.isRegular) return;
    if (volume.readAttribute(this.#view, inode, CAPABILITY) === undefined) return;
    volume.xattrs.remove(inode.ino, CAPABILITY);
  }

  readlink(ino: number): string {
    const { target } = this.inode(ino);
    if (target === undefined) throw new FsError('EINVAL', 'readlink');
    return target;
  }

  /** `what.mode` includes the type; `what.umask` is not applied yet. */
  make(
    caller: Caller,
    parent: number,
    name: string,
    what: { mode: number; umask: number; rdev?: number },
  ): Entry {
    const isDirectory = (what.mode & S_IFMT) === S_IFDIR;
    this.context.hidden.refuseCreate(parent, name, isDirectory ? 'mkdir' : 'mknod');
    const directory = this.#directory(parent, 'create');
    const { volume } = this.context;
    const { mode, values } = this.#acls.newborn(directory, what.mode, what.umask, isDirectory);
    const who = inherited(directory, caller, mode, isDirectory);
    const create = (): Inode =>
      volume.create(who, parent, name, { mode: who.mode, rdev: what.rdev ?? 0 });
    return this.#entry(values.length === 0 ? create() : volume.withXattrs(values, create));
  }

  symlink(caller: Caller, parent: number, name: string, target: string): Entry {
    this.context.hidden.refuseCreate(parent, name, 'symlink');
    const mode = S_IFLNK | 0o777;
    const who = inherited(this.#directory(parent, 'symlink'), caller, mode, false);
    return this.#entry(this.context.volume.create(who, parent, name, { mode, target }));
  }

  makeUnnamed(caller: Caller, parent: number, what: { mode: number; umask: number }): Entry {
    const directory = this.#directory(parent, 'tmpfile');
    const { volume } = this.context;
    const { mode, values } = this.#acls.newborn(directory, what.mode, what.umask, false);
    const who = inherited(directory, caller, mode, false);
    const create = (): Inode => volume.createUnnamed(who, parent, who.mode);
    const inode = values.length === 0 ? create() : volume.withXattrs(values, create);
    const entry = this.#entry(inode);
    this.context.nodes.noteUnlinked(inode.ino);
    return entry;
  }

  link(ino: number, parent: number, name: string): Entry {
    this.context.hidden.refuseCreate(parent, name, 'link');
    const inode = this.context.volume.link(ino, parent, name);
    this.context.nodes.noteLinked(ino);
    return this.#entry(inode);
  }

  unlink(parent: number, name: string): void {
    this.context.hidden.refuseRemove(parent, name, 'unlink');
    this.transitions.settleName(parent, name);
    this.context.volume.unlink(parent, name, this.#inUse);
  }

  removeDirectory(parent: number, name: string): void {
    this.context.hidden.refuseRemove(parent, name, 'rmdir');
    this.context.volume.removeDirectory(parent, name, this.#inUse);
  }

  rename(
    caller: Caller,
    from: number,
    name: string,
    to: number,
    newName: string,
    flags: number,
  ): void {
    this.context.hidden.refuseRemove(from, name, 'rename');
    this.context.hidden.refuseRemove(to, newName, 'rename');
    this.transitions.settleName(from, name);
    this.transitions.settleName(to, newName);
    const leavesWhiteout = (flags & RENAME_WHITEOUT) !== 0;
    const who = leavesWhiteout
      ? inherited(this.#directory(from, 'rename'), caller, 0, false)
      : undefined;
    const { volume } = this.context;
    volume.rename(from, name, to, newName, flags & ~RENAME_WHITEOUT, this.#inUse, who);
  }

  read(ino: number, offset: number, length: number, out: Buffer, outOffset: number): number {
    const inode = this.inode(ino);
    this.context.nodes.use(ino);
    return this.context.volume.read(this.#view, inode, offset, length, out, outOffset);
  }

  write(
    ino: number,
    offset: number,
    data: Buffer,
    killSetId: boolean,
    keepTimes: boolean,
  ): number | Deferred<number> {
    const told = killSetId ? this.#dropSetId(ino) : undefined;
    const taken = this.#taken(ino, offset, data, keepTimes);
    if (told === undefined) return taken;
    const answer = new Deferred<number>();
    const done = (): void => answer.resolve(taken);
    told.settled(done, done);
    return answer;
  }

  /**
   * Data stored through an mmap is already in the kernel's cache when it is
   * refused, and would still be shown from there, even after a later restore:
   * so those pages are dropped.
   */
  #taken(ino: number, offset: number, data: Buffer, keepTimes: boolean): number {
    const { context } = this;
    context.nodes.use(ino);
    try {
      return context.volume.data.write(ino, offset, data, keepTimes);
    } catch (error) {
      if (error instanceof FsError && data.length > 0) {
        const node = context.nodes.liveId(ino);
        context.notifier().notify([{ kind: 'inval-inode', node, offset, length: data.length }]);
      }
      throw error;
    }
  }

  /**
   * The kernel has its own copy of the mode, and a program may execute the file
   * by it as soon as the write has returned. So the kernel is told to ask again
   * before that. (Attributes alone can be invalidated while it waits for a
   * WRITE: that takes no lock.)
   */
  #dropSetId(ino: number): Deferred<void> | undefined {
    const { context } = this;
    const inode = this.inode(ino);
    const mode = withoutSetId(inode.mode);
    this.#dropCapability(inode);
    if (mode === inode.mode) return undefined;
    context.volume.setAttributes(ino, { mode });
    const node = context.nodes.liveId(ino);
    return context.notifier().notify([{ kind: 'inval-inode', node, offset: -1, length: 0 }]);
  }

  seek(ino: number, offset: number, whence: 'data' | 'hole'): number {
    return this.context.volume.seek(this.#view, this.inode(ino), offset, whence);
  }

  getxattr(ino: number, name: string): Uint8Array {
    checkAttributeName(name, 'getxattr');
    const value = this.context.volume.readAttribute(this.#view, this.inode(ino), name);
    if (value === undefined) throw new FsError('ENODATA', 'getxattr', name);
    return value;
  }

  listxattr(ino: number): string[] {
    return this.context.volume.listAttributes(this.#view, this.inode(ino));
  }

  /**
   * `killSetGid`: with an ACL, set-group-id is removed; undefined: it depends
   * on the caller's group.
   */
  setxattr(
    caller: Caller,
    ino: number,
    name: string,
    value: Buffer,
    flags: number,
    killSetGid?: boolean,
  ): void {
    checkAttributeName(name, 'setxattr');
    if (isShadowAttribute(name)) throw new FsError('EPERM', 'setxattr', name);
    if (isAclName(name)) {
      const inode = this.inode(ino);
      // Old kernels do not send the caller's supplementary groups: when in doubt the bit is
      // removed.
      const isStranger = caller.uid !== 0 && caller.gid !== inode.gid;
      this.#acls.set(inode, name, value, killSetGid ?? isStranger);
      return;
    }
    this.context.volume.xattrs.set(ino, name, value, flags);
  }

  removexattr(ino: number, name: string): void {
    checkAttributeName(name, 'removexattr');
    if (isAclName(name)) this.#acls.remove(this.inode(ino), name);
    else this.context.volume.xattrs.remove(ino, name);
  }

  readdir(ino: number, offset: number, fill: FillDirectory): void {
    this.#list(ino, offset, false, fill, (_directory, listed, next) => {
      const { high, low } = liveIno(listed.ino);
      return fill(listed.name, high, low, listed.type, next);
    });
  }

  readdirplus(ino: number, offset: number, fill: FillDirectoryPlus): void {
    const { context } = this;
    const dot: FillDirectory = (name, high, low, type, next) =>
      fill(name, high, low, type, next, undefined);
    this.#list(ino, offset, true, dot, (directory, { name, ino: child, type }, next) => {
      const { high, low } = liveIno(child);
      const inode = context.volume.inodeForListing(this.#view, directory, name, child);
      if (inode === undefined) return fill(name, high, low, type, next, undefined);
      const attr = context.liveAttributes(inode);
      const entryTimeoutS = context.namesTimeoutS(directory);
      return context.nodes.offer(inode.ino, (nodeId) =>
        fill(name, high, low, type, next, { nodeId, entryTimeoutS, attr }),
      );
    });
  }

  #list(
    ino: number,
    offset: number,
    withInodes: boolean,
    dot: FillDirectory,
    take: (
      directory: Inode,
      listed: { name: string; ino: number; type: number },
      next: number,
    ) => boolean,
  ): void {
    const { context } = this;
    const directory = this.#directory(ino, 'readdir');
    context.readsNames(directory, context.nodes.liveId(ino));
    const parent = ino === ROOT_INO ? ROOT_INO : (directory.links[0]?.parent ?? ROOT_INO);
    listFrom(
      offset,
      context.cookies,
      dotFiller(liveIno(ino), liveIno(parent), dot),
      (afterHash, visit) =>
        context.volume.list(this.#view, directory, afterHash, visit, withInodes),
      (name) => context.hidden.isHidden(ino, name),
      (listed, next) => take(directory, listed, next),
    );
  }
}
