/**
 * Which changes of a layer in the open txg are not in the intent log yet. Holds
 * names of places only, since the txg has the changes themselves. It does not
 * exist as long as nothing of the txg is in the log.
 */
import type { BlockChange } from '../commit/txg.js';

export interface BlockTouch {
  /** The step of the block in the log; -1: the log does not have it. */
  step: number;
  /** The bytes written since, as [from, to). */
  from: number;
  to: number;
  /** More than those bytes changed: the whole block has to be logged. */
  isWhole: boolean;
}

export class ChangedSince {
  readonly inodes = new Set<number>();
  readonly orphans = new Set<number>();
  /** Directory → names, inode → xattrs, inode → block index. */
  readonly names = new Map<number, Set<string>>();
  readonly attributes = new Map<number, Set<string>>();
  readonly blocks = new Map<number, Map<number, BlockTouch>>();

  get isEmpty(): boolean {
    const { inodes, orphans, names, attributes, blocks } = this;
    return inodes.size + orphans.size + names.size + attributes.size + blocks.size === 0;
  }

  clear(): void {
    this.inodes.clear();
    this.orphans.clear();
    this.names.clear();
    this.attributes.clear();
    this.blocks.clear();
  }

  name(directory: number, name: string): void {
    addTo(this.names, directory, name);
  }

  attribute(ino: number, name: string): void {
    addTo(this.attributes, ino, name);
  }

  /** A block is replaced or dropped; `before`: the block as the txg has had it until now. */
  wholeBlock(ino: number, index: number, before: BlockChange | undefined): void {
    this.#block(ino, index, before).isWhole = true;
  }

  /**
   * Bytes [from, to) of a block are written; `before`: the block as the txg has had it until now.
   */
  blockBytes(
    ino: number,
    index: number,
    before: BlockChange | undefined,
    from: number,
    to: number,
  ): void {
    const touch = this.#block(ino, index, before);
    // The zeros between the block's end and the new bytes are new, too.
    touch.from = Math.min(touch.from, from, before?.length ?? 0);
    touch.to = Math.max(touch.to, to);
  }

  #block(ino: number, index: number, before: BlockChange | undefined): BlockTouch {
    let blocks = this.blocks.get(ino);
    if (blocks === undefined) {
      blocks = new Map();
      this.blocks.set(ino, blocks);
    }
    let touch = blocks.get(index);
    if (touch === undefined) {
      const isWhole = before === undefined || before.hole;
      touch = { step: before?.step ?? -1, from: Number.MAX_SAFE_INTEGER, to: 0, isWhole };
      blocks.set(index, touch);
    }
    return touch;
  }

  /** An inode goes, with everything it has in this txg: names, xattrs and blocks. */
  drop(
    ino: number,
    names: Iterable<string> | undefined,
    attributes: Iterable<string> | undefined,
    blocks: Iterable<[number, BlockChange]> | undefined,
  ): void {
    for (const name of names ?? []) this.name(ino, name);
    for (const name of attributes ?? []) this.attribute(ino, name);
    for (const [index, block] of blocks ?? []) this.wholeBlock(ino, index, block);
  }
}

function addTo(sets: Map<number, Set<string>>, ino: number, name: string): void {
  const set = sets.get(ino);
  if (set === undefined) sets.set(ino, new Set([name]));
  else set.add(name);
}
