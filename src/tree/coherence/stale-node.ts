/**
 * The old node of a regular file that a restore changed while the kernel knew
 * it. Programs that have it open continue to read the old version, which stays
 * pinned until the kernel forgets the node; every change is ESTALE.
 *
 * With a writeback cache, attributes are ESTALE too: the kernel asks for them
 * before it accepts a write, so that the write fails at once. Without that
 * cache a write arrives here at once. The kernel then asks for attributes
 * before it reads up to the file's end, so they must be answered: as those of a
 * file that lost its last name at the restore.
 */
import { type ErrnoName, FsError } from '../../lib/errors.js';
import type { Inode } from '../../volume/inode.js';
import type { View } from '../../volume/view.js';
import { attributesOf } from '../attributes.js';
import type { Attributes } from '../operations.js';
import { liveIno } from '../snapshots/shadow-ino.js';
import { SpecialNode } from '../nodes/special-node.js';
import type { TreeContext } from '../tree-context.js';

export class StaleNode extends SpecialNode {
  override readonly refusal: ErrnoName = 'ESTALE';
  readonly #sinceS: number;
  readonly #sinceNs: number;

  constructor(
    id: number,
    readonly context: TreeContext,
    override readonly ino: number,
    /** The view in which it was last live. */
    readonly view: View,
    readonly onForgotten: (node: StaleNode) => void,
  ) {
    super(id);
    const nowMs = Date.now();
    this.#sinceS = Math.floor(nowMs / 1000);
    this.#sinceNs = (nowMs % 1000) * 1e6;
  }

  #inode(): Inode {
    const inode = this.context.volume.inode(this.view, this.ino);
    if (inode === undefined) throw new FsError('ESTALE', 'inode', String(this.ino));
    return inode;
  }

  override attributes(isOpen = false): Attributes {
    const inode = this.#inode();
    // Names beyond those listed in the inode did not expire. ESTALE makes the kernel, which then
    // walks a path, find out that they lead to another node.
    const mayBeNamed = !isOpen && inode.nlink > inode.links.length;
    const { writeback, sharesPages } = this.context;
    if (writeback() || sharesPages() || !inode.isRegular || mayBeNamed) {
      throw new FsError('ESTALE', 'getattr', String(this.ino));
    }
    const attributes = attributesOf(inode, liveIno(this.ino), 0);
    return { ...attributes, nlink: 0, ctimeS: this.#sinceS, ctimeNs: this.#sinceNs };
  }

  override read(offset: number, length: number, out: Buffer, outOffset: number): number {
    // Its pages would also be shown to readers of the new version.
    if (this.context.sharesPages()) throw new FsError('ESTALE', 'read', String(this.ino));
    return this.context.volume.read(this.view, this.#inode(), offset, length, out, outOffset);
  }

  override seek(offset: number, whence: 'data' | 'hole'): number {
    return this.context.volume.seek(this.view, this.#inode(), offset, whence);
  }

  override getxattr(name: string): Uint8Array {
    const value = this.context.volume.readAttribute(this.view, this.#inode(), name);
    if (value === undefined) throw new FsError('ENODATA', 'getxattr', name);
    return value;
  }

  override listxattr(): string[] {
    return this.context.volume.listAttributes(this.view, this.#inode());
  }

  override forgotten(): void {
    this.onForgotten(this);
  }
}
