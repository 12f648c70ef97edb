/** `latest` in `.snapshots`: a new node for each target, because the kernel caches link targets. */
import type { ErrnoName } from '../../lib/errors.js';
import { byteStringOfText } from '../../lib/byte-text.js';
import { S_IFLNK } from '../../lib/file-mode.js';
import { madeUpAttributes } from '../attributes.js';
import type { Attributes } from '../operations.js';
import { LATEST_LINK_SPACE, shadowIno } from './shadow-ino.js';
import { SpecialNode } from '../nodes/special-node.js';
import type { TreeContext } from '../tree-context.js';
import type { SnapshotRecord } from '../tree-volume.js';

export class LatestNode extends SpecialNode {
  override readonly refusal: ErrnoName = 'EPERM';

  constructor(
    id: number,
    readonly owner: LatestNodes,
    readonly directory: number,
    readonly target: string,
    readonly createdMs: number,
  ) {
    super(id);
  }

  override attributes(): Attributes {
    return madeUpAttributes({
      ino: shadowIno(LATEST_LINK_SPACE, this.directory),
      mode: S_IFLNK | 0o777,
      nlink: 1,
      uid: this.owner.context.ownerUid,
      gid: 0,
      size: this.target.length,
      timeS: Math.floor(this.createdMs / 1000),
      timeNs: Math.floor(this.createdMs % 1000) * 1_000_000,
      attrTimeoutS: this.owner.context.timeoutS,
    });
  }

  override readlink(): string {
    return this.target;
  }

  override forgotten(): void {
    this.owner.forgotten(this);
  }
}

export class LatestNodes {
  readonly #nodes = new Map<string, LatestNode>();

  constructor(readonly context: TreeContext) {}

  /** The link of one directory to `newest`. */
  node(directory: number, newest: SnapshotRecord): LatestNode {
    const target = byteStringOfText(newest.name);
    const key = `${directory}/${target}`;
    let node = this.#nodes.get(key);
    if (node === undefined) {
      const id = this.context.nodes.newId();
      node = new LatestNode(id, this, directory, target, newest.createdMs);
      this.#nodes.set(key, node);
      this.context.nodes.add(node);
    }
    return node;
  }

  forgotten(node: LatestNode): void {
    this.#nodes.delete(`${node.directory}/${node.target}`);
  }
}
