/**
 * The old node of a regular file that a restore changed while the kernel knew
 * it. Programs that hold it open go on reading the old version, which stays
 * pinned until the kernel forgets the node; everything else is ESTALE, so that
 * a write fails at once (before it writes, the kernel asks for attributes).
 */
import { type ErrnoName, FsError } from '../base/errors.js';
import type { Inode } from '../volume/inode.js';
import type { View } from '../volume/view.js';
import type { Attributes } from './operations.js';
import { SpecialNode } from './special-node.js';
import type { TreeContext } from './tree-context.js';

export class StaleNode extends SpecialNode {
  override readonly refusal: ErrnoName = 'ESTALE';

  constructor(
    id: number,
    readonly context: TreeContext,
    readonly ino: number,
    /** The view in which it was last live. */
    readonly view: View,
    readonly onForgotten: (node: StaleNode) => void,
  ) {
    super(id);
  }

  #inode(): Inode {
    const inode = this.context.volume.inode(this.view, this.ino);
    if (inode === undefined) throw new FsError('ESTALE', 'inode', String(this.ino));
    return inode;
  }

  override attributes(): Attributes {
    throw new FsError('ESTALE', 'getattr', String(this.ino));
  }

  override read(offset: number, length: number, out: Buffer, outOffset: number): number {
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
