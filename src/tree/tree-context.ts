/** State shared by the parts of the tree. */
import { FsError } from '../lib/errors.js';
import type { Inode } from '../volume/inode.js';
import type { Attributes } from './operations.js';
import { attributesOf } from './attributes.js';
import type { Cookies } from './cookies.js';
import type { HiddenNames } from './nodes/hidden-names.js';
import type { NodeTable } from './nodes/node-table.js';
import type { Notifier } from './coherence/notification.js';
import { liveIno } from './snapshots/shadow-ino.js';
import type { TreeVolume } from './tree-volume.js';

/** What nothing tells of may be shown as it was for so long (s). */
const UNHEARD_S = 1;

/** The kernel's limit for file names, as on other file systems. */
export const MAX_NAME_BYTES = 255;

/** Nodes of directories whose listing the kernel keeps, and of whose changes nothing tells. */
class Unheard {
  readonly nodes = new Set<number>();
  onFirst: () => void = () => {};

  add(node: number): void {
    this.nodes.add(node);
    if (this.nodes.size === 1) this.onFirst();
  }
}

export class TreeContext {
  readonly unheard = new Unheard();

  constructor(
    readonly volume: TreeVolume,
    readonly nodes: NodeTable,
    readonly hidden: HiddenNames,
    readonly cookies: Cookies,
    /**
     * Seconds for which the kernel may cache names and attributes: nothing else
     * changes the volume.
     */
    readonly timeoutS: number,
    readonly readOnly: boolean,
    readonly ownerUid: number,
    readonly notifier: () => Notifier,
    /** The kernel keeps written data to itself for a while. */
    readonly writeback: () => boolean,
    /** The kernel checks access by ACLs, and leaves the umask to us. */
    readonly acls: () => boolean,
    /** The kernel has one page cache for all versions of a file. */
    readonly sharesPages: () => boolean,
  ) {}

  /**
   * On a standby every change is refused here. The kernel's read-only flag
   * would also refuse commands in `.snapshots`, and only root could remove it.
   */
  refuseChanges(syscall: string): void {
    if (this.readOnly || this.volume.isStandby === true) throw new FsError('EROFS', syscall);
  }

  /**
   * Seconds for which the kernel may keep the names of a directory, which is read after this call:
   * others may change the base below it.
   */
  namesTimeoutS(directory: Inode): number {
    if (directory.base === undefined) return this.timeoutS;
    return this.volume.watchBase?.(directory) === false ? UNHEARD_S : this.timeoutS;
  }

  /** A listing of the directory follows, which the kernel keeps. */
  readsNames(directory: Inode, node: number): void {
    if (this.namesTimeoutS(directory) !== this.timeoutS) this.unheard.add(node);
  }

  /** The same for attributes. */
  attributesTimeoutS(inode: Inode): number {
    if (inode.base === undefined) return this.timeoutS;
    return this.volume.isBaseWatched?.(inode) === false ? UNHEARD_S : this.timeoutS;
  }

  liveAttributes(inode: Inode): Attributes {
    const attr = attributesOf(inode, liveIno(inode.ino), this.attributesTimeoutS(inode));
    // The kernel may hold data unknown to us, and does not ask again until the file is closed:
    // programs take a file without blocks for one without data.
    if (attr.blocks === 0 && inode.isRegular && this.writeback()) attr.blocks = 1;
    return attr;
  }
}
