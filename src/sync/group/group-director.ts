/**
 * One mount's part in group saves (group-messages.ts has the protocol): parks
 * changes for a point, shows its key, and saves or unparks. Owns the director's
 * table and its own row in it, and makes sure that every tentative snapshot
 * gets its outcome.
 *
 * What must hold: at most one point parks the mount at a time. The mount is
 * unparked when the point's time is over, whatever happens, except while it
 * saves.
 */
import { messageOf } from '../../lib/errors.js';
import { BarrierTable, type Incarnation, type Selected } from './barrier.js';
import type { Fabric, Timers } from '../fabric.js';
import type { GroupMessage, GroupVolume, Outcome, Point } from './group-messages.js';

/** How often a message that may have been lost is sent again. */
export const RESEND_MS = 20;
/** How often the director asks for the outcome of a tentative snapshot. */
const ASK_MS = 250;
/** How many ended points are remembered, to recognise their late messages. */
const ENDED_MAX = 1000;

type Stage = 'parking' | 'arrived' | 'saving' | 'over';

interface Joined {
  readonly point: Point;
  readonly selected: Selected;
  stage: Stage;
  callOff: () => void;
}

export interface DirectorSetup {
  name: string;
  incarnation: Incarnation;
  fabric: Fabric<GroupMessage>;
  timers: Timers;
  volume: GroupVolume;
  /** Called for every change of a point: for the initiator, and for logs. */
  onChange: (key: string) => void;
}

export class GroupDirector {
  readonly table = new BarrierTable();
  /** By point: the directors that were absent or failed, and why. */
  readonly #blamed = new Map<string, Record<string, string>>();
  readonly #setup: DirectorSetup;
  /** Saved, outcome unknown. */
  readonly #doubtful = new Set<string>();
  readonly #ended = new Map<string, Outcome | 'failed'>();
  #active: Joined | undefined;
  /** This director's row: its key changes with the sequence number only. */
  #row = { sequence: 0, key: '' };

  constructor(setup: DirectorSetup) {
    this.#setup = setup;
    for (const point of setup.volume.tentative()) this.#doubt(point);
  }

  get name(): string {
    return this.#setup.name;
  }

  get incarnation(): Incarnation {
    return this.#setup.incarnation;
  }

  /** True while the tentative snapshot of the point waits for its outcome. */
  isSaved(key: string): boolean {
    return this.#doubtful.has(key);
  }

  hasFailed(key: string): boolean {
    return this.#ended.get(key) === 'failed';
  }

  blamed(key: string): Record<string, string> {
    return this.#blamed.get(key) ?? {};
  }

  /** Joins the point, if this director is meant and is free. */
  prepare(from: string, point: Point): void {
    const { fabric, name, incarnation } = this.#setup;
    const { key } = point;
    if (this.#active?.point.key === key) {
      if (this.#active.stage === 'arrived') this.#sendRow(key, [from], true);
      return;
    }
    if (this.#ended.has(key) || this.isSaved(key)) {
      this.#sendRow(key, [from], false);
      return;
    }
    const selected: Selected = new Map(point.selected);
    const reason =
      selected.get(name) !== incarnation
        ? 'started anew meanwhile'
        : this.#active !== undefined
          ? 'busy with another group save'
          : undefined;
    if (reason !== undefined) fabric.send([from], { kind: 'refuse', about: key, reason });
    else void this.#join(point, selected);
  }

  receive(from: string, message: GroupMessage): void {
    const { fabric, incarnation } = this.#setup;
    if (message.kind === 'greet') {
      fabric.send([from], { kind: 'greeted', greeting: message.greeting, incarnation });
    } else if (message.kind === 'prepare') {
      this.prepare(from, message.point);
    } else if (message.kind === 'key') {
      this.#seeKey(from, message);
    } else if (message.kind === 'ask') {
      // Any director that knows of a commit may tell, even when the initiator is away.
      const { about } = message;
      if (this.#ended.get(about) === 'committed')
        fabric.send([from], { kind: 'outcome', about, outcome: 'committed' });
    }
  }

  async #join(point: Point, selected: Selected): Promise<void> {
    const { timers, volume } = this.#setup;
    const callOff = timers.after(point.parkMaxMs, () => this.#giveUp(joined));
    const joined: Joined = { point, selected, stage: 'parking', callOff };
    this.#active = joined;
    try {
      await volume.park(point);
    } catch (error) {
      this.#fail(joined, { [this.name]: messageOf(error) });
      this.#active = undefined;
      return;
    }
    // The point failed meanwhile, so the mount has to be unparked here.
    if (this.#stageOf(joined) === 'over') {
      this.#letGo();
      return;
    }
    joined.stage = 'arrived';
    this.#setRow(point.key);
    this.#sendRow(point.key, this.#others(point), true);
    this.#sendAgain(joined);
    this.#look(joined);
  }

  /** A method, since the compiler assumes that a compared stage no longer changes. */
  #stageOf(joined: Joined): Stage {
    return joined.stage;
  }

  #letGo(): void {
    this.#active = undefined;
    this.#setup.volume.unpark();
  }

  #others({ selected }: Point): string[] {
    return selected.map(([name]) => name).filter((name) => name !== this.name);
  }

  #setRow(key: string): void {
    const { incarnation } = this.#setup;
    this.#row = { sequence: this.#row.sequence + 1, key };
    this.table.update(this.name, { incarnation, ...this.#row });
  }

  #sendRow(about: string, to: readonly string[], isWaiting: boolean): void {
    const { incarnation, fabric } = this.#setup;
    const blamed = this.blamed(about);
    fabric.send(to, { kind: 'key', about, incarnation, ...this.#row, isWaiting, blamed });
  }

  /**
   * Repeats until the point is over: some of the missing directors may not have received the key.
   */
  #sendAgain(joined: Joined): void {
    const { timers } = this.#setup;
    const { selected, point } = joined;
    const again = (): void => {
      if (joined.stage !== 'arrived') return;
      this.#sendRow(point.key, this.table.missing(selected, point.key), true);
      timers.after(RESEND_MS, again);
    };
    timers.after(RESEND_MS, again);
  }

  #seeKey(from: string, message: GroupMessage & { kind: 'key' }): void {
    const { about, key, incarnation, sequence, isWaiting, blamed } = message;
    const isNewer = this.table.update(from, { incarnation, sequence, key });
    const joined = this.#active;
    if (joined?.point.key !== about) {
      // The sender may not have seen that this director had arrived, or that it failed.
      const isPast = this.#ended.has(about) || this.isSaved(about);
      if (isWaiting && isPast) this.#sendRow(about, [from], false);
      return;
    }
    if (isNewer && key !== about) {
      const reasons = Object.keys(blamed).length > 0 ? blamed : { [from]: 'gave up' };
      this.#fail(joined, reasons);
    } else this.#look(joined);
  }

  /** Passes the point when all directors have arrived. */
  #look(joined: Joined): void {
    if (joined.stage !== 'arrived') return;
    if (this.table.isComplete(joined.selected, joined.point.key)) void this.#pass(joined);
  }

  async #pass(joined: Joined): Promise<void> {
    const { point } = joined;
    const { volume } = this.#setup;
    joined.stage = 'saving';
    joined.callOff();
    try {
      await volume.saveTentative(point);
      this.#doubt(point);
    } catch (error) {
      this.#refuse(point, { [this.name]: messageOf(error) });
    }
    joined.stage = 'over';
    this.#letGo();
    this.#setup.onChange(point.key);
  }

  /** The point's time is over. */
  #giveUp(joined: Joined): void {
    const { point, selected, stage } = joined;
    const absent = stage === 'parking' ? [this.name] : this.table.missing(selected, point.key);
    this.#fail(joined, Object.fromEntries(absent.map((name) => [name, 'not there in time'])));
  }

  /** Gives up a point that has not been passed. */
  #fail(joined: Joined, blamed: Record<string, string>): void {
    const { point, stage } = joined;
    if (stage === 'saving' || stage === 'over') return;
    joined.stage = 'over';
    joined.callOff();
    this.#refuse(point, blamed);
    // While the mount is still being parked, `#join` unparks it afterwards.
    if (stage === 'arrived') this.#letGo();
    this.#setup.onChange(point.key);
  }

  /** Shows a different key, which tells the others that this point failed. */
  #refuse(point: Point, blamed: Record<string, string>): void {
    const { key } = point;
    this.#blamed.set(key, blamed);
    this.#end(key, 'failed');
    this.#setRow(`not ${key}`);
    this.#sendRow(key, this.#others(point), false);
  }

  /** The initiator called the point off. */
  callOff(key: string, blamed: Record<string, string>): void {
    if (this.#active?.point.key === key) this.#fail(this.#active, blamed);
  }

  #end(key: string, how: Outcome | 'failed'): void {
    this.#ended.set(key, how);
    if (this.#ended.size <= ENDED_MAX) return;
    const [oldest] = this.#ended.keys();
    if (oldest === undefined) return;
    this.#ended.delete(oldest);
    this.#blamed.delete(oldest);
  }

  /** Says that it has saved, and asks for the outcome until a director tells it. */
  #doubt(point: Point): void {
    const { fabric, timers } = this.#setup;
    const { key, initiator } = point;
    const ask = (): void => {
      if (!this.#doubtful.has(key)) return;
      fabric.send([initiator], { kind: 'saved', about: key });
      // Also itself, if it is the initiator: it may have stopped waiting for its own save.
      fabric.send([initiator, ...this.#others(point)], { kind: 'ask', about: key });
      timers.after(ASK_MS, ask);
    };
    this.#doubtful.add(key);
    fabric.send([initiator], { kind: 'saved', about: key });
    timers.after(ASK_MS, ask);
  }

  /** Applies the outcome of a point. True when nothing is left to do for it here. */
  async settle(key: string, outcome: Outcome): Promise<boolean> {
    if (!this.#doubtful.has(key)) {
      if (outcome === 'dropped') this.callOff(key, {});
      return this.#active?.point.key !== key;
    }
    const { volume } = this.#setup;
    await (outcome === 'committed' ? volume.keep(key) : volume.drop(key));
    this.#doubtful.delete(key);
    this.#end(key, outcome);
    this.#setup.onChange(key);
    return true;
  }
}
