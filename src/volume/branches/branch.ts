/**
 * Branches: layers that take changes, each with a name, over one store
 * (format.md, rules B1–B5). The live tree of a volume is its branch `main`.
 *
 * What must hold: a change is in the open layer of one branch, and no other
 * branch sees it; what was written before a fork is seen by both.
 *
 * Doors: branch, shown-branches.
 * Doors inside volume/: branch-commands, branches.
 */
import { FsError } from '../../lib/errors.js';
import type { LayerChanges } from '../commit/txg.js';
import type { VolumeCore } from '../core.js';
import type { View } from '../view.js';

export const MAIN_BRANCH = 'main';

/** A branch that somebody works in: its live tree. */
export class Branch {
  #live: View;
  /** How many mounts show it. */
  seats = 0;
  /** Says where that is, while one does. */
  where: (() => string) | undefined;

  constructor(
    readonly core: VolumeCore,
    public name: string,
    live: View,
  ) {
    this.#live = live;
  }

  get live(): View {
    return this.#live;
  }

  get isMain(): boolean {
    return this.name === MAIN_BRANCH;
  }

  setLive(view: View): void {
    this.core.retire(this.#live, view);
    this.#live = view;
    this.core.shareCaches();
  }
}

/** The branch that a mount shows: `switch` changes which one that is. */
export class Seat {
  /** What `switch` chooses here is what the volume's next mount shows. */
  isRemembered = true;
  /** Where the mount is. */
  where: (() => string) | undefined;

  constructor(public branch: Branch) {}

  get live(): View {
    return this.branch.live;
  }

  /** Shows another branch, which is opened already. */
  moveTo(branch: Branch): void {
    this.branch.where = undefined;
    branch.where = this.where;
    this.branch = branch;
  }

  /** A standby's main branch takes no changes; commands and received layers do. */
  get isStandby(): boolean {
    return this.branch.isMain && this.branch.core.isStandby;
  }

  /** The open txg's changes in the open layer. Throws when nothing may change. */
  changes(): LayerChanges {
    if (this.isStandby) throw new FsError('EROFS', 'write', 'a standby');
    return this.branch.core.changesIn(this.branch.live.top);
  }
}
