/**
 * Node ids: which node the kernel means, and how many lookups it holds.
 *
 * - A live inode's node id is its number (52 bits), unless a restore changed
 *   that file while the kernel knew it: then the old id became *stale* and the
 *   live file gets a new id of the other kind at its next lookup.
 * - Ids from 2^52 come from a counter and are never used twice.
 *
 * Owns the counts. Calls `onUnlinkedForgotten` for a live inode without a name
 * that the kernel forgets, and `onForgotten` for any inode that no node, live
 * or special, shows any more.
 *
 * Doors: forgetting-plan.
 * Doors inside tree/: forgetting, hidden-names, node-paths, node-table,
 *   special-node.
 */
import { FsError } from '../../lib/errors.js';
import { ROOT_INO } from './hidden-names.js';
import { LookupCounts } from './lookup-counts.js';
import type { SpecialNode } from './special-node.js';

/** The first node id that is not a live inode number. */
export const FIRST_SPECIAL = 2 ** 52;

interface Reidentified {
  ino: number;
  lookups: number;
}

export class NodeTable {
  readonly #counts: LookupCounts;
  /** Special nodes by id; the stale ones among them may have ids below 2^52. */
  readonly #specials = new Map<number, SpecialNode>();
  /** Live files with a new id, by that id; and by inode the newest id. */
  readonly #reidentified = new Map<number, Reidentified>();
  readonly #newIds = new Map<number, number>();
  /** Inodes without a name that the kernel still knows. */
  readonly #unlinked = new Set<number>();
  /** Number of special nodes that show an inode. */
  readonly #shown = new Map<number, number>();
  #nextId = FIRST_SPECIAL;
  #forgotten = 0;

  /** Called before a live inode is used or returned; set while a restore is being settled. */
  beforeUse: ((ino: number) => void) | undefined = undefined;

  /** Called when the kernel learns of a node. */
  onTold: () => void = () => {};

  constructor(
    readonly onUnlinkedForgotten: (ino: number) => void,
    readonly onForgotten: (ino: number) => void,
    /** A live inode last used this many new inodes ago, or earlier, is old. */
    epochInodes?: number,
  ) {
    this.#counts = new LookupCounts(epochInodes);
  }

  get liveCount(): number {
    return this.#counts.size + this.#reidentified.size;
  }

  get specialCount(): number {
    return this.#specials.size;
  }

  /** Nodes that the kernel has forgotten since the mount. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Size of the table of live inodes. */
  get bytes(): number {
    return this.#counts.bytes;
  }

  get slots(): number {
    return this.#counts.slots;
  }

  /** As `LookupCounts.ages`: of live inodes under their first id. */
  ages(): number[] {
    return this.#counts.ages();
  }

  oldNodes(place: number, slots: number, minAge: number, max: number, found: number[]): number {
    return this.#counts.oldNodes(place, slots, minAge, max, found);
  }

  /** A live inode's data is in use: the kernel should keep the node. */
  use(ino: number): void {
    this.#counts.use(ino);
  }

  /** The special nodes made, or returned here, the longest ago. */
  oldSpecials(max: number): SpecialNode[] {
    const taken: SpecialNode[] = [];
    for (const node of this.#specials.values()) {
      if (taken.length >= max) break;
      taken.push(node);
    }
    for (const node of taken) {
      this.#specials.delete(node.id);
      this.#specials.set(node.id, node);
    }
    return taken;
  }

  newId(): number {
    return this.#nextId++;
  }

  /** The live inode of a node id, or the special node. Throws ESTALE. */
  resolve(id: number): number | SpecialNode {
    if (id < FIRST_SPECIAL) {
      if (this.beforeUse !== undefined) this.beforeUse(id);
      if (this.#specials.size === 0) return id;
      return this.#specials.get(id) ?? id;
    }
    const live = this.#reidentified.get(id);
    if (live !== undefined) {
      if (this.beforeUse === undefined) return live.ino;
      this.beforeUse(live.ino);
      if (this.#reidentified.has(id)) return live.ino;
    }
    const special = this.#specials.get(id);
    if (special === undefined) throw new FsError('ESTALE', 'node', String(id));
    return special;
  }

  /** The current id of a live inode; the kernel may not know it yet. */
  liveId(ino: number): number {
    const id = this.#newIds.get(ino);
    if (id !== undefined) return id;
    if (this.#specials.size === 0 || !this.#specials.has(ino)) return ino;
    const fresh = this.newId();
    this.#newIds.set(ino, fresh);
    this.#reidentified.set(fresh, { ino, lookups: 0 });
    return fresh;
  }

  /** Returns a live inode's node id and counts one lookup. */
  addLookup(ino: number): number {
    if (this.beforeUse !== undefined) this.beforeUse(ino);
    const id = this.liveId(ino);
    this.#count(id);
    return id;
  }

  /** As `addLookup`, but counts only when `used` accepts the entry. */
  offer(ino: number, used: (id: number) => boolean): boolean {
    if (this.beforeUse !== undefined) this.beforeUse(ino);
    const id = this.liveId(ino);
    if (!used(id)) {
      this.#dropUnused(id);
      return false;
    }
    this.#count(id);
    return true;
  }

  #count(id: number): void {
    if (id < FIRST_SPECIAL) {
      this.#counts.add(id);
      this.onTold();
      return;
    }
    const live = this.#reidentified.get(id);
    if (live !== undefined) live.lookups++;
  }

  #dropUnused(id: number): void {
    const live = this.#reidentified.get(id);
    if (live !== undefined && live.lookups === 0) this.#dropReidentified(id, live);
  }

  #dropReidentified(id: number, live: Reidentified): void {
    this.#reidentified.delete(id);
    if (this.#newIds.get(live.ino) === id) this.#newIds.delete(live.ino);
  }

  /** True when the kernel holds the live inode under its present id. */
  knowsLive(ino: number): boolean {
    if (ino === ROOT_INO) return true;
    const id = this.#newIds.get(ino);
    if (id !== undefined) return (this.#reidentified.get(id)?.lookups ?? 0) > 0;
    return !this.#specials.has(ino) && this.#counts.has(ino);
  }

  /** Adds a special node. `addSpecialLookup` counts its first lookup. */
  add(node: SpecialNode): void {
    this.#specials.set(node.id, node);
    this.#show(node.ino, 1);
  }

  addSpecialLookup(node: SpecialNode): number {
    node.lookups++;
    this.onTold();
    return node.id;
  }

  /** As `offer`, for a special node that may have been made for this entry. */
  offerSpecial(node: SpecialNode, used: (id: number) => boolean): boolean {
    if (used(node.id)) {
      node.lookups++;
      this.onTold();
      return true;
    }
    if (node.lookups === 0) this.#drop(node);
    return false;
  }

  /**
   * Makes the live inode's present id, which the kernel knows, stand for a
   * stale node with the same lookups.
   */
  makeStale(ino: number, make: (id: number) => SpecialNode): number {
    const id = this.#newIds.get(ino) ?? ino;
    const live = this.#reidentified.get(id);
    const stale = make(id);
    if (live !== undefined) {
      stale.lookups = live.lookups;
      this.#dropReidentified(id, live);
    }
    this.#unlinked.delete(ino);
    this.#specials.set(id, stale);
    this.#show(ino, 1);
    return id;
  }

  /** The inode has no name left, but the kernel holds it. */
  noteUnlinked(ino: number): void {
    this.#unlinked.add(ino);
  }

  noteLinked(ino: number): void {
    this.#unlinked.delete(ino);
  }

  isUnlinked(ino: number): boolean {
    return this.#unlinked.has(ino);
  }

  /** Inodes without a name that the kernel holds. */
  unlinked(): number[] {
    return [...this.#unlinked];
  }

  forget(id: number, count: number): void {
    if (id === ROOT_INO) return;
    const special = this.#specials.get(id);
    if (special !== undefined) {
      if (id < FIRST_SPECIAL) {
        if (this.#counts.subtract(id, count) === 0) this.#drop(special);
        return;
      }
      special.lookups -= count;
      if (special.lookups <= 0) this.#drop(special);
      return;
    }
    if (id < FIRST_SPECIAL) {
      if (this.#counts.subtract(id, count) === 0) this.#liveForgotten(id);
      return;
    }
    const live = this.#reidentified.get(id);
    if (live === undefined) return;
    live.lookups -= count;
    if (live.lookups > 0) return;
    this.#dropReidentified(id, live);
    this.#liveForgotten(live.ino);
  }

  #drop(node: SpecialNode): void {
    this.#forgotten++;
    this.#specials.delete(node.id);
    node.forgotten();
    if (node.ino === undefined) return;
    this.#show(node.ino, -1);
    this.#perhapsForgotten(node.ino);
  }

  #show(ino: number | undefined, change: 1 | -1): void {
    if (ino === undefined) return;
    const count = (this.#shown.get(ino) ?? 0) + change;
    if (count > 0) this.#shown.set(ino, count);
    else this.#shown.delete(ino);
  }

  #liveForgotten(ino: number): void {
    this.#forgotten++;
    if (this.#unlinked.delete(ino)) this.onUnlinkedForgotten(ino);
    this.#perhapsForgotten(ino);
  }

  #perhapsForgotten(ino: number): void {
    if (!this.isKnown(ino)) this.onForgotten(ino);
  }

  /** A node, live or special, shows the inode. */
  isKnown(ino: number): boolean {
    return this.#shown.has(ino) || this.knowsLive(ino);
  }
}
