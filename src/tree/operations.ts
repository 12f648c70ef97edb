/**
 * The interface between a driver and a file system, one method per request of
 * the FUSE protocol. The tree (the volume's name space) and the control file
 * system implement it; the drivers call it.
 *
 * Conventions:
 * - Names and link targets are *byte strings*: JavaScript strings in which each
 *   character is one byte (latin1), so any file name survives.
 * - Node ids and inode numbers are integers below 2^53. Node 1 is the root.
 * - Errors are thrown as `FsError`. `WouldWait` may be thrown by any method:
 *   the driver calls again when it need not wait for the disk, or may.
 * - A method may return a `Deferred`: the request stays unanswered until it
 *   settles; the loop continues.
 */
import type { Deferred } from '../lib/deferred.js';

export interface Caller {
  uid: number;
  gid: number;
  pid: number;
}

/** Attributes of one node in the kernel's form. Times are (s, ns) pairs. */
export interface Attributes {
  /** st_ino as two 32-bit halves: shadow inodes use all 64 bits. */
  inoHigh: number;
  inoLow: number;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
  size: number;
  /** 512-byte units. */
  blocks: number;
  blksize: number;
  atimeS: number;
  atimeNs: number;
  mtimeS: number;
  mtimeNs: number;
  ctimeS: number;
  ctimeNs: number;
  btimeS: number;
  btimeNs: number;
  /** How long the kernel may keep these attributes, in seconds. */
  attrTimeoutS: number;
}

/** A name that was found or made: counts as one lookup of `nodeId` (forget). */
export interface Entry {
  /** 0: a negative entry, "no such name", which the kernel may cache. */
  nodeId: number;
  /** How long the kernel may keep the name, in seconds. */
  entryTimeoutS: number;
  attr: Attributes;
}

/** SETATTR: only the fields present change. */
export interface AttributeChanges {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: 'now' | { s: number; ns: number };
  mtime?: 'now' | { s: number; ns: number };
  ctime?: { s: number; ns: number };
  /**
   * The kernel asks to remove set-id bits (write, truncate, chown by a user
   * without CAP_FSETID).
   */
  killSetId?: boolean;
  /** With `size`: mtime and ctime change only if they are given here (see `write`). */
  keepTimes?: boolean;
}

export interface StatFs {
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  ffree: number;
  /** Bytes per unit of `blocks`. */
  bsize: number;
  namelen: number;
}

export interface Opened {
  fh: number;
  /** FOPEN_* flags. */
  flags: number;
}

export interface Created {
  entry: Entry;
  opened: Opened;
}

/**
 * Receives directory entries. `nextOffset` is the cookie from which a later
 * listing continues. Returns false when the reply is full and the entry was not
 * accepted.
 */
export type FillDirectory = (
  name: string,
  inoHigh: number,
  inoLow: number,
  /** File type bits of st_mode (S_IFMT part). */
  type: number,
  nextOffset: number,
) => boolean;

/**
 * As `FillDirectory` for READDIRPLUS; an accepted entry counts as a lookup. `.`
 * and `..` come with `entry` undefined.
 */
export type FillDirectoryPlus = (
  name: string,
  inoHigh: number,
  inoLow: number,
  type: number,
  nextOffset: number,
  entry: Entry | undefined,
) => boolean;

export interface Operations {
  /**
   * `open` answers 'no-open' for every file. CREATE is then answered ENOSYS
   * too: the kernel makes files by MKNOD, and has nothing to RELEASE.
   */
  readonly neverOpens?: boolean;
  lookup(caller: Caller, parent: number, name: string): Entry;
  /** The kernel drops `count` lookups of the node. Never fails. */
  forget(node: number, count: number): void;
  /** `isOpen`: asked through an open file, not by a path. */
  getattr(caller: Caller, node: number, isOpen?: boolean): Attributes;
  setattr(
    caller: Caller,
    node: number,
    changes: AttributeChanges,
    fh: number | undefined,
  ): Attributes | Deferred<Attributes>;
  readlink(caller: Caller, node: number): string;
  /**
   * `umask`, here and below, is not applied to `mode` yet where ACLs were
   * negotiated: a directory with a default ACL ignores it. Elsewhere the kernel
   * has applied it.
   */
  mknod(
    caller: Caller,
    parent: number,
    name: string,
    mode: number,
    rdev: number,
    umask: number,
  ): Entry;
  mkdir(
    caller: Caller,
    parent: number,
    name: string,
    mode: number,
    umask: number,
  ): Entry | Deferred<Entry>;
  symlink(caller: Caller, parent: number, name: string, target: string): Entry;
  link(caller: Caller, node: number, newParent: number, newName: string): Entry;
  unlink(caller: Caller, parent: number, name: string): void;
  rmdir(caller: Caller, parent: number, name: string): void | Deferred<void>;
  /** `flags`: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2, RENAME_WHITEOUT 4. */
  rename(
    caller: Caller,
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
  ): void | Deferred<void>;
  /** 'no-open': this file system never wants OPEN (answered ENOSYS once). */
  open(caller: Caller, node: number, flags: number): Opened | 'no-open';
  opendir(caller: Caller, node: number, flags: number): Opened | 'no-open';
  create(
    caller: Caller,
    parent: number,
    name: string,
    mode: number,
    flags: number,
    umask: number,
  ): Created;
  /** An unnamed file (O_TMPFILE). */
  tmpfile(caller: Caller, parent: number, mode: number, flags: number, umask: number): Created;
  /** Fills `out` from `outOffset`; returns the count, short only at end of file. */
  read(
    caller: Caller,
    node: number,
    fh: number,
    offset: number,
    length: number,
    out: Buffer,
    outOffset: number,
  ): number | Deferred<Buffer>;
  /**
   * `data` is only valid during the call. Returns the number of bytes accepted.
   * `keepTimes`: the kernel keeps the file's mtime and ctime and sends them by
   * setattr when they differ from its own; a time set here would differ.
   */
  write(
    caller: Caller,
    node: number,
    fh: number,
    offset: number,
    data: Buffer,
    killSetId: boolean,
    keepTimes?: boolean,
  ): number | Deferred<number>;
  flush(caller: Caller, node: number, fh: number): 'no-flush' | undefined | Deferred<void>;
  release(node: number, fh: number): void;
  fsync(caller: Caller, node: number, dataOnly: boolean): undefined | Deferred<void>;
  /** FSYNCDIR. */
  fsyncdir(caller: Caller, node: number): undefined | Deferred<void>;
  readdir(caller: Caller, node: number, fh: number, offset: number, fill: FillDirectory): void;
  readdirplus(
    caller: Caller,
    node: number,
    fh: number,
    offset: number,
    fill: FillDirectoryPlus,
  ): void;
  statfs(caller: Caller, node: number): StatFs;
  /** `flags`: XATTR_CREATE 1, XATTR_REPLACE 2. */
  /** `killSetGid`: when an ACL is set, set-group-id goes; undefined: the kernel does not say. */
  setxattr(
    caller: Caller,
    node: number,
    name: string,
    value: Buffer,
    flags: number,
    killSetGid?: boolean,
  ): void;
  getxattr(caller: Caller, node: number, name: string): Uint8Array;
  listxattr(caller: Caller, node: number): string[];
  removexattr(caller: Caller, node: number, name: string): void;
  /** `mode`: fallocate(2) flags. */
  fallocate(
    caller: Caller,
    node: number,
    fh: number,
    offset: number,
    length: number,
    mode: number,
    keepTimes?: boolean,
  ): void | Deferred<void>;
  /** `whence`: SEEK_DATA 3 or SEEK_HOLE 4. Returns the offset. */
  lseek(
    caller: Caller,
    node: number,
    fh: number,
    offset: number,
    whence: number,
  ): number | Deferred<number>;
  copyFileRange(
    caller: Caller,
    node: number,
    offset: number,
    newNode: number,
    newOffset: number,
    length: number,
    keepTimes?: boolean,
  ): number | Deferred<number>;
  /** Asked before each mutating request. False: it waits (the driver parks it) and is asked again. */
  beginChange(): boolean;
}
