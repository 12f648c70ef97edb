/**
 * A restore switches the live view in O(1). The nodes known to the kernel are
 * settled afterwards, one by one: at the node's next request or lookup, or when
 * the coherent phase reaches it, whichever is first. Settling compares the
 * inode's version in the two views.
 *
 * What must hold: a live inode is settled before any request reads or changes
 * it (`NodeTable.beforeUse`), so that the restore is the only cause of a
 * difference between the views.
 */
import { FsError } from '../../lib/errors.js';
import type { View } from '../../volume/view.js';
import { StaleNode } from './stale-node.js';
import { ifReadable } from '../if-readable.js';
import type { TreeContext } from '../tree-context.js';

export class Transition {
  /** Inodes whose nodes need no further comparison. */
  readonly settled = new Set<number>();
  /** Inodes whose nodes this transition made stale, with the old node ids. */
  readonly staled = new Map<number, number>();

  constructor(
    readonly from: View,
    readonly to: View,
  ) {}
}

export class Transitions {
  readonly #active: Transition[] = [];
  /** How often this object pins each layer. */
  readonly #pins = new Map<number, number>();

  constructor(readonly context: TreeContext) {}

  /** `to` is now the live view. O(1). */
  begin(from: View, to: View): Transition {
    const transition = new Transition(from, to);
    this.#pin(from.top);
    this.#pin(to.top);
    this.#active.push(transition);
    this.context.nodes.beforeUse = (ino) => this.settle(ino);
    return transition;
  }

  /** Call when every changed inode is settled. */
  end(transition: Transition): void {
    const i = this.#active.indexOf(transition);
    if (i < 0) return;
    this.#active.splice(i, 1);
    if (this.#active.length === 0) this.context.nodes.beforeUse = undefined;
    this.#unpin(transition.from.top);
    this.#unpin(transition.to.top);
  }

  /** No node is asked for any more. */
  close(): void {
    this.#active.length = 0;
    this.context.nodes.beforeUse = undefined;
    for (const layer of this.#pins.keys()) this.context.volume.unpin(layer);
    this.#pins.clear();
  }

  /** Settles in the order of the restores: an inode may be unsettled in several. */
  settle(ino: number): void {
    for (const transition of this.#active) {
      if (transition.settled.has(ino)) continue;
      this.#settleIn(transition, ino);
      transition.settled.add(ino);
    }
  }

  /** Settles the inode of a name, if there is one, before the name is removed or replaced. */
  settleName(directory: number, name: string): void {
    if (this.#active.length === 0) return;
    const { volume } = this.context;
    const parent = volume.inode(volume.live, directory);
    if (parent === undefined) throw new FsError('ESTALE', 'directory', String(directory));
    const inode = volume.lookup(volume.live, parent, name);
    if (inode !== undefined) this.settle(inode.ino);
  }

  #settleIn(transition: Transition, ino: number): void {
    const { nodes, volume } = this.context;
    if (!nodes.knowsLive(ino)) return;
    // What can't be read may be another version.
    const before = ifReadable(() => volume.inode(transition.from, ino));
    const after = ifReadable(() => volume.inode(transition.to, ino));
    if (before !== undefined && after !== undefined && before.layer === after.layer) return;
    const known = before ?? after;
    if (known === undefined) return;
    // The kernel keeps a directory that it removed dead under its old id.
    const isRevived = known.isDirectory && after !== undefined && nodes.isUnlinked(ino);
    if (!known.isRegular && !isRevived) return;
    this.#pin(transition.from.top);
    const id = nodes.makeStale(
      ino,
      (nodeId) =>
        new StaleNode(nodeId, this.context, ino, transition.from, (node) => this.#forgotten(node)),
    );
    transition.staled.set(ino, id);
  }

  #forgotten(node: StaleNode): void {
    this.#unpin(node.view.top);
    // The restored version may have no name and exist only for this node.
    const { nodes, volume } = this.context;
    if (nodes.knowsLive(node.ino)) return;
    if (volume.inode(volume.live, node.ino)?.nlink === 0) volume.release(node.ino);
  }

  #pin(layer: number): void {
    const count = this.#pins.get(layer) ?? 0;
    if (count === 0) this.context.volume.pin(layer);
    this.#pins.set(layer, count + 1);
  }

  #unpin(layer: number): void {
    const count = (this.#pins.get(layer) ?? 0) - 1;
    if (count > 0) {
      this.#pins.set(layer, count);
    } else {
      this.#pins.delete(layer);
      this.context.volume.unpin(layer);
    }
  }
}
