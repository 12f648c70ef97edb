/** `.control` in the root: a link to the control files, which are a separate mount. */
import type { ErrnoName } from '../lib/errors.js';
import { S_IFLNK } from '../lib/file-mode.js';
import { madeUpAttributes } from './attributes.js';
import type { Attributes, Entry } from './operations.js';
import { CONTROL_LINK_SPACE, shadowIno } from './snapshots/shadow-ino.js';
import { SpecialNode } from './nodes/special-node.js';
import type { TreeContext } from './tree-context.js';

class ControlLinkNode extends SpecialNode {
  override readonly refusal: ErrnoName = 'EPERM';

  constructor(
    id: number,
    readonly context: TreeContext,
    readonly target: string,
  ) {
    super(id);
  }

  override attributes(): Attributes {
    return madeUpAttributes({
      ino: shadowIno(CONTROL_LINK_SPACE, 0),
      mode: S_IFLNK | 0o777,
      nlink: 1,
      uid: this.context.ownerUid,
      gid: 0,
      size: this.target.length,
      timeS: 0,
      timeNs: 0,
      attrTimeoutS: this.context.timeoutS,
    });
  }

  override readlink(): string {
    return this.target;
  }

  override forgotten(): void {
    // Stays in the table: it is one node for the life of the mount.
    this.lookups = 0;
    this.context.nodes.add(this);
  }
}

export class ControlLink {
  #node: ControlLinkNode | undefined;

  /** `target`: a byte string. */
  constructor(
    readonly context: TreeContext,
    readonly target: string,
  ) {}

  entry(): Entry {
    const { nodes, timeoutS } = this.context;
    if (this.#node === undefined) {
      this.#node = new ControlLinkNode(nodes.newId(), this.context, this.target);
      nodes.add(this.#node);
    }
    const nodeId = nodes.addSpecialLookup(this.#node);
    return { nodeId, entryTimeoutS: timeoutS, attr: this.#node.attributes() };
  }
}
