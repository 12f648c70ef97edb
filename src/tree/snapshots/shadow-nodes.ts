/**
 * The nodes below `.snapshots/NAME`: files and directories as they were then.
 *
 * A node is (directory whose `.snapshots` was entered, snapshot, inode), so
 * that no directory has two parents. The nodes of one such shadow tree share a
 * `ShadowTree`. Everything is read-only and constant, and the kernel caches it
 * for long; after the snapshot was deleted a node answers ESTALE.
 */
import { CAPABILITY } from '../xattr-names.js';
import { type ErrnoName, FsError } from '../../lib/errors.js';
import type { Inode } from '../../volume/inode.js';
import type { View } from '../../volume/view.js';
import { attributesOf, negativeEntry } from '../attributes.js';
import { dotFiller, listFrom } from '../listing.js';
import { droppableName, type NodeName } from '../nodes/forgetting-plan.js';
import type { OpenSnapshot, OpenSnapshots } from './open-snapshots.js';
import type { Attributes, Entry, FillDirectory, FillDirectoryPlus } from '../operations.js';
import { type Ino64, shadowIno, SNAPSHOT_DIRECTORY_SPACE } from './shadow-ino.js';
import { isShadowAttribute, shadowAttribute } from './shadow-attributes.js';
import { SpecialNode } from '../nodes/special-node.js';
import type { TreeContext } from '../tree-context.js';
import type { SnapshotRecord } from '../tree-volume.js';

/** VFS_CAP_REVISION_2 with empty sets: grants nothing. */
const EMPTY_CAPABILITY = Buffer.from([0, 0, 0, 2, ...new Array<number>(16).fill(0)]);

/** One snapshot as entered through one directory. */
class ShadowTree {
  readonly nodes = new Map<number, ShadowNode>();

  constructor(
    readonly context: TreeContext,
    readonly shadows: ShadowNodes,
    readonly directory: number,
    readonly snapshot: OpenSnapshot,
  ) {}

  node(ino: number): ShadowNode {
    let node = this.nodes.get(ino);
    if (node === undefined) {
      node = new ShadowNode(this.context.nodes.newId(), this, ino);
      this.nodes.set(ino, node);
      this.context.nodes.add(node);
    }
    return node;
  }
}

export class ShadowNode extends SpecialNode {
  override readonly refusal: ErrnoName = 'EROFS';

  constructor(
    id: number,
    readonly tree: ShadowTree,
    override readonly ino: number,
  ) {
    super(id);
  }

  /** A name of this node that can be dropped, below a node that is known. */
  place(): NodeName | undefined {
    const { context, snapshot, nodes } = this.tree;
    const place = droppableName(context.volume.inode(snapshot.view, this.ino));
    const parent = place && nodes.get(place.parent);
    return place && parent && { parent: parent.id, name: place.name };
  }

  /** Throws ESTALE when the snapshot is gone. */
  #inode(view: View): Inode {
    const inode = this.tree.context.volume.inode(view, this.ino);
    if (inode === undefined) throw new FsError('ESTALE', 'shadow inode', String(this.ino));
    return inode;
  }

  #directory(view: View, syscall: string): Inode {
    const inode = this.#inode(view);
    if (!inode.isDirectory) throw new FsError('ENOTDIR', syscall);
    return inode;
  }

  get #ino64(): Ino64 {
    return shadowIno(this.tree.snapshot.layer, this.ino);
  }

  #attributesOf(inode: Inode): Attributes {
    const ino = shadowIno(this.tree.snapshot.layer, inode.ino);
    return attributesOf(inode, ino, this.tree.context.attributesTimeoutS(inode));
  }

  override attributes(): Attributes {
    return this.#attributesOf(this.#inode(this.tree.snapshot.checkedView));
  }

  override lookup(name: string): Entry {
    const { context, snapshot } = this.tree;
    const view = snapshot.checkedView;
    const directory = this.#directory(view, 'lookup');
    const timeoutS = context.namesTimeoutS(directory);
    const found = context.hidden.isHidden(this.ino, name)
      ? undefined
      : context.volume.lookup(view, directory, name);
    if (found === undefined) return negativeEntry(timeoutS);
    return {
      nodeId: context.nodes.addSpecialLookup(this.tree.node(found.ino)),
      entryTimeoutS: timeoutS,
      attr: this.#attributesOf(found),
    };
  }

  override readlink(): string {
    const inode = this.#inode(this.tree.snapshot.checkedView);
    if (inode.target === undefined) throw new FsError('EINVAL', 'readlink');
    return inode.target;
  }

  override read(offset: number, length: number, out: Buffer, outOffset: number): number {
    const view = this.tree.snapshot.checkedView;
    const inode = this.#inode(view);
    return this.tree.context.volume.read(view, inode, offset, length, out, outOffset);
  }

  override seek(offset: number, whence: 'data' | 'hole'): number {
    const view = this.tree.snapshot.checkedView;
    return this.tree.context.volume.seek(view, this.#inode(view), offset, whence);
  }

  override readdir(offset: number, fill: FillDirectory): void {
    const { layer } = this.tree.snapshot;
    this.#list(offset, false, fill, (_view, _directory, listed, next) => {
      const ino = shadowIno(layer, listed.ino);
      return fill(listed.name, ino.high, ino.low, listed.type, next);
    });
  }

  override readdirplus(offset: number, fill: FillDirectoryPlus): void {
    const { context, snapshot } = this.tree;
    const dot: FillDirectory = (name, high, low, type, next) =>
      fill(name, high, low, type, next, undefined);
    this.#list(offset, true, dot, (view, directory, listed, next) => {
      const ino = shadowIno(snapshot.layer, listed.ino);
      const { name, type } = listed;
      const inode = context.volume.inodeForListing(view, directory, name, listed.ino);
      if (inode === undefined) return fill(name, ino.high, ino.low, type, next, undefined);
      const attr = this.#attributesOf(inode);
      return context.nodes.offerSpecial(this.tree.node(inode.ino), (nodeId) =>
        fill(name, ino.high, ino.low, type, next, {
          nodeId,
          entryTimeoutS: context.namesTimeoutS(directory),
          attr,
        }),
      );
    });
  }

  #list(
    offset: number,
    withInodes: boolean,
    dot: FillDirectory,
    take: (
      view: View,
      directory: Inode,
      listed: { name: string; ino: number; type: number },
      next: number,
    ) => boolean,
  ): void {
    const { context, snapshot } = this.tree;
    const view = snapshot.checkedView;
    const directory = this.#directory(view, 'readdir');
    context.readsNames(directory, this.id);
    listFrom(
      offset,
      context.cookies,
      dotFiller(this.#ino64, this.#parentIno(directory), dot),
      (afterHash, visit) => context.volume.list(view, directory, afterHash, visit, withInodes),
      (name) => context.hidden.isHidden(this.ino, name),
      (listed, next) => take(view, directory, listed, next),
    );
  }

  #parentIno(directory: Inode): Ino64 {
    if (this.ino === this.tree.directory) return shadowIno(SNAPSHOT_DIRECTORY_SPACE, this.ino);
    return shadowIno(this.tree.snapshot.layer, directory.links[0]?.parent ?? this.tree.directory);
  }

  /**
   * The kernel does not send OPEN, so a write to a regular file of a snapshot
   * would go into the kernel's cache, and only storing it would fail. Before a
   * write the kernel asks for the file's capability and, if there is one, must
   * first remove it: that fails with EROFS, and so does the write. So a regular
   * file without a capability shows an empty one, which grants nothing and is
   * not listed.
   */
  override getxattr(name: string): Uint8Array {
    const { context, snapshot } = this.tree;
    const view = snapshot.checkedView;
    const inode = this.#inode(view);
    if (isShadowAttribute(name)) {
      return shadowAttribute(context.volume, this.tree.shadows.snapshots, snapshot, inode, name);
    }
    const value = context.volume.readAttribute(view, inode, name);
    if (value !== undefined) return value;
    if (name === CAPABILITY && inode.isRegular) return EMPTY_CAPABILITY;
    throw new FsError('ENODATA', 'getxattr', name);
  }

  /**
   * The names of the snapshot's own xattrs. `user.shadowfs.*` can be read by
   * name but is not listed: `cp -a` and `rsync -X` would copy it into the live
   * tree.
   */
  override listxattr(): string[] {
    const view = this.tree.snapshot.checkedView;
    return this.tree.context.volume.listAttributes(view, this.#inode(view));
  }

  /** Stores through a shared mmap can't be refused in advance: the pages are dropped. */
  override writeRefused(): void {
    const { notifier } = this.tree.context;
    notifier().notify([{ kind: 'inval-inode', node: this.id, offset: 0, length: 0 }]);
  }

  override forgotten(): void {
    this.tree.shadows.forgotten(this);
  }
}

export class ShadowNodes {
  /** By directory, then by layer. */
  readonly #trees = new Map<number, Map<number, ShadowTree>>();

  constructor(
    readonly context: TreeContext,
    readonly snapshots: OpenSnapshots,
  ) {}

  /** The directory as it was in the snapshot; undefined when it did not exist then. */
  root(directory: number, snapshot: SnapshotRecord): ShadowNode | undefined {
    const known = this.#trees.get(directory)?.get(snapshot.layer);
    if (known !== undefined) return known.node(directory);
    const view = this.snapshots.peek(snapshot);
    if (this.context.volume.inode(view, directory)?.isDirectory !== true) return undefined;
    const tree = new ShadowTree(this.context, this, directory, this.snapshots.use(snapshot));
    let byLayer = this.#trees.get(directory);
    if (byLayer === undefined) {
      byLayer = new Map();
      this.#trees.set(directory, byLayer);
    }
    byLayer.set(snapshot.layer, tree);
    return tree.node(directory);
  }

  /** The ids of the nodes that show an inode, in whichever snapshot. */
  *showing(ino: number): Generator<number> {
    for (const byLayer of this.#trees.values()) {
      for (const { nodes } of byLayer.values()) {
        const node = nodes.get(ino);
        if (node !== undefined) yield node.id;
      }
    }
  }

  views(): View[] {
    return [...this.#trees.values()].flatMap((byLayer) =>
      [...byLayer.values()].map(({ snapshot }) => snapshot.view),
    );
  }

  forgotten(node: ShadowNode): void {
    const { tree } = node;
    tree.nodes.delete(node.ino);
    if (tree.nodes.size > 0) return;
    this.snapshots.drop(tree.snapshot);
    const byLayer = this.#trees.get(tree.directory);
    byLayer?.delete(tree.snapshot.layer);
    if (byLayer?.size === 0) this.#trees.delete(tree.directory);
  }
}
