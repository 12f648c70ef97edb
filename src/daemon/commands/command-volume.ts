/** What commands ask of a volume. Generic in its view, so that tests can give another one. */
import type { CommandArguments } from '../../control/command.js';
import type { OptionChanges } from '../../format/text/volume-options.js';
import type { Deferred } from '../../lib/deferred.js';
import type { SnapshotSet } from '../../volume/snapshots/snapshot-sets.js';

export type ForkRequest = NonNullable<CommandArguments['fork']>;
type UndoDirection = NonNullable<CommandArguments['direction']>;

/** The answer of a change, and the views if it has moved the live tree. */
export interface TreeMove<V, A = object> {
  answer: A;
  moved?: { from: V; to: V };
}

/** The part of a volume that commands need. `V` is its view. */
export interface CommandVolume<V> {
  /** Which branch's live tree the commands are about. */
  readonly seat: { branch: { name: string } };
  save(name: string | undefined, source: string, note?: string): object;
  restore(name: string, source: string, keepsUndo?: boolean): { from: V; to: V };
  undo(direction: UndoDirection | undefined, source: string): { from: V; to: V };
  planUndo(direction: UndoDirection | undefined): {
    concerns: 'tree' | 'base';
    direction: UndoDirection;
  };
  restoreFiles(name: string, paths: readonly string[], source: string): object;
  takeTheirs(paths: readonly string[], source: string): object;
  deleteSnapshot(name: string, source: string, force?: boolean): object;
  readonly sets: {
    delete(set: SnapshotSet, source: string, force?: boolean): object;
    prune(set: SnapshotSet, keep: CommandArguments['keep'], source: string): object;
  };
  lockSnapshot(name: string, reason: string, source: string): object;
  unlockSnapshot(name: string, reason: string | undefined, source: string): object;
  releaseLocks(from: string, source: string): object;
  readonly schedules: { set(text: string, source: string): object };
  readonly optionCommands: { set(changes: OptionChanges, source: string): object };
  readonly pulls: { set(text: string, source: string): object };
  readonly pruned: { set(text: string, source: string): object };
  runSchedule(): object;
  renameSnapshot(from: string, to: string, source: string): object;
  readonly branchCommands: {
    fork(name: string, from: ForkRequest, source: string): object;
    delete(name: string, source: string): object;
    undoGoesOn(direction: UndoDirection): boolean;
    rename(from: string, to: string, source: string): object;
    switchTo(name: string, source: string): { from: V; to: V };
  };
  readonly roles: {
    promote(source: string, random: () => number, epoch?: number): TreeMove<V>;
    demote(to: string | undefined, source: string, epoch?: number): TreeMove<V>;
  };
  compact(): Deferred<Record<string, unknown>>;
  readonly compactProgress: { phase: string; done: number; total: number } | undefined;
  latest(): { name: string } | undefined;
  commit(): number;
  whenCommitted(ticket: number): Deferred<void>;
}
