/**
 * `.snapshots` of one live directory: a name for each snapshot in which that
 * directory's inode existed, and `latest`. Making, removing and renaming a name
 * in it are the commands save, delete and rename; the call returns when the
 * command is done. Its names are never cached, because commands also come from
 * elsewhere.
 *
 * Doors inside tree/: latest-link, open-snapshots, shadow-attributes,
 *   shadow-ino, shadow-nodes, snapshot-directory.
 */
import { type ErrnoName, FsError } from '../../lib/errors.js';
import { after, type Deferred } from '../../lib/deferred.js';
import { byteStringOfText, hasRawBytes, textOfByteString } from '../../lib/byte-text.js';
import { nameHash } from '../../format/records/name-hash.js';
import { S_IFDIR, S_IFLNK } from '../../lib/file-mode.js';
import type { Inode } from '../../volume/inode.js';
import { madeUpAttributes } from '../attributes.js';
import { dotFiller, listFrom } from '../listing.js';
import type { Attributes, Caller, Entry, FillDirectory, FillDirectoryPlus } from '../operations.js';
import { LatestNodes } from './latest-link.js';
import { listTime, newestFirst } from './snapshot-list.js';
import {
  LATEST_LINK_SPACE,
  liveIno,
  type Ino64,
  shadowIno,
  SNAPSHOT_DIRECTORY_SPACE,
} from './shadow-ino.js';
import type { ShadowNodes } from './shadow-nodes.js';
import { SpecialNode } from '../nodes/special-node.js';
import { isSaved } from '../../volume/catalog.js';
import type { TreeContext } from '../tree-context.js';
import type { SnapshotRecord } from '../tree-volume.js';

/** The name of the link to the newest snapshot. */
export const LATEST = 'latest';

/** Runs the commands given through `.snapshots`. Each settles when the command is done. */
export interface TreeCommands {
  save(name: string, source: string): Deferred<unknown>;
  delete(name: string, source: string): Deferred<unknown>;
  rename(from: string, to: string, source: string): Deferred<unknown>;
}

export class SnapshotDirectoryNode extends SpecialNode {
  override readonly refusal: ErrnoName = 'EPERM';

  constructor(
    id: number,
    readonly owner: SnapshotDirectories,
    readonly directory: number,
  ) {
    super(id);
  }

  get #context(): TreeContext {
    return this.owner.context;
  }

  #live(): Inode {
    const { volume } = this.#context;
    const inode = volume.inode(volume.live, this.directory);
    if (inode === undefined) throw new FsError('ESTALE', 'directory', String(this.directory));
    return inode;
  }

  get #ino64(): Ino64 {
    return shadowIno(SNAPSHOT_DIRECTORY_SPACE, this.directory);
  }

  override attributes(): Attributes {
    const live = this.#live();
    const time = listTime(this.#context.volume.snapshots(), live.btimeS);
    return madeUpAttributes({
      ino: this.#ino64,
      mode: S_IFDIR | (this.#context.readOnly ? 0o555 : 0o755),
      nlink: 1,
      uid: live.uid,
      gid: live.gid,
      size: 0,
      timeS: time.s,
      timeNs: time.ns,
      // The kernel asks before each listing, and so notices that the list changed.
      attrTimeoutS: 0,
    });
  }

  override lookup(name: string): Entry {
    if (name === LATEST) {
      const newest = this.#latest();
      if (newest === undefined) throw new FsError('ENOENT', 'lookup', name);
      const node = this.owner.latest.node(this.directory, newest);
      return this.#entry(node);
    }
    const snapshot = this.#snapshot(name);
    const shadow =
      snapshot === undefined ? undefined : this.owner.shadows.root(this.directory, snapshot);
    if (shadow === undefined) throw new FsError('ENOENT', 'lookup', name);
    return this.#entry(shadow);
  }

  #snapshot(name: string): SnapshotRecord | undefined {
    return this.#context.volume.snapshot(textOfByteString(name));
  }

  #entry(node: SpecialNode): Entry {
    const attr = node.attributes();
    return { nodeId: this.#context.nodes.addSpecialLookup(node), entryTimeoutS: 0, attr };
  }

  /** The newest saved snapshot (not an undo snapshot) that has this directory. */
  #latest(): SnapshotRecord | undefined {
    const { volume } = this.#context;
    return newestFirst(volume.snapshots()).find(
      (one) => isSaved(one) && volume.isOwn?.(one) !== false && this.#exists(one),
    );
  }

  #exists(snapshot: SnapshotRecord): boolean {
    const view = this.owner.shadows.snapshots.peek(snapshot);
    return this.#context.volume.inode(view, this.directory)?.isDirectory === true;
  }

  override readdir(offset: number, fill: FillDirectory): void {
    const live = this.#live();
    const names = this.#names();
    listFrom(
      offset,
      this.#context.cookies,
      dotFiller(this.#ino64, liveIno(live.ino), fill),
      (afterHash, visit) => {
        for (const { name, hash, type } of names) {
          if (hash > afterHash && !visit(name, 0, type >> 12, hash)) return;
        }
      },
      () => false,
      ({ name, type }, next) => {
        const ino = this.#inoOf(name);
        return fill(name, ino.high, ino.low, type, next);
      },
    );
  }

  /** Without entries: each name is looked up on demand. */
  override readdirplus(offset: number, fill: FillDirectoryPlus): void {
    this.readdir(offset, (name, high, low, type, next) =>
      fill(name, high, low, type, next, undefined),
    );
  }

  #inoOf(name: string): Ino64 {
    if (name === LATEST) return shadowIno(LATEST_LINK_SPACE, this.directory);
    const layer = this.#snapshot(name)?.layer ?? 0;
    return shadowIno(layer, this.directory);
  }

  #names(): { name: string; hash: number; type: number }[] {
    const names: { name: string; hash: number; type: number }[] = [];
    let hasSaved = false;
    for (const snapshot of this.#context.volume.snapshots()) {
      const name = byteStringOfText(snapshot.name);
      if (name === LATEST || !this.#exists(snapshot)) continue;
      if (isSaved(snapshot)) hasSaved = true;
      names.push({ name, hash: nameHash(name), type: S_IFDIR });
    }
    if (hasSaved) names.push({ name: LATEST, hash: nameHash(LATEST), type: S_IFLNK });
    return names.sort((a, b) => a.hash - b.hash || (a.name < b.name ? -1 : 1));
  }

  /** The name as text. Throws when the caller may not give the command. */
  #checkCommand(caller: Caller, syscall: string, name: string): string {
    if (this.#context.readOnly) throw new FsError('EROFS', syscall, name);
    if (caller.uid !== 0 && caller.uid !== this.#context.ownerUid) {
      throw new FsError('EPERM', syscall, name);
    }
    if (name === LATEST) throw new FsError('EPERM', syscall, name);
    const text = textOfByteString(name);
    if (hasRawBytes(text)) throw new FsError('EINVAL', syscall, name);
    return text;
  }

  /** `mkdir .snapshots/NAME` */
  save(caller: Caller, name: string): Deferred<Entry> {
    if (name === LATEST) throw new FsError('EEXIST', 'mkdir', name);
    const text = this.#checkCommand(caller, 'mkdir', name);
    const done = this.owner.commands.save(text, source('mkdir', caller));
    return after(done, () => this.lookup(name));
  }

  /** `rmdir .snapshots/NAME` */
  remove(caller: Caller, name: string): Deferred<void> {
    const text = this.#checkCommand(caller, 'rmdir', name);
    const done = this.owner.commands.delete(text, source('rmdir', caller));
    return after<unknown, void>(done, () => {});
  }

  /** `mv .snapshots/NAME .snapshots/NEWNAME`; an existing name is never replaced. */
  rename(caller: Caller, name: string, newName: string, flags: number): Deferred<void> {
    const from = this.#checkCommand(caller, 'rename', name);
    const to = this.#checkCommand(caller, 'rename', newName);
    if ((flags & ~RENAME_NOREPLACE) !== 0) throw new FsError('EINVAL', 'rename', name);
    const done = this.owner.commands.rename(from, to, source('rename', caller));
    return after<unknown, void>(done, () => {});
  }

  override forgotten(): void {
    this.owner.forgotten(this);
  }
}

const RENAME_NOREPLACE = 1;

function source(command: string, caller: Caller): string {
  return `${command} (uid ${caller.uid}, pid ${caller.pid})`;
}

export class SnapshotDirectories {
  readonly #byDirectory = new Map<number, SnapshotDirectoryNode>();
  readonly latest: LatestNodes;

  constructor(
    readonly context: TreeContext,
    readonly shadows: ShadowNodes,
    readonly commands: TreeCommands,
  ) {
    this.latest = new LatestNodes(context);
  }

  /** Looks up `.snapshots` of a live directory. */
  entry(directory: number): Entry {
    let node = this.#byDirectory.get(directory);
    const { nodes, timeoutS } = this.context;
    if (node === undefined) {
      node = new SnapshotDirectoryNode(nodes.newId(), this, directory);
      this.#byDirectory.set(directory, node);
      nodes.add(node);
    }
    const attr = node.attributes();
    return { nodeId: nodes.addSpecialLookup(node), entryTimeoutS: timeoutS, attr };
  }

  forgotten(node: SnapshotDirectoryNode): void {
    this.#byDirectory.delete(node.directory);
  }
}
