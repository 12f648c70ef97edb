/**
 * The requests of the toucher, the process that makes the kernel tell watching
 * programs of a restore: they get the answers that make its calls succeed, and
 * change nothing.
 *
 * | it wants to tell | it calls | its lookup finds | the call gets |
 * |---|---|---|---|
 * | removed | unlink or rmdir | a phantom, or the watched directory that is gone | success |
 * | added | mknod, mkdir or symlink | no such name | the file that is there |
 * | changed | utimensat | the file | its attributes |
 *
 * What must hold:
 * - A call succeeds only when what it tells is so at that moment. A name that
 *   came back must not go in the kernel's eyes, and so on.
 * - Every answer that is not true expires at once. The toucher's call holds the
 *   directory's lock in the kernel from the lookup to its end, and others ask
 *   again.
 * - It is recognised by the process number in the request, which the kernel
 *   puts there. It shows which one it has by looking up a name that only it was
 *   told, and sees by the answer that it is recognised.
 */
import { FsError } from '../../lib/errors.js';
import { S_IFMT } from '../../lib/file-mode.js';
import type { Inode } from '../../volume/inode.js';
import type { View } from '../../volume/view.js';
import { attributesOf, negativeEntry } from '../attributes.js';
import type { Notification } from '../coherence/notification.js';
import type { Attributes, Caller, Entry } from '../operations.js';
import { liveIno } from '../snapshots/shadow-ino.js';
import { ROOT_INO } from '../nodes/hidden-names.js';
import type { TreeContext } from '../tree-context.js';
import { PhantomNode } from './phantom-node.js';
import { type Touch, touchKey } from './touch.js';

type AddedOrRemoved = Touch & { kind: 'added' | 'removed' };

/** No process has it. */
const NOBODY = -1;

export class Touching {
  #secret: string | undefined;
  #pid = NOBODY;
  /** The view before the restore. */
  #from: View | undefined;
  /** Names to be added or removed, until that is done. */
  readonly #pending = new Map<string, AddedOrRemoved>();

  constructor(readonly context: TreeContext) {}

  /**
   * Whoever looks up `secret` in the root may touch these until `end`. The kernel must get the
   * notifications first: it would not ask again for a name that it knows to be gone.
   */
  begin(secret: string, touches: readonly Touch[], from: View): Notification[] {
    const { nodes } = this.context;
    const notifications: Notification[] = [];
    this.#secret = secret;
    this.#from = from;
    this.#pending.clear();
    for (const touch of touches) {
      const { kind, directory, name } = touch;
      if (kind !== 'added' && kind !== 'removed') continue;
      this.#pending.set(touchKey(directory, name), touch);
      if (kind === 'added' || !nodes.knowsLive(directory)) continue;
      const parent = nodes.liveId(directory);
      notifications.push({ kind: 'inval-entry', parent, name, expireOnly: false });
    }
    return notifications;
  }

  end(): void {
    this.#secret = undefined;
    this.#from = undefined;
    this.#pid = NOBODY;
    this.#pending.clear();
  }

  isToucher(caller: Caller): boolean {
    return caller.pid === this.#pid;
  }

  /** Undefined: the lookup is answered as always. */
  lookup(caller: Caller, directory: number, name: string): Entry | undefined {
    if (name === this.#secret && directory === ROOT_INO) {
      this.#pid = caller.pid;
      return this.#phantom(caller, false);
    }
    if (this.#pending.size === 0) return undefined;
    const touch = this.#pending.get(touchKey(directory, name));
    if (touch === undefined) return undefined;
    const exists = this.#find(directory, name) !== undefined;
    if (touch.kind === 'removed' && touch.inode !== undefined && !exists) {
      return this.isToucher(caller) ? this.#gone(touch.inode, name) : negativeEntry(0);
    }
    if (touch.kind === 'added') {
      return exists && this.isToucher(caller) ? negativeEntry(0) : undefined;
    }
    if (exists) return undefined;
    // The kernel must not keep for the toucher that the name is gone.
    return this.isToucher(caller) ? this.#phantom(caller, touch.isDirectory) : negativeEntry(0);
  }

  /** Of a directory that is gone, for the toucher on its way to what is in it. */
  attributes(caller: Caller, ino: number): Attributes | undefined {
    if (!this.isToucher(caller)) return undefined;
    const { volume } = this.context;
    if (volume.inode(volume.live, ino) !== undefined) return undefined;
    return this.#goneAttributes(ino);
  }

  #goneAttributes(ino: number): Attributes | undefined {
    const inode = this.#from && this.context.volume.inode(this.#from, ino);
    return inode && attributesOf(inode, liveIno(ino), 0);
  }

  /** A directory under the node that the kernel knows. */
  #gone(ino: number, name: string): Entry {
    const attr = this.#goneAttributes(ino);
    if (attr === undefined) throw new FsError('ENOENT', 'touch', name);
    return { nodeId: this.context.nodes.addLookup(ino), entryTimeoutS: 0, attr };
  }

  #phantom(caller: Caller, isDirectory: boolean): Entry {
    const { nodes } = this.context;
    const node = new PhantomNode(nodes.newId(), caller, isDirectory);
    nodes.add(node);
    const nodeId = nodes.addSpecialLookup(node);
    return { nodeId, entryTimeoutS: 0, attr: node.attributes() };
  }

  /** Checks that the file is there, and of this type. The caller answers with it. */
  added(directory: number, name: string, mode: number): void {
    const inode = this.#find(directory, name);
    if (this.#take(directory, name, 'added') === undefined || inode === undefined) {
      throw new FsError('ENOENT', 'touch', name);
    }
    if (((inode.mode ^ mode) & S_IFMT) !== 0) throw new FsError('EEXIST', 'touch', name);
  }

  /** Checks that the name is gone. */
  removed(directory: number, name: string): void {
    const touch = this.#take(directory, name, 'removed');
    if (touch === undefined || this.#find(directory, name) !== undefined) {
      throw new FsError('EEXIST', 'touch', name);
    }
    // The kernel allows nothing more in it: should it come back, it gets a new node.
    if (touch.kind === 'removed' && touch.inode !== undefined) {
      this.context.nodes.noteUnlinked(touch.inode);
    }
  }

  #take(directory: number, name: string, kind: Touch['kind']): AddedOrRemoved | undefined {
    const key = touchKey(directory, name);
    const touch = this.#pending.get(key);
    if (touch?.kind !== kind) return undefined;
    this.#pending.delete(key);
    return touch;
  }

  #find(directory: number, name: string): Inode | undefined {
    const { volume } = this.context;
    const parent = volume.inode(volume.live, directory);
    if (parent?.isDirectory !== true) return undefined;
    return volume.lookup(volume.live, parent, name);
  }
}
