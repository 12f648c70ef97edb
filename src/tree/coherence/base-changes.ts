/**
 * What others change in the base while it is mounted, seen from the kernel: it
 * is told to ask again, so that a listing, a name and an attribute give one
 * answer (decision 0012). What nothing tells of is asked for again anyway after
 * a moment: names and attributes by their time-outs, listings by `expire`.
 *
 * The volume has the say where it has a record of its own: then the same
 * question gives the same answer as before.
 */
import { FsError } from '../../lib/errors.js';
import type { Work } from '../../lib/work.js';
import type { BaseEvent } from '../../base/base-directory.js';
import { joinPath } from '../../volume/names/inode-reader.js';
import type { ShadowNodes } from '../snapshots/shadow-nodes.js';
import type { TreeContext } from '../tree-context.js';
import type { Notification } from './notification.js';
import type { View } from '../../volume/view.js';

/** Notifications that are sent together. */
const TOLD_AT_ONCE = 256;

export class BaseChanges {
  /** Not sent yet. */
  #batch: Notification[] = [];
  #others: readonly View[] = [];

  constructor(
    readonly context: TreeContext,
    readonly shadows: ShadowNodes,
  ) {}

  /** Views of snapshots that this mount has open. */
  views(): View[] {
    return this.shadows.views();
  }

  #allViews(): View[] {
    return [...this.shadows.views(), ...this.#others];
  }

  /**
   * Tells the kernel of one event; what is left to tell is sent by `send`. `others`: views of
   * snapshots that other mounts of the volume have open.
   */
  *told(event: BaseEvent, others: readonly View[]): Work<void> {
    this.#others = others;
    const batch = this.#batch;
    switch (event.kind) {
      case 'all':
        yield* this.#everything(batch);
        break;
      case 'directory':
        this.#changed(event.directory, batch);
        this.#listing(event.directory, batch);
        break;
      case 'name':
        this.#name(event.directory, event.name, batch);
        break;
    }
    if (batch.length >= TOLD_AT_ONCE) this.send();
  }

  send(): void {
    const batch = this.#batch;
    this.#batch = [];
    if (batch.length > 0) this.context.notifier().notify(batch);
  }

  #name(directory: string, name: string, batch: Notification[]): void {
    const ino = this.#numberAt(joinPath(directory, name));
    const expireOnly = this.context.notifier().canExpireOnly && ino !== undefined;
    for (const parent of this.#nodesAt(directory)) {
      batch.push({ kind: 'inval-entry', parent, name, expireOnly });
    }
    this.#listing(directory, batch);
    if (ino !== undefined) this.#inode(ino, batch);
  }

  /** The attributes, and what was read: the kernel's pages of a listing or an untouched file. */
  #inode(ino: number, batch: Notification[]): void {
    const { volume } = this.context;
    const inode = this.#look(() => volume.inode(volume.live, ino));
    // A file with a record of its own does not change with the base.
    if (inode === undefined || inode.layer !== 0) return;
    for (const node of this.#nodesOf(ino)) {
      batch.push({ kind: 'inval-inode', node, offset: 0, length: 0 });
    }
  }

  #changed(path: string, batch: Notification[]): void {
    const ino = this.#numberAt(path);
    if (ino !== undefined) this.#inode(ino, batch);
  }

  #listing(directory: string, batch: Notification[]): void {
    for (const node of this.#nodesAt(directory)) {
      batch.push({ kind: 'inval-inode', node, offset: 0, length: 0 });
    }
  }

  /** Names that are not there are told as far as the kernel can forget all names at once. */
  *#everything(batch: Notification[]): Work<void> {
    const { volume } = this.context;
    volume.baseLost?.(this.#allViews());
    const { canIncEpoch } = this.context.notifier();
    if (canIncEpoch) batch.push({ kind: 'inc-epoch' });
    for (const directory of [...(volume.base?.watchedPaths() ?? [])]) {
      yield undefined;
      // The directory itself may be gone.
      if (this.#nodesAt(directory).length === 0) continue;
      this.#listing(directory, batch);
      if (canIncEpoch) continue;
      const names = this.#look(() => volume.base?.list(directory)) ?? [];
      for (const { name } of names) {
        yield undefined;
        this.#name(directory, name, batch);
      }
    }
  }

  #numberAt(path: string): number | undefined {
    return this.#look(() => this.context.volume.baseChanged?.(path, this.#allViews()));
  }

  #nodesAt(directory: string): number[] {
    return [...this.#nodesOf(this.#look(() => this.context.volume.baseNumber?.(directory)))];
  }

  /**
   * What can't be looked at now (this user may not, or the disk fails) may have changed as well:
   * nothing of the base is taken from memory any more, and whoever asks learns the reason.
   */
  #look<T>(look: () => T): T | undefined {
    try {
      return look();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.context.volume.baseLost?.(this.#allViews());
      return undefined;
    }
  }

  *#nodesOf(ino: number | undefined): Generator<number> {
    if (ino === undefined) return;
    const { nodes } = this.context;
    if (nodes.knowsLive(ino)) yield nodes.liveId(ino);
    yield* this.shadows.showing(ino);
  }

  /** Listings of which nothing tells are read again at their next use. */
  expire(): void {
    const nodes = [...this.context.unheard.nodes];
    this.context.unheard.nodes.clear();
    this.context
      .notifier()
      .notify(nodes.map((node) => ({ kind: 'inval-inode', node, offset: 0, length: 0 })));
  }

  /** Calls `expireLater` when there is something to expire, and not again before `expire`. */
  set expireLater(later: () => void) {
    this.context.unheard.onFirst = later;
  }
}
