/**
 * The file that a removed name seems to lead to, for the toucher only and for
 * as long as it removes that name. Its times out at once are what keeps it from
 * everybody else: the kernel asks again before it believes the name.
 */
import { S_IFDIR, S_IFREG } from '../../lib/file-mode.js';
import { madeUpAttributes } from '../attributes.js';
import type { Attributes, Caller } from '../operations.js';
import { SpecialNode } from '../nodes/special-node.js';
import { liveIno } from '../snapshots/shadow-ino.js';

export class PhantomNode extends SpecialNode {
  readonly #attributes: Attributes;

  constructor(id: number, caller: Caller, isDirectory: boolean) {
    super(id);
    this.#attributes = madeUpAttributes({
      ino: liveIno(id),
      mode: isDirectory ? S_IFDIR | 0o700 : S_IFREG | 0o600,
      nlink: isDirectory ? 2 : 1,
      // In a directory with the sticky bit only the owner may remove it.
      uid: caller.uid,
      gid: caller.gid,
      size: 0,
      timeS: 0,
      timeNs: 0,
      attrTimeoutS: 0,
    });
  }

  override attributes(): Attributes {
    return this.#attributes;
  }
}
