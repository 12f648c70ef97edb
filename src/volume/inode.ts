/**
 * An inode as it stands in one view. Mutable only while it belongs to the open
 * transaction group; everywhere else treat it as frozen.
 */

/** Truncation marker (rule D4): versions before (layer, step) at or beyond `size` don't count. */
export interface Clip {
  layer: number;
  step: number;
  size: number;
}

/** One name of an inode: enough to find its path again. */
export interface LinkName {
  parent: number;
  name: string;
}

/** What a base-backed inode remembers of its base file (rule D10). */
export interface BaseReference {
  /** Below the base, a byte string; '' is the base itself. */
  path: string;
  device: number;
  hostInode: number;
  size: number;
  mtimeS: number;
  mtimeNs: number;
  ctimeS: number;
  ctimeNs: number;
}

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
/** As directory entries have it. */
export const DIRECTORY_TYPE = S_IFDIR >> 12;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;

export class Inode {
  mode = 0;
  uid = 0;
  gid = 0;
  rdev = 0;
  nlink = 0;
  size = 0;
  /** Bytes that have blocks; st_blocks × 512. */
  allocated = 0;
  atimeS = 0;
  atimeNs = 0;
  mtimeS = 0;
  mtimeNs = 0;
  ctimeS = 0;
  ctimeNs = 0;
  btimeS = 0;
  btimeNs = 0;
  birthLayer = 0;
  dataLayer = 0;
  step = 1;
  clips: readonly Clip[] = [];
  links: readonly LinkName[] = [];
  target: string | undefined = undefined;
  base: BaseReference | undefined = undefined;
  /** Layer of this version; 0 for an untouched base file, which has no record. */
  layer = 0;

  constructor(readonly ino: number) {}

  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }

  get isRegular(): boolean {
    return (this.mode & S_IFMT) === S_IFREG;
  }

  get isSymlink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK;
  }

  clone(): Inode {
    const copy = new Inode(this.ino);
    copy.mode = this.mode;
    copy.uid = this.uid;
    copy.gid = this.gid;
    copy.rdev = this.rdev;
    copy.nlink = this.nlink;
    copy.size = this.size;
    copy.allocated = this.allocated;
    copy.atimeS = this.atimeS;
    copy.atimeNs = this.atimeNs;
    copy.mtimeS = this.mtimeS;
    copy.mtimeNs = this.mtimeNs;
    copy.ctimeS = this.ctimeS;
    copy.ctimeNs = this.ctimeNs;
    copy.btimeS = this.btimeS;
    copy.btimeNs = this.btimeNs;
    copy.birthLayer = this.birthLayer;
    copy.dataLayer = this.dataLayer;
    copy.step = this.step;
    copy.clips = this.clips;
    copy.links = this.links;
    copy.target = this.target;
    copy.base = this.base;
    copy.layer = this.layer;
    return copy;
  }
}
