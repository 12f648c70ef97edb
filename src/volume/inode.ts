/**
 * An inode as it stands in one view. Mutable only while it belongs to the open
 * txg (transaction group); treat it as frozen everywhere else.
 */
import type { BaseReference } from '../base/base-reference.js';
import type { Clips } from '../format/clips.js';
import type { Given } from '../format/given.js';
import { BASE_LAYER } from '../format/records/tables.js';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../lib/file-mode.js';

/** One name of an inode: enough to find its path again. */
export interface LinkName {
  parent: number;
  name: string;
}

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
  clips: Clips = [];
  links: readonly LinkName[] = [];
  target: string | undefined = undefined;
  base: BaseReference | undefined = undefined;
  /** The base has its bytes since an apply (rule G1). Such a file has no `base`. */
  given: Given | undefined = undefined;
  /** Layer of this version; 0 for an untouched base file, which has no record. */
  layer = 0;

  constructor(readonly ino: number) {}

  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }

  /**
   * What the base layer has of a base file belongs to the records that it speaks for (rules F10,
   * F11); for another one the bytes are in the base, or lost.
   */
  readsLayer(layer: number): boolean {
    if (layer !== BASE_LAYER || this.layer === BASE_LAYER) return true;
    return this.base === undefined || this.base.isStored === true;
  }

  /** The file of the base that has bytes of it. */
  get bytesInBase(): BaseReference | undefined {
    return this.given?.ref ?? this.base;
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
    copy.given = this.given;
    copy.layer = this.layer;
    return copy;
  }
}
