/**
 * The commands that make the live tree another one, and take that back:
 * restore and undo (native-notes/design.md, row V5; format.md, rules U1–U4).
 * Each takes the same short time, however large the tree is: the open layer is
 * sealed, kept under the name of an undo snapshot, and a new one begins.
 *
 * What must hold: nothing that programs have written is lost, unless whoever
 * restores asks for that (`keepsUndo`).
 */
import { CommandError } from '../../lib/errors.js';
import { invariant } from '../../lib/invariant.js';
import { automaticNote } from '../../format/text/note.js';
import type { Catalog, Snapshot } from '../catalog.js';
import { MAIN_BRANCH, type Seat } from '../branches/branch.js';
import type { VolumeCore } from '../core.js';
import type { Namespace } from '../names/namespace.js';
import type { SoftLocks } from '../locks/soft-locks.js';
import type { View } from '../view.js';
import { type SnapshotCommands, timeName } from './snapshot-commands.js';
import {
  stepText,
  type ToldStep,
  type UndoDirection,
  type UndoLine,
  type UndoPlan,
  type UndoStep,
} from './undo-line.js';

interface Moved {
  name: string;
  layer: number;
  newLayer: number;
  /** The snapshot of the tree as it was; absent: it was the same, or was not to be kept. */
  undo?: string;
  /** Undo snapshots that the policy deleted. */
  pruned: string[];
  /** Undo snapshots that the policy would have deleted, but they are locked. */
  locked?: string[];
}

export interface RestoreAnswer extends Moved {
  command: 'restore';
  /** Why there is no `undo`: the tree was the same already, or its state was not to be kept. */
  outcome: 'restored' | 'unchanged' | 'not kept';
}

/** What `undo` does, or would do. */
interface UndoTold {
  command: 'undo';
  direction: UndoDirection;
  /** The commands taken back, or given again, in this order. */
  passed: ToldStep[];
  /** What becomes another one. */
  concerns: 'tree' | 'base';
  /** The snapshot that it becomes. */
  name: string;
}

export interface PlannedUndo extends UndoTold {
  dryRun: true;
}

/** What `undo` and `undo --back` do next; null: nothing. */
export interface UndoNext {
  next: UndoTold | null;
  nextBack: UndoTold | null;
}

export interface UndoAnswer extends Moved, UndoTold, UndoNext {}

/** An apply that `undo` passes: what the base becomes, in this order. */
export interface BaseUndo {
  told: UndoTold;
  timeMs: number;
  direction: UndoDirection;
  states: { paths: string[]; target: Snapshot }[];
}

export interface TreeMoved<A> {
  answer: A;
  from: View;
  to: View;
}

/** What to do with the state that the tree leaves. */
interface Leaving {
  source: string;
  openLayerIsEmpty: boolean;
  /** The note of its undo snapshot; undefined: the state is not kept. */
  note: string | undefined;
}

/** A merge whose tree is ready. */
interface MergedTree {
  branch: string;
  /** The sealed layer of the tree as it was. */
  left: number;
  /** The sealed layer of the merged tree. */
  layer: number;
  /** Files without a name come from a tree that programs do not have open. */
  reapsOrphans: boolean;
  source: string;
  /** Absent: not known yet. */
  counts: Record<string, number> | undefined;
}

/** A command that changes the live tree in place, and how it is shown. */
export type TreeCommand = Pick<UndoStep, 'command' | 'name' | 'detail'>;

export class TreeMoves {
  readonly #core: VolumeCore;
  readonly #seat: Seat;
  readonly #catalog: Catalog;
  readonly #commands: SnapshotCommands;
  readonly #namespace: Namespace;
  readonly #locks: SoftLocks;

  constructor(commands: SnapshotCommands, namespace: Namespace) {
    this.#commands = commands;
    this.#core = commands.core;
    this.#seat = commands.seat;
    this.#catalog = commands.catalog;
    this.#locks = commands.locks;
    this.#namespace = namespace;
  }

  /** `keepsUndo` false: what the tree is now is given up. */
  restore(
    name: string,
    source: string,
    openLayerIsEmpty: boolean,
    keepsUndo = true,
  ): TreeMoved<RestoreAnswer> {
    this.checkMovable();
    const target = this.#commands.require(name);
    const timeMs = this.#core.clock.nowMs();
    const note = keepsUndo && this.#keepUndo > 0 ? `before restore ${name}` : undefined;
    const { left, isSame, ...moved } = this.#moveTo(target, { source, openLayerIsEmpty, note });
    const step = { command: 'restore', name, timeMs };
    if (left !== undefined && !isSame) this.#line.push({ ...step, before: left.uuid });
    else if (!isSame) this.#line.clear({ ...step, why: 'no-undo' });
    const { undo, pruned, locked } = moved.answer;
    const outcome = undo !== undefined ? 'restored' : isSame ? 'unchanged' : 'not kept';
    this.#commands.addHistory({
      timeMs,
      command: 'restore',
      name,
      layer: target.layer,
      newLayer: moved.to.top,
      source,
      outcome: outcome === 'not kept' ? 'restored, without an undo snapshot' : 'restored',
      details: { undo, pruned, locked },
    });
    return { ...moved, answer: { command: 'restore', outcome, ...moved.answer } };
  }

  /** What `undo` would do. Throws nothing-to-undo, cannot-undo, undo-gone, standby. */
  planUndo(direction: UndoDirection | undefined): PlannedUndo {
    this.checkMovable();
    return { ...told(this.#line.plan(direction)), dryRun: true };
  }

  /** When `undo` passes an apply: what the base becomes. Throws as `planUndo`. */
  planBaseUndo(direction: UndoDirection | undefined): BaseUndo | undefined {
    const plan = this.#line.plan(direction);
    const [step] = plan.steps;
    if (plan.base === undefined || step === undefined) return undefined;
    const { timeMs } = step;
    return { told: told(plan), timeMs, direction: plan.direction, states: plan.base };
  }

  /** What `undo` does next. */
  get nextUndo(): UndoNext {
    return {
      next: toldOrNull(this.#line.tryPlan()),
      nextBack: toldOrNull(this.#line.tryPlan('back')),
    };
  }

  /** See `UndoLine.goesOn`. */
  undoGoesOn(direction: UndoDirection): boolean {
    return this.#line.goesOn(direction);
  }

  /** Takes the last command back, or goes forward again after that. Throws as `planUndo`. */
  undo(
    direction: UndoDirection | undefined,
    source: string,
    openLayerIsEmpty: boolean,
  ): TreeMoved<UndoAnswer> {
    this.checkMovable();
    const plan = this.#line.plan(direction);
    invariant(plan.base === undefined, 'the undo of an apply moves the base');
    const timeMs = this.#core.clock.nowMs();
    const what = plan.steps.map(stepText).join(', ');
    const note = plan.direction === 'back' ? `before undo of ${what}` : `before redo of ${what}`;
    const { left, isSame, ...moved } = this.#moveTo(plan.target, {
      source,
      openLayerIsEmpty,
      note,
    });
    this.#line.moved(plan, left ?? plan.target);
    const { undo, pruned, locked } = moved.answer;
    this.#commands.addHistory({
      timeMs,
      command: 'undo',
      name: plan.target.name,
      layer: plan.target.layer,
      newLayer: moved.to.top,
      source,
      outcome: plan.direction === 'back' ? `took back ${what}` : `did ${what} again`,
      details: { direction: plan.direction, undo, pruned, locked },
    });
    const answer = { ...moved.answer, ...told(plan), ...this.nextUndo };
    return { ...moved, answer };
  }

  /**
   * The first thing that a command does which changes the live tree file by file: what the tree is
   * now stays as an undo snapshot, and `undo` leads back to it. Returns its name; undefined: the
   * volume keeps no undo snapshots.
   */
  leaveUndo(what: TreeCommand, source: string, openLayerIsEmpty: boolean): string | undefined {
    this.checkMovable();
    const timeMs = this.#core.clock.nowMs();
    if (this.#keepUndo === 0) {
      this.#line.clear({ ...what, timeMs, why: 'no-undo' });
      return undefined;
    }
    const same = this.#undoSnapshotBelow(openLayerIsEmpty);
    const note = `before ${stepText(what)}`;
    let left = same;
    if (left === undefined) {
      const { sealed } = this.#commands.switchTo();
      left = this.keepAsUndo(sealed.number, timeMs, source, note);
    }
    this.#line.push({ ...what, timeMs, before: left.uuid });
    this.pruneUndo([left]);
    return left.name;
  }

  /** The live tree goes on over a merged one; `undo` leads back to what it was. */
  merged(what: MergedTree): Omit<TreeMoved<never>, 'answer'> & { undo?: string; pruned: string[] } {
    const { branch, left, layer, source, counts } = what;
    const timeMs = this.#core.clock.nowMs();
    const from = this.#seat.live;
    const step = { command: 'merge', name: branch, timeMs };
    let kept: Snapshot | undefined;
    if (this.#keepUndo > 0) {
      const known = this.#catalog.list().find((s) => s.kind === 'undo' && s.layer === left);
      kept = known ?? this.keepAsUndo(left, timeMs, source, `before merge ${branch}`);
      this.#line.push({ ...step, before: kept.uuid });
    } else this.#line.clear({ ...step, why: 'no-undo' });
    const { live } = this.#commands.switchTo(layer);
    const { pruned } = this.pruneUndo(kept === undefined ? [] : [kept]);
    if (what.reapsOrphans) this.#namespace.reapOrphans();
    this.#commands.addHistory({
      timeMs,
      command: 'merge',
      name: branch,
      layer,
      newLayer: live.top,
      source,
      outcome: 'merged',
      details: { undo: kept?.name, pruned, ...counts },
    });
    return { from, to: live, pruned, ...(kept !== undefined && { undo: kept.name }) };
  }

  get #line(): UndoLine {
    return this.#commands.line;
  }

  get #keepUndo(): number {
    return this.#core.options.keepUndo;
  }

  /** Throws standby, read-only, volume-failed. */
  checkMovable(): void {
    this.#commands.writable();
    if (!this.#seat.isStandby) return;
    throw new CommandError(
      'standby',
      'EROFS',
      'the volume is a standby: its tree comes from the primary (shadowfs promote changes that)',
    );
  }

  /** The undo snapshot that shows just what the live tree shows. */
  #undoSnapshotBelow(openLayerIsEmpty: boolean): Snapshot | undefined {
    if (!openLayerIsEmpty) return undefined;
    const { parent } = this.#core.layers.get(this.#seat.live.top);
    return this.#catalog.list().find(({ kind, layer }) => kind === 'undo' && layer === parent);
  }

  #moveTo(
    target: Snapshot,
    { source, openLayerIsEmpty, note }: Leaving,
  ): TreeMoved<Moved> & { left?: Snapshot; isSame: boolean } {
    const nowMs = this.#core.clock.nowMs();
    const from = this.#seat.live;
    // An empty layer over a snapshot is equal to that snapshot.
    const isSame = openLayerIsEmpty && this.#core.layers.get(from.top).parent === target.layer;
    const known = this.#undoSnapshotBelow(openLayerIsEmpty);
    const { sealed, live } = this.#commands.switchTo(target.layer);
    let left: Snapshot | undefined;
    if (!isSame && note !== undefined) {
      left = known ?? this.keepAsUndo(sealed.number, nowMs, source, note);
    }
    const { pruned, locked } = this.pruneUndo([target, ...(left === undefined ? [] : [left])]);
    this.#namespace.reapOrphans();
    const answer: Moved = {
      name: target.name,
      layer: target.layer,
      newLayer: live.top,
      ...(left !== undefined && { undo: left.name }),
      pruned,
      ...(locked.length > 0 && { locked }),
    };
    return { answer, from, to: live, isSame, ...(left !== undefined && { left }) };
  }

  /** Keeps a state that the live tree had as an undo snapshot. */
  keepAsUndo(layer: number, nowMs: number, source: string, note: string): Snapshot {
    return this.#catalog.addSnapshot({
      name: this.#commands.freeName(`undo-${timeName(nowMs)}`),
      layer,
      fileset: this.#core.fileset,
      kind: 'undo',
      createdMs: nowMs,
      source,
      ...this.#commands.madeOn,
      note: automaticNote(note),
    });
  }

  /** Of this branch: keeps the newest `keepUndo` undo snapshots; never deletes one in use, nor a locked one. */
  pruneUndo(inUse: readonly Snapshot[]): { pruned: string[]; locked: string[] } {
    const { name } = this.#seat.branch;
    const undo = this.#catalog
      .list()
      .filter(({ kind, branch = MAIN_BRANCH }) => kind === 'undo' && branch === name);
    const surplus = Math.max(0, undo.length - this.#keepUndo);
    const old = undo.slice(0, surplus).filter(({ uuid }) => inUse.every((s) => s.uuid !== uuid));
    const isLocked = ({ uuid }: Snapshot): boolean => this.#locks.isLocked(uuid);
    const pruned = old.filter((s) => !isLocked(s)).map(({ name }) => name);
    for (const name of pruned) this.#catalog.deleteSnapshot(name);
    return { pruned, locked: old.filter(isLocked).map(({ name }) => name) };
  }
}

function told({ direction, steps, target, base }: UndoPlan): UndoTold {
  const passed = steps.map(({ before: _before, base: _base, isJoined: _joined, ...step }) => step);
  const concerns = base === undefined ? 'tree' : 'base';
  return { command: 'undo', direction, passed, concerns, name: target.name };
}

function toldOrNull(plan: UndoPlan | undefined): UndoTold | null {
  return plan === undefined ? null : told(plan);
}
