/**
 * Names of nodes for traces: a path below the mountpoint, a byte string, or `#`
 * and the node's number when it has no path. Only for display: a path may
 * change right afterwards.
 */
import { FsError } from '../../lib/errors.js';
import { joinPath } from '../../volume/names/inode-reader.js';
import { LatestNode } from '../snapshots/latest-link.js';
import { ShadowNode } from '../snapshots/shadow-nodes.js';
import { SnapshotDirectoryNode } from '../snapshots/snapshot-directory.js';
import type { SpecialNode } from './special-node.js';
import type { TreeContext } from '../tree-context.js';
import { byteStringOfText } from '../../lib/byte-text.js';

export class NodePaths {
  constructor(readonly context: TreeContext) {}

  /** Accepts any number that the kernel may send. */
  of(id: number): string {
    try {
      const node = this.context.nodes.resolve(id);
      const path = typeof node === 'number' ? this.#live(node) : this.#special(node);
      return path ?? `#${id}`;
    } catch (error) {
      if (error instanceof FsError) return `#${id}`;
      throw error;
    }
  }

  #live(ino: number): string | undefined {
    const { volume } = this.context;
    return volume.pathOf(volume.live, ino);
  }

  #special(node: SpecialNode): string | undefined {
    if (node instanceof ShadowNode) return this.#shadow(node);
    if (node instanceof SnapshotDirectoryNode) return this.#snapshots(node.directory);
    if (!(node instanceof LatestNode)) return undefined;
    const directory = this.#snapshots(node.directory);
    return directory === undefined ? undefined : `${directory}/latest`;
  }

  /** The `.snapshots` of a live directory. */
  #snapshots(directory: number): string | undefined {
    const path = this.#live(directory);
    return path === undefined ? undefined : joinPath(path, this.context.hidden.snapshots);
  }

  #shadow({ tree, ino }: ShadowNode): string | undefined {
    const { view, record } = tree.snapshot;
    const directory = this.#snapshots(tree.directory);
    const then = this.context.volume.pathOf(view, ino);
    const top = this.context.volume.pathOf(view, tree.directory);
    if (directory === undefined || then === undefined || top === undefined) return undefined;
    const below = top === '' ? then : then.slice(top.length + 1);
    const root = `${directory}/${byteStringOfText(record.name)}`;
    return below === '' ? root : `${root}/${below}`;
  }
}
