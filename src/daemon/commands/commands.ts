/**
 * The commands of a mounted volume, in stages: write out the programs' writes
 * (quiesce), switch in memory, make it durable, make the kernel's caches agree.
 * Runs in the serving thread, so that nothing comes between the switch and what
 * follows it in the same turn.
 *
 * What must hold: one command at a time; an answer comes only when the command
 * is durable; a command that fails before the switch leaves everything as it was.
 *
 * Doors: command-parts, command-volume, commands, inspect, space-answer.
 * Doors inside daemon/: applying, command-order, freezing, inspector, merge-lines, merging, problems,
 *   filling, save-schedule, space-watch.
 */
import { CommandError, messageOf } from '../../lib/errors.js';
import { after, Deferred, failing } from '../../lib/deferred.js';
import { settledWith } from '../../lib/work.js';
import {
  type Answer,
  type CommandArguments,
  type CommandName,
  type Commands,
  failureAnswer,
} from '../../control/command.js';
import { LATEST_NAME } from '../../format/text/grammar.js';
import { MAIN_BRANCH } from '../../volume/branches/branch.js';
import type { SnapshotSet } from '../../volume/snapshots/snapshot-sets.js';
import { CommandOrder, type CommandProgress } from './command-order.js';
import type { CommandParts, InspectRequest } from './command-parts.js';
import type { ForkRequest, TreeMove } from './command-volume.js';
import type { AskedCommand, RoleCommand } from '../peers/agent-messages.js';
import { round } from '../../lib/round.js';
import { mergeAndApply } from './merge-apply.js';
import { revertHint } from './revert-hint.js';

export class VolumeCommands<V> implements Commands {
  readonly #parts: CommandParts<V>;
  readonly #order: CommandOrder;
  /** Changes given here that have not ended. */
  #pending = 0;
  #whenNone: Deferred<void>[] = [];
  #result: Answer | undefined;
  readonly #watchers: ((answer: Answer) => void)[] = [];

  constructor(parts: CommandParts<V>) {
    this.#parts = parts;
    this.#order = parts.order ?? new CommandOrder();
  }

  /** The last command's answer. */
  get result(): Answer | undefined {
    return this.#result;
  }

  /** Calls the listener with each command's answer when it is done. */
  watch(listener: (answer: Answer) => void): void {
    this.#watchers.push(listener);
  }

  get isIdle(): boolean {
    const { changes, inspections, peerings, roleChanges } = this.#order;
    return [changes, inspections, peerings, roleChanges].every(({ isIdle }) => isIdle);
  }

  progress(): CommandProgress | undefined {
    const { freeze, nowMs, volume } = this.#parts;
    const copied = freeze.isRunning ? freeze.progress : undefined;
    return this.#order.progress(nowMs(), copied, volume.compactProgress);
  }

  /** Settles when no change that was given here is under way, or waits for its turn. */
  whenDone(): Deferred<void> {
    const done = new Deferred<void>();
    if (this.#pending === 0) done.resolve();
    else this.#whenNone.push(done);
    return done;
  }

  /** Runs a change when all earlier ones of the volume are done. */
  #inTurn(name: string, start: () => Deferred<Answer>): Deferred<Answer> {
    this.#pending++;
    const answer = this.#order.changes.run(name, start);
    const ended = (): void => {
      if (--this.#pending > 0) return;
      for (const waiting of this.#whenNone.splice(0)) waiting.resolve();
    };
    answer.settled(ended, ended);
    return answer;
  }

  run(command: CommandName, args: CommandArguments, source: string): Deferred<Answer> {
    const answer = this.#forPeople(command, this.#start(command, args, source));
    answer.settled(
      (done) => this.#finished(command, { ok: true, command, ...done }),
      (error) => this.#finished(command, failureAnswer(command, error)),
    );
    return answer;
  }

  /** Failures, with names in place of UUIDs. */
  #forPeople(command: CommandName, answer: Deferred<Answer>): Deferred<Answer> {
    return failing(answer, (error) => {
      if (!(error instanceof CommandError)) return error;
      const { code, errno, message, details } = error;
      const text = this.#parts.named(message) + revertHint(command, code);
      return new CommandError(code, errno, text, details);
    });
  }

  /**
   * Runs the schedule's save when it is due, in its turn; `result` stays that of a user's command.
   */
  runSchedule(): Deferred<Answer> {
    const answer = this.#change('scheduled', true, () => this.#parts.volume.runSchedule());
    answer.settled(
      ({ saved }) => {
        if (saved !== undefined) this.#tell({ ok: true, command: 'save', name: saved });
      },
      (error) => this.#parts.log(`a scheduled save failed: ${messageOf(error)}`),
    );
    return answer;
  }

  /** Stores everything that programs have written: for an unmount. */
  storeAll(): Deferred<Answer> {
    return this.#inTurn('store', () => {
      const timings = this.#begin();
      return after(this.#quiesce(timings), (): Deferred<Answer> => this.#commit(timings, {}));
    });
  }

  #finished(command: string, answer: Answer): void {
    this.#result = answer;
    this.#tell(answer);
    if (answer['ok'] === false) {
      this.#parts.log(`${command} failed: ${String(answer['code'])}: ${String(answer['message'])}`);
    }
  }

  refused(answer: Answer): void {
    this.#result = answer;
  }

  #tell(answer: Answer): void {
    for (const watcher of this.#watchers) watcher(answer);
  }

  #start(command: CommandName, args: CommandArguments, source: string): Deferred<Answer> {
    const { volume } = this.#parts;
    const { name } = args;
    switch (command) {
      case 'save':
        return this.#change(command, true, () => volume.save(name, source, args.note));
      case 'restore':
        return this.#moveTree(command, () => {
          const target = this.#resolved(required(name));
          const { from, to, ...answer } = volume.restore(target, source, args.keepsUndo);
          return { answer, moved: { from, to } };
        });
      case 'undo':
        return args.dryRun === true ? this.#previewUndo(args) : this.#undo(args, source);
      case 'restore-files':
        return this.#change(command, true, () =>
          volume.restoreFiles(this.#resolved(required(name)), args.paths ?? [], source),
        );
      case 'sync': {
        const { action = 'sync' } = args;
        if (action === 'keep') {
          return this.#change(command, false, () => volume.pruned.set(required(name), source));
        }
        if (action !== 'schedule') {
          return this.#order.peerings.run(command, () => this.#agent(action, args, source));
        }
        return this.#change(command, false, () => volume.pulls.set(required(name), source));
      }
      case 'group-save':
        return this.#order.peerings.run(command, () => this.#agent(command, args, source));
      case 'promote':
      case 'demote':
      case 'switchover':
        return this.#order.roleChanges.run(command, () => this.#changeRole(command, args, source));
      case 'revert':
        return this.#start('switchover', args, source);
      case 'delete':
        return this.#change(command, false, () =>
          args.set === undefined
            ? volume.deleteSnapshot(this.#resolved(required(name)), source, args.force)
            : volume.sets.delete(setOf(args), source, args.force),
        );
      case 'prune':
        return this.#change(command, false, () =>
          volume.sets.prune(setOf(args), args.keep, source),
        );
      case 'rename':
        return this.#change(command, false, () =>
          volume.renameSnapshot(required(name), required(args.to), source),
        );
      case 'branch':
        return this.#fork(required(name), args.fork ?? {}, source);
      case 'branch-delete':
        return this.#change(command, false, () =>
          volume.branchCommands.delete(required(name), source),
        );
      case 'branch-rename':
        return this.#change(command, false, () =>
          volume.branchCommands.rename(required(name), required(args.to), source),
        );
      case 'switch':
        return this.#moveTree(command, () => {
          const { from, to, ...answer } = volume.branchCommands.switchTo(required(name), source);
          return { answer, moved: { from, to } };
        });
      case 'merge':
        return args.dryRun === true ? this.#inspect(command, args) : this.#merge(args, source);
      case 'mount':
        // Beside other commands: it changes nothing in the volume.
        return this.#parts.mount({ mountpoint: required(name), ...args.mount });
      case 'lock':
        return this.#change(command, false, () =>
          volume.lockSnapshot(this.#resolved(required(name)), args.reason ?? '', source),
        );
      case 'unlock':
        return this.#change(command, false, () =>
          args.from === undefined
            ? volume.unlockSnapshot(this.#resolved(required(name)), args.reason, source)
            : volume.releaseLocks(args.from, source),
        );
      case 'schedule':
        return this.#change(command, false, () => volume.schedules.set(name ?? '', source));
      case 'options':
        return this.#change(command, false, () =>
          volume.optionCommands.set(args.changes ?? {}, source),
        );
      case 'apply':
        if (args.dryRun) return this.#inspect(command, args);
        if (args.resolve === 'theirs') {
          return this.#change(command, true, () => volume.takeTheirs(args.paths ?? [], source));
        }
        return this.#apply(args, source);
      case 'freeze':
        if (args.dryRun) return this.#inspect(command, args);
        return this.#freeze(args.force === true, source);
      case 'compact':
        // Beside other commands: it changes no tree.
        this.#order.compactStartedMs = this.#parts.nowMs();
        return volume.compact();
      case 'freeze-stop':
        return this.#parts.freeze.stop();
      case 'check':
      case 'diff':
      case 'log':
      case 'space':
      case 'versions':
        return this.#inspect(command, args);
      case 'peer-invite':
      case 'peer-join':
      case 'peer-remove':
        return this.#order.peerings.run(command, () => this.#parts.peering(command, args, source));
    }
  }

  /**
   * The agent carries it out when a peer is involved. The peer is asked only when the change has
   * its turn.
   */
  #changeRole(command: RoleCommand, args: CommandArguments, source: string): Deferred<Answer> {
    const { volume, agent, random, checkDemotion } = this.#parts;
    const { name, epoch, peerName } = args;
    if (command === 'promote') {
      const asked = epoch === undefined ? agent(command, args, source) : undefined;
      const promote = (): TreeMove<V> => volume.roles.promote(source, random, epoch);
      return asked ?? this.#moveTree(command, promote, MAIN_BRANCH);
    }
    if (command === 'switchover' || peerName !== undefined)
      return this.#agent(command, args, source);
    const demote = (): TreeMove<V> => {
      checkDemotion();
      return volume.roles.demote(name, source, epoch);
    };
    return this.#moveTree(command, demote, MAIN_BRANCH);
  }

  /** It waits for the command that runs, and then no other command waits for it. */
  #freeze(isForced: boolean, source: string): Deferred<Answer> {
    const { freeze } = this.#parts;
    freeze.begin();
    const ready = this.#inTurn('freeze', () => {
      const timings = this.#begin();
      return after(this.#quiesce(timings), (): Deferred<Answer> => this.#commit(timings, {}));
    });
    this.#order.freezeStartedMs = this.#parts.nowMs();
    const done = after(ready, () => freeze.run(isForced, source));
    const end = (): void => freeze.end();
    done.settled(end, end);
    return done;
  }

  #merge(args: CommandArguments, source: string): Deferred<Answer> {
    const { apply } = this.#parts;
    const merge = (): Deferred<Answer> => this.#mergeNow(args, source);
    if (args.apply !== true) return this.#inTurn('merge', merge);
    const parts = {
      merge,
      apply: (paths: readonly string[]) =>
        this.#changeBase(() => apply.run({ paths }, source, args.name)),
      takeBack: () => this.#undoTree('back', source),
    };
    return this.#inTurn('merge', () => mergeAndApply(parts));
  }

  #mergeNow(args: CommandArguments, source: string): Deferred<Answer> {
    const { merge } = this.#parts;
    const timings = this.#begin();
    return after(this.#quiesceBoth(timings, args.name), () => {
      this.#order.phase = 'merge';
      this.#order.counted = () => merge.progress;
      const startedMs = this.#parts.nowMs();
      return merge.run(args, source, (change) => {
        timings['mergeMs'] = round(this.#parts.nowMs() - startedMs);
        return this.#moved(timings, change);
      });
    });
  }

  #apply(args: CommandArguments, source: string): Deferred<Answer> {
    const { apply } = this.#parts;
    return this.#inTurn('apply', () =>
      this.#changeBase(() => apply.run(args, source), args.branch),
    );
  }

  /** `branch`: another one's tree is what the base becomes. */
  #changeBase(change: () => Deferred<Answer>, branch?: string): Deferred<Answer> {
    if (this.#parts.freeze.isRunning) {
      throw new CommandError(
        'freeze-running',
        'EBUSY',
        'a freeze copies the base: apply when it is done, or end it (shadowfs freeze --stop)',
      );
    }
    const timings = this.#begin();
    return after(this.#quiesceBoth(timings, branch), () => {
      this.#order.phase = 'apply';
      this.#order.counted = () => this.#parts.apply.progress;
      const startedMs = this.#parts.nowMs();
      return after(change(), (answer): Answer => {
        timings['applyMs'] = round(this.#parts.nowMs() - startedMs);
        return { ...answer, timings };
      });
    });
  }

  /** The undo of an apply changes the base, and any other one the tree. */
  #undo(args: CommandArguments, source: string): Deferred<Answer> {
    const { volume } = this.#parts;
    return this.#inTurn('undo', () => {
      const { direction } = volume.planUndo(args.direction);
      const goesOn = volume.branchCommands.undoGoesOn(direction);
      const first = this.#undoOne(args, source);
      if (!goesOn) return first;
      return after(first, ({ passed }) =>
        after(this.#undoOne({ ...args, direction }, source), (answer): Answer => {
          const both = [passed, answer['passed']].flat();
          return { ...answer, passed: both };
        }),
      );
    });
  }

  #undoOne(args: CommandArguments, source: string): Deferred<Answer> {
    const { volume, apply } = this.#parts;
    return volume.planUndo(args.direction).concerns === 'base'
      ? this.#changeBase(() => apply.undo(args, source))
      : this.#undoTree(args.direction, source);
  }

  #undoTree(direction: CommandArguments['direction'], source: string): Deferred<Answer> {
    return this.#moveNow(() => {
      const { from, to, ...answer } = this.#parts.volume.undo(direction, source);
      return { answer, moved: { from, to } };
    });
  }

  #previewUndo(args: CommandArguments): Deferred<Answer> {
    const { volume } = this.#parts;
    const planned = this.#change('undo', false, () => volume.planUndo(args.direction));
    return after(planned, (plan): Answer | Deferred<Answer> =>
      plan['concerns'] === 'base' ? this.#inspect('undo', args) : plan,
    );
  }

  /** Runs a change that does not touch the live tree, in its turn; settles when it is durable. */
  runChange(name: string, change: () => object): Deferred<Answer> {
    return this.#change(name, false, change);
  }

  /** Quiesces, then runs no other command until `held` settles. */
  hold(name: string, held: () => Deferred<Answer>): Deferred<Answer> {
    return this.#inTurn(name, () => after(this.#quiesce(this.#begin()), held));
  }

  #agent(command: AskedCommand, args: CommandArguments, source: string): Deferred<Answer> {
    const asked = this.#parts.agent(command, args, source);
    if (asked !== undefined) return asked;
    throw new CommandError('no-peers', 'ENOENT', 'this volume has no peers (shadowfs peer join)');
  }

  /** `quiesced`: the command depends on the content of the live tree. */
  #change(command: string, quiesced: boolean, change: () => object): Deferred<Answer> {
    return this.#changeWhen(
      command,
      (timings) => (quiesced ? this.#quiesce(timings) : settledWith<void>(undefined)),
      change,
    );
  }

  #changeWhen(
    command: string,
    ready: (timings: Record<string, number>) => Deferred<void>,
    change: () => object,
  ): Deferred<Answer> {
    return this.#inTurn(command, () => {
      const timings = this.#begin();
      return after(ready(timings), () => this.#commit(timings, this.#switch(timings, change)));
    });
  }

  /** A received layer becomes a snapshot, and possibly the live tree. */
  adopt<A extends object>(change: () => TreeMove<V, A>): Deferred<A> {
    return this.move('receive', change);
  }

  /** A change by the agent that may move the live tree. */
  move<A extends object>(name: string, change: () => TreeMove<V, A>): Deferred<A> {
    const made: A[] = [];
    const done = this.#moveTree(name, () => {
      const moving = change();
      made.push(moving.answer);
      return moving;
    });
    done.settled(
      (answer) => this.#finished('receive', { ok: true, command: 'receive', ...answer }),
      (error) => this.#finished('receive', failureAnswer('receive', error)),
    );
    return after(done, () => made[0] as A);
  }

  /** A change that may switch the live view; programs see either the old or the new one. */
  #moveTree(command: string, change: () => TreeMove<V>, branch?: string): Deferred<Answer> {
    return this.#inTurn(command, () => this.#moveNow(change, branch));
  }

  #moveNow(change: () => TreeMove<V>, branch?: string): Deferred<Answer> {
    const timings = this.#begin();
    return after(this.#quiesce(timings, branch), () => this.#moved(timings, change));
  }

  /** Everything that programs wrote has reached the volume. */
  #moved(timings: Record<string, number>, change: () => TreeMove<V>): Deferred<Answer> {
    const { answer, moved } = this.#switch(timings, change);
    const makeCoherent = moved && this.#parts.restored(moved.from, moved.to);
    return after(this.#commit(timings, answer), (committed): Answer | Deferred<Answer> => {
      if (makeCoherent === undefined) return committed;
      this.#order.phase = 'coherent';
      const startedMs = this.#parts.nowMs();
      return after(makeCoherent(), (coherence): Answer => {
        timings['coherentMs'] = round(this.#parts.nowMs() - startedMs);
        return { ...committed, ...coherence, timings };
      });
    });
  }

  #inspect(command: InspectRequest['command'], args: CommandArguments): Deferred<Answer> {
    return this.#order.inspections.run(command, () => {
      const stored = this.#inTurn(command, () => {
        const timings = this.#begin();
        const other = command === 'merge' ? args.name : args.branch;
        const ready = this.#quiesceBoth(timings, other);
        return after(ready, (): Deferred<Answer> => this.#commit(timings, {}));
      });
      return after(stored, () => {
        const startedMs = this.#parts.nowMs();
        this.#order.inspectStartedMs = startedMs;
        this.#order.inspected = { done: 0, total: 0 };
        const resolved: CommandArguments = { ...args };
        if (command === 'diff') {
          if (args.name !== undefined) resolved.name = this.#resolved(args.name);
          if (args.to !== undefined) resolved.to = this.#resolved(args.to);
        }
        const branch = this.#parts.volume.seat.branch.name;
        return after(
          this.#parts.inspect({ command, args: resolved, branch }),
          (answer): Answer => ({
            ...answer,
            timings: { inspectMs: round(this.#parts.nowMs() - startedMs) },
          }),
        );
      });
    });
  }

  /** A branch that another mount shows is forked with all writes that had returned there. */
  #fork(name: string, from: ForkRequest, source: string): Deferred<Answer> {
    const { volume } = this.#parts;
    const of = from.branch ?? from.of;
    const ready = (timings: Record<string, number>): Deferred<void> => this.#quiesce(timings, of);
    return this.#changeWhen('branch', ready, () =>
      volume.branchCommands.fork(name, this.#forkPoint(from), source),
    );
  }

  #forkPoint({ of, snapshot, branch }: ForkRequest): ForkRequest {
    return {
      ...(of !== undefined && { of: this.#resolved(of) }),
      ...(snapshot !== undefined && { snapshot: this.#resolved(snapshot) }),
      ...(branch !== undefined && { branch }),
    };
  }

  /** Resolves `latest` to a name. */
  #resolved(name: string): string {
    if (name !== LATEST_NAME) return name;
    const latest = this.#parts.volume.latest();
    if (latest !== undefined) return latest.name;
    throw new CommandError('no-such-snapshot', 'ENOENT', 'there is no saved snapshot yet');
  }

  #begin(): Record<string, number> {
    this.#order.startedMs = this.#parts.nowMs();
    return {};
  }

  #quiesce(timings: Record<string, number>, branch?: string): Deferred<void> {
    this.#order.phase = 'quiesce';
    const startedMs = this.#parts.nowMs();
    return after(this.#parts.quiesce(branch), () => {
      timings['quiesceMs'] = round(this.#parts.nowMs() - startedMs);
    });
  }

  /** What was written in this mount, and in that of another branch. */
  #quiesceBoth(timings: Record<string, number>, other: string | undefined): Deferred<void> {
    if (other === undefined) return this.#quiesce(timings);
    return after(this.#quiesce(timings, other), () => this.#quiesce(timings));
  }

  #switch<A>(timings: Record<string, number>, change: () => A): A {
    this.#order.phase = 'switch';
    const startedMs = this.#parts.nowMs();
    const answer = change();
    timings['switchMs'] = round(this.#parts.nowMs() - startedMs);
    return answer;
  }

  #commit(timings: Record<string, number>, answer: object): Deferred<Answer> {
    this.#order.phase = 'commit';
    const startedMs = this.#parts.nowMs();
    const { volume } = this.#parts;
    return after(volume.whenCommitted(volume.commit()), (): Answer => {
      timings['commitMs'] = round(this.#parts.nowMs() - startedMs);
      return { ...answer, timings };
    });
  }
}

function setOf({ set, dryRun }: CommandArguments): SnapshotSet {
  return { ...set, ...(dryRun === true && { dryRun }) };
}

function required(name: string | undefined): string {
  if (name !== undefined) return name;
  throw new CommandError('bad-command-line', 'EINVAL', 'the name of a snapshot is missing');
}
