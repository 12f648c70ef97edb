/**
 * The undo line: the commands that can be taken back, in the order in which
 * they were given, and where on it the live tree stands (format.md, rules
 * U1–U4). As an editor's undo: back, forward, and a new command ends what was
 * ahead. It moves nothing; `tree-moves.ts` does.
 *
 * What must hold: a change of the line is in the transaction of the command
 * that causes it (rule D7); the line only names snapshots, so a snapshot that
 * is gone ends the way there and nothing else.
 */
import { CommandError } from '../../lib/errors.js';
import { MAIN_BRANCH } from '../branches/branch.js';
import type { Catalog, Snapshot } from '../catalog.js';

/** A part of the base, as it is in a snapshot. */
export interface BaseState {
  /** Below the root, byte strings; none: everything. */
  paths: string[];
  /** UUID. */
  snapshot: string;
}

/** A command that can be taken back. */
export interface UndoStep {
  command: string;
  /** What the command was about: a snapshot, mostly. */
  name?: string;
  /** The rest of the command, for people: paths, for example. */
  detail?: string;
  timeMs: number;
  /**
   * UUID of the snapshot that shows the tree as it was before the command. An apply does not change
   * the tree: empty until `undo` goes on from here.
   */
  before: string;
  /** An apply: what the base was before, and, once it was taken back, after it. */
  base?: { before: BaseState[]; after?: BaseState[] };
  /** It belongs to the step before it: `undo` passes both. */
  isJoined?: true;
}

/** What is shown of a step. */
export type ToldStep = Omit<UndoStep, 'before' | 'base' | 'isJoined'>;

/** A command that `undo` must not pass in silence, because it can't be taken back. */
export interface Barrier {
  command: string;
  name?: string;
  timeMs: number;
  why: 'deleted' | 'no-undo';
}

export type UndoDirection = 'back' | 'forward';

/** As it is stored in `meta/undo`. */
interface StoredLine {
  steps: UndoStep[];
  /** How many of the steps are in effect; the others have been taken back. */
  at: number;
  /** Where plain `undo` goes: a number of steps in effect. */
  next: number;
  /** UUID of the snapshot of the tree after the last step, when not all are in effect. */
  tip?: string;
  barrier?: Barrier;
  /** Undo snapshots of this layer and newer ones are from a version that knows no line. */
  layer: number;
}

export interface UndoPlan {
  direction: UndoDirection;
  /** The steps passed, in the order in which they are passed. */
  steps: UndoStep[];
  /** How many steps are in effect afterwards. */
  to: number;
  /** What the tree becomes; of an apply, what the base or its first part becomes. */
  target: Snapshot;
  /** An apply is passed: the base changes, in this order, and the tree does not. */
  base?: { paths: string[]; target: Snapshot }[];
}

/** A step as it is shown. */
export interface ShownStep extends ToldStep {
  /** The snapshot to which taking it back leads; null: it is gone. */
  before: string | null;
  /** What the command has changed. */
  concerns: 'tree' | 'base';
  isTakenBack: boolean;
}

/** `keep-undo` bounds the way back long before this does. */
const MAX_STEPS = 200;

/** `restore before-upgrade`. Pure. */
export function stepText({ command, name, detail }: Omit<ToldStep, 'timeMs'>): string {
  return [command, name, detail].filter((word) => word !== undefined).join(' ');
}

export class UndoLine {
  readonly #catalog: Catalog;
  readonly #branch: string;
  #line: StoredLine;

  constructor(catalog: Catalog, branch: string) {
    this.#catalog = catalog;
    this.#branch = branch;
    const line = catalog.undoOf(branch) as StoredLine | undefined;
    this.#line = line ?? { steps: [], at: 0, next: 0, layer: 0 };
    if (catalog.role.role !== 'standby') this.#takeInUnknown();
  }

  /** A version that knew no line has restored: its undo snapshots are steps, too. */
  #takeInUnknown(): void {
    const known = new Set([...this.#line.steps.flatMap(snapshotsOf), this.#line.tip]);
    const unknown = this.#catalog.list().filter(({ kind, layer, uuid, branch }) => {
      if ((branch ?? MAIN_BRANCH) !== this.#branch) return false;
      return kind === 'undo' && layer >= this.#line.layer && !known.has(uuid);
    });
    for (const { uuid, createdMs } of unknown) {
      this.#add({ command: 'restore', timeMs: createdMs, before: uuid });
    }
  }

  #byUuid(uuid: string): Snapshot | undefined {
    for (const snapshot of this.#catalog.snapshots.values()) {
      if (snapshot.uuid === uuid) return snapshot;
    }
    return undefined;
  }

  #store(): void {
    this.#line.layer = this.#catalog.counters.nextLayer;
    this.#catalog.putUndo(this.#branch, this.#line);
  }

  #add(step: UndoStep): void {
    const steps = [...this.#line.steps.slice(0, this.#line.at), step].slice(-MAX_STEPS);
    this.#line = { steps, at: steps.length, next: steps.length - 1, layer: this.#line.layer };
  }

  /** The undo snapshots of now that no step names are not to be taken for steps. */
  noteKnown(): void {
    this.#store();
  }

  /** A command was given that can be taken back; what was ahead on the line is ahead no more. */
  push(step: UndoStep): void {
    this.#add(step);
    this.#store();
  }

  /** The live tree has moved along the line; `left` shows what it was until then. */
  moved({ to }: UndoPlan, left: Snapshot): void {
    const { steps, at, tip } = this.#line;
    const changed = steps.map((step, index) =>
      index === at ? { ...step, before: left.uuid } : step,
    );
    const tipNow = at === steps.length ? left.uuid : tip;
    this.#line = {
      steps: changed,
      at: to,
      next: at,
      layer: 0,
      ...(tipNow !== undefined && { tip: tipNow }),
    };
    this.#store();
  }

  /**
   * The base has moved over the apply of that time; `left` is what it was until then. Another
   * command may have been given since the move began: then the line stays.
   */
  baseMoved(timeMs: number, direction: UndoDirection, left: BaseState[]): void {
    const { steps, at } = this.#line;
    const index = direction === 'back' ? at - 1 : at;
    const step = steps[index];
    if (step?.base === undefined || step.timeMs !== timeMs) return;
    const base = { ...step.base, [direction === 'back' ? 'after' : 'before']: left };
    const changed = [...steps];
    changed[index] = { ...step, base };
    const to = direction === 'back' ? at - 1 : at + 1;
    const { barrier: _passed, ...line } = this.#line;
    this.#line = { ...line, steps: changed, at: to, next: at };
    this.#store();
  }

  /** The tree has become another one in a way that no undo leads back from. */
  clear(barrier?: Barrier): void {
    const { steps } = this.#line;
    if (steps.length === 0 && this.#line.barrier === undefined && barrier === undefined) return;
    this.#line = { steps: [], at: 0, next: 0, layer: 0, ...(barrier !== undefined && { barrier }) };
    this.#store();
  }

  /** Plain `undo` says what can't be taken back; `undo --back` passes it. */
  block(barrier: Barrier): void {
    this.#line.barrier = barrier;
    this.#store();
  }

  /** The snapshot of the tree with so many steps in effect, as it was when it was left. */
  #state(place: number): Snapshot | undefined {
    const { steps, tip } = this.#line;
    const uuid = place === steps.length ? tip : steps[place]?.before;
    return uuid === undefined ? undefined : this.#byUuid(uuid);
  }

  /** Where `undo` would go. Throws nothing-to-undo, cannot-undo, undo-gone. */
  plan(direction?: UndoDirection): UndoPlan {
    const { steps, at, next, barrier } = this.#line;
    if (direction === undefined && barrier !== undefined) throw this.#blocked(barrier);
    const to = direction === undefined ? next : direction === 'back' ? at - 1 : at + 1;
    if (steps.length === 0) {
      throw barrier === undefined
        ? nothing('no command has changed the tree')
        : this.#blocked(barrier);
    }
    if (to < 0) throw nothing('everything that can be taken back has been taken back');
    if (to > steps.length) throw nothing('nothing has been taken back: there is no way forward');
    const goesBack = to < at;
    const passed = goesBack ? steps.slice(to, at).reverse() : steps.slice(at, to);
    const plan = { direction: goesBack ? 'back' : 'forward', steps: passed, to } as const;
    const [step] = passed;
    // One command is passed at a time.
    if (step?.base !== undefined) {
      const states = (goesBack ? step.base.before : step.base.after) ?? [];
      const base = states.flatMap(({ paths, snapshot }) => {
        const target = this.#byUuid(snapshot);
        return target === undefined ? [] : [{ paths, target }];
      });
      const [first] = base;
      if (first === undefined || base.length < states.length) throw gone(step, goesBack, 'base');
      return { ...plan, target: first.target, base };
    }
    const target = this.#state(to);
    if (target === undefined) throw gone(passed.at(-1), goesBack, 'tree');
    return { ...plan, target };
  }

  /** One that passes the next step that way goes on with another one, which belongs to it. */
  goesOn(direction: UndoDirection): boolean {
    const { steps, at } = this.#line;
    return steps[direction === 'back' ? at - 1 : at + 1]?.isJoined === true;
  }

  /** What `undo` would do, or undefined. */
  tryPlan(direction?: UndoDirection): UndoPlan | undefined {
    try {
      return this.plan(direction);
    } catch (error) {
      if (error instanceof CommandError) return undefined;
      throw error;
    }
  }

  /** Oldest first. */
  shown(): ShownStep[] {
    const { steps, at } = this.#line;
    if (steps.length === 0) return [];
    const names = new Map(this.#catalog.list().map(({ uuid, name }) => [uuid, name]));
    return steps.map(({ before, base, isJoined: _joined, ...step }, index) => ({
      ...step,
      before: names.get(base?.before[0]?.snapshot ?? before) ?? null,
      concerns: base === undefined ? 'tree' : 'base',
      isTakenBack: index >= at,
    }));
  }

  #blocked({ command, name, why, timeMs }: Barrier): CommandError {
    const what = stepText({ command, ...(name !== undefined && { name }) });
    const reasons: Readonly<Record<Barrier['why'], string>> = {
      deleted: `the last command was "${what}", which can't be taken back`,
      'no-undo': `"${what}" kept no undo snapshot, so it can't be taken back`,
    };
    const back = this.#line.steps[this.#line.at - 1];
    const hint =
      back === undefined ? '' : `; shadowfs undo --back takes back "${stepText(back)}" before it`;
    return new CommandError('cannot-undo', 'EINVAL', reasons[why] + hint, {
      last: { command, name, timeMs },
    });
  }
}

function nothing(why: string): CommandError {
  return new CommandError('nothing-to-undo', 'ENOENT', `nothing to undo: ${why}`);
}

function snapshotsOf({ before, base }: UndoStep): string[] {
  const states = [...(base?.before ?? []), ...(base?.after ?? [])];
  return [before, ...states.map(({ snapshot }) => snapshot)];
}

function gone(step: UndoStep | undefined, goesBack: boolean, what: 'tree' | 'base'): CommandError {
  const command = step === undefined ? 'the command' : `"${stepText(step)}"`;
  return new CommandError(
    'undo-gone',
    'ENOENT',
    `the snapshot of the ${what} ${goesBack ? 'before' : 'after'} ${command} is gone: it was deleted, ` +
      'or pruned (the option keep-undo says how many are kept)',
  );
}
