/**
 * The commands about branches, with what they do to snapshots and the history:
 * fork, delete, rename, switch (format.md, rules B1–B6). Each is one
 * transaction (rule D7) and takes the same short time, however large the tree is.
 */
import { CommandError } from '../../lib/errors.js';
import type { BranchRecord } from '../catalog.js';
import type { SnapshotCommands } from '../snapshots/snapshot-commands.js';
import type { TreeMoved, TreeMoves } from '../snapshots/tree-moves.js';
import type { UndoDirection } from '../snapshots/undo-line.js';
import type { View } from '../view.js';
import type { Volume } from '../volume.js';
import { keepPartings } from '../merge/partings.js';
import { MAIN_BRANCH } from './branch.js';

/** Nothing: the live tree of the mount that is asked. */
export interface ForkRequest {
  snapshot?: string;
  branch?: string;
  /** The name of a snapshot or a branch, whichever there is. */
  of?: string;
}

export interface ForkAnswer {
  command: 'branch';
  name: string;
  forkedFrom: BranchRecord['from'];
  /** The layer that both see. */
  layer: number;
  newLayer: number;
}

export interface BranchDeleted {
  command: 'branch-delete';
  name: string;
  /** The snapshot of what it held; absent: there was nothing of its own, or nothing is kept. */
  undo?: string;
  /** Undo snapshots of the branch that went with it. */
  pruned: string[];
}

export interface SwitchAnswer {
  command: 'switch';
  name: string;
  /** The branch that the mount showed until now. */
  leftBranch: string;
}

export interface BranchRenamed {
  command: 'branch-rename';
  name: string;
  newName: string;
}

export class BranchCommands {
  constructor(
    readonly volume: Volume,
    readonly commands: SnapshotCommands,
    readonly moves: TreeMoves,
  ) {}

  #stored<A>(change: () => A): A {
    const answer = this.volume.core.withReserve(change);
    this.volume.commit();
    return answer;
  }

  /** Throws bad-branch-name, branch-exists, no-such-snapshot, no-such-branch. */
  fork(name: string, request: ForkRequest, source: string): ForkAnswer {
    return this.#stored(() => this.#fork(name, request, source));
  }

  #fork(name: string, request: ForkRequest, source: string): ForkAnswer {
    const { commands } = this;
    const { branches, catalog } = commands;
    commands.writable();
    branches.checkNew(name);
    const { fork, from } = this.#forkPoint(request);
    const { number } = branches.add(name, fork, from, source);
    catalog.addHistory({
      command: 'branch',
      name,
      layer: fork,
      newLayer: number,
      source,
      outcome: 'forked',
      details: { forkedFrom: from },
    });
    return { command: 'branch', name, forkedFrom: from, layer: fork, newLayer: number };
  }

  /** Of a live tree: its open layer is sealed without a name, unless nothing is in it. */
  #forkPoint(request: ForkRequest): { fork: number; from: BranchRecord['from'] } {
    const { commands } = this;
    const { snapshot, branch } = request.of === undefined ? request : this.#named(request.of);
    if (snapshot !== undefined) {
      return { fork: commands.require(snapshot).layer, from: { snapshot } };
    }
    const name = branch ?? this.commands.seat.branch.name;
    return { fork: this.seal(name), from: { branch: name } };
  }

  #named(name: string): ForkRequest {
    const { branches, catalog } = this.commands;
    const isBranch = branches.has(name);
    if (isBranch && catalog.snapshots.has(name)) {
      throw new CommandError(
        'ambiguous-name',
        'EINVAL',
        `${name} is a snapshot and a branch: say which (--snapshot or --branch; ` +
          `snapshot=${name} or branch=${name} in the control file)`,
        { name },
      );
    }
    return isBranch ? { branch: name } : { snapshot: name };
  }

  /** Throws no-such-branch, branch-in-use. What it held stays as an undo snapshot. */
  delete(name: string, source: string): BranchDeleted {
    return this.#stored(() => this.#delete(name, source));
  }

  #delete(name: string, source: string): BranchDeleted {
    const { commands, moves } = this;
    const { branches, catalog, core } = commands;
    commands.writable();
    branches.require(name);
    if (name === MAIN_BRANCH) {
      throw new CommandError('branch-in-use', 'EBUSY', 'main is the live tree of the volume', {
        name,
      });
    }
    branches.refuseMounted(name);
    const layer = branches.openLayer(name);
    const shown = core.isEmptyLayer(layer.number) ? layer.parent : layer.number;
    const record = catalog.branches.get(name);
    const isForkOnly = shown === record?.fork;
    const own = catalog.list().filter(({ kind, branch }) => kind === 'undo' && branch === name);
    branches.remove(name);
    const tops = new Map(branches.names().map((one) => [one, branches.openLayer(one).number]));
    if (record !== undefined) keepPartings(catalog, core.layers, tops, record);
    const nowMs = core.clock.nowMs();
    const answer: BranchDeleted = { command: 'branch-delete', name, pruned: [] };
    if (!isForkOnly && !commands.isNamed(shown) && core.options.keepUndo > 0) {
      const note = `before branch --delete ${name}`;
      const kept = moves.keepAsUndo(shown, nowMs, source, note);
      answer.undo = kept.name;
      answer.pruned.push(...moves.pruneUndo([kept]).pruned);
    }
    for (const snapshot of own) {
      if (commands.locks.isLocked(snapshot.uuid)) continue;
      catalog.deleteSnapshot(snapshot.name);
      answer.pruned.push(snapshot.name);
    }
    catalog.addHistory({
      timeMs: nowMs,
      command: 'branch-delete',
      name,
      layer: shown,
      source,
      outcome: 'deleted',
      details: { undo: answer.undo, pruned: answer.pruned },
    });
    return answer;
  }

  /** An `undo` that goes that way passes two commands that belong together. */
  undoGoesOn(direction: UndoDirection): boolean {
    return this.moves.undoGoesOn(direction);
  }

  /** The layer of a branch's tree as it is now, sealed; the branch goes on over it. */
  seal(name: string): number {
    const { branches, core } = this.commands;
    branches.require(name);
    const { number, parent } = branches.openLayer(name);
    return core.isEmptyLayer(number) ? parent : branches.advance(name).sealed.number;
  }

  /**
   * The name of a snapshot that shows a sealed state of a branch; a new one, which is pruned as undo
   * snapshots are, if there is none. Undefined: the volume keeps none.
   */
  shownAt(layer: number, branch: string, source: string): string | undefined {
    const { commands, moves, volume } = this;
    const known = commands.catalog.list().find((snapshot) => snapshot.layer === layer);
    if (known !== undefined) return known.name;
    const { core } = volume;
    if (core.options.keepUndo === 0) return undefined;
    return this.#stored(() => {
      const note = `${branch} as it was when its merge was refused`;
      const kept = moves.keepAsUndo(layer, core.clock.nowMs(), source, note);
      moves.pruneUndo([kept]);
      // It is no step on the way back.
      commands.line.noteKnown();
      return kept.name;
    });
  }

  /** Throws no-such-branch, bad-branch-name, branch-exists. */
  rename(from: string, to: string, source: string): BranchRenamed {
    return this.#stored(() => this.#rename(from, to, source));
  }

  #rename(from: string, to: string, source: string): BranchRenamed {
    const { branches, catalog } = this.commands;
    this.commands.writable();
    branches.require(from);
    if (from === MAIN_BRANCH) {
      throw new CommandError('branch-in-use', 'EBUSY', 'main keeps its name: peers know it', {
        name: from,
      });
    }
    branches.checkNew(to);
    branches.rename(from, to);
    catalog.addHistory({
      command: 'branch-rename',
      name: from,
      layer: branches.openLayer(to).number,
      source,
      outcome: 'renamed',
      details: { newName: to },
    });
    return { command: 'branch-rename', name: from, newName: to };
  }

  /**
   * The mount's live tree becomes another branch; each goes on where it was left. Throws
   * no-such-branch, branch-in-use.
   */
  switchTo(name: string, source: string): SwitchAnswer & { from: View; to: View } {
    const { volume } = this;
    const { answer, from, to } = volume.core.withReserve(() => {
      const moved = this.#switchTo(name, source);
      if (!volume.isStandby) volume.names.reapOrphans();
      return moved;
    });
    volume.leaveBehind(from);
    return { ...answer, from, to };
  }

  #switchTo(name: string, source: string): TreeMoved<SwitchAnswer> {
    const { branches, catalog, seat } = this.commands;
    this.commands.writable();
    branches.require(name);
    if (name === seat.branch.name) {
      throw new CommandError('branch-in-use', 'EBUSY', `this mount shows ${name} already`, {
        name,
      });
    }
    branches.refuseMounted(name);
    const left = seat.branch;
    const from = left.live;
    // Programs go on reading files that they had open: as they were, not as the branch goes on.
    branches.advance(left.name, undefined, true);
    const branch = branches.open(name);
    seat.moveTo(branch);
    branches.close(left);
    if (seat.isRemembered) catalog.putShownBranch(name);
    this.commands.addHistory({
      command: 'switch',
      name,
      layer: from.top,
      newLayer: branch.live.top,
      source,
      outcome: `from ${left.name}`,
    });
    return { answer: { command: 'switch', name, leftBranch: left.name }, from, to: branch.live };
  }
}
