/**
 * A branch's schedule of saves: its text in `meta`, and the work when it is
 * due. The daemon decides when that is; no code here reads a timer.
 */
import { CommandError } from '../../lib/errors.js';
import { formatSchedule, parseSchedule, type Schedule } from '../../format/text/schedule.js';
import { MAIN_BRANCH } from '../branches/branch.js';
import type { Catalog, Snapshot } from '../catalog.js';
import { type SnapshotCommands, timeName } from './snapshot-commands.js';
import type { VolumeCore } from '../core.js';
import { expired } from './expiry.js';
import type { SoftLocks } from '../locks/soft-locks.js';

/** The source of scheduled commands in the history. */
export const SCHEDULE_SOURCE = 'schedule';
export const AUTO_PREFIX = 'auto-';

export interface ScheduledAnswer {
  /** The new snapshot; absent: nothing had changed since the last one. */
  saved?: string;
  deleted: string[];
  /** Expired, but locked. */
  locked: string[];
}

export class Schedules {
  /** The locks last reported in the history: a lasting lock is reported once. */
  #toldLocked = '';

  constructor(
    readonly core: VolumeCore,
    readonly catalog: Catalog,
    readonly commands: SnapshotCommands,
    readonly locks: SoftLocks,
  ) {}

  get #branch(): string {
    return this.commands.seat.branch.name;
  }

  /** Undefined: no schedule. */
  get text(): string | undefined {
    return this.catalog.scheduleOf(this.#branch).text;
  }

  /** Throws `bad-schedule`: the text is from a newer version. */
  get schedule(): Schedule | undefined {
    const { text } = this;
    return text === undefined ? undefined : parseSchedule(text);
  }

  /**
   * When the schedule made its newest existing snapshot. For times of day: or was set, if that was
   * later, so that a time that passed since then while the volume was not mounted is made up for.
   */
  get lastMs(): number | undefined {
    let last = this.#hasDayTimes() ? this.catalog.scheduleOf(this.#branch).sinceMs : undefined;
    for (const { createdMs } of this.own()) {
      if (last === undefined || createdMs > last) last = createdMs;
    }
    return last;
  }

  #hasDayTimes(): boolean {
    try {
      return this.schedule?.at !== undefined;
    } catch {
      // The text is from a newer version, and nothing is saved by it.
      return false;
    }
  }

  /** What it has made on this branch, oldest first. */
  own(): Snapshot[] {
    return this.catalog
      .list()
      .filter(({ kind, branch = MAIN_BRANCH }) => kind === 'auto' && branch === this.#branch);
  }

  /** `off` removes the schedule. Throws `bad-schedule`. */
  set(text: string, source: string): Record<string, unknown> {
    this.commands.writable();
    const isOff = /^\s*(off|none)\s*$/i.test(text);
    const formatted = isOff ? undefined : formatSchedule(parseSchedule(text));
    this.catalog.putSchedule(this.#branch, {
      ...(formatted !== undefined && { text: formatted, sinceMs: this.core.clock.nowMs() }),
    });
    this.commands.addHistory({
      command: 'schedule',
      source,
      outcome: isOff ? 'off' : 'set',
      ...(formatted !== undefined && { details: { schedule: formatted } }),
    });
    return { command: 'schedule', text: formatted ?? null };
  }

  /**
   * Does the due work: a save, if something has changed, and the deletions that
   * follow. One transaction.
   */
  run(openLayerIsEmpty: boolean): ScheduledAnswer {
    const { schedule } = this;
    if (schedule === undefined) throw new CommandError('no-schedule', 'ENOENT', 'no schedule');
    this.commands.writable();
    const nowMs = this.core.clock.nowMs();
    const answer: ScheduledAnswer = { deleted: [], locked: [] };
    // An empty layer over a snapshot is equal to that snapshot.
    if (
      !(
        openLayerIsEmpty &&
        this.commands.isNamed(this.core.layers.get(this.commands.seat.live.top).parent)
      )
    ) {
      const name = this.commands.freeName(AUTO_PREFIX + timeName(nowMs));
      answer.saved = this.commands.save(name, SCHEDULE_SOURCE, 'auto').name;
    }
    const own = this.own().map((snapshot) => ({
      ...snapshot,
      isLocked: this.locks.isLocked(snapshot.uuid),
    }));
    const result = expired(schedule, own, nowMs);
    for (const { name } of result.expired) this.catalog.deleteSnapshot(name);
    answer.deleted = result.expired.map(({ name }) => name);
    answer.locked = result.locked.map(({ name }) => name);
    this.#tell(answer, nowMs);
    return answer;
  }

  #tell({ deleted, locked }: ScheduledAnswer, nowMs: number): void {
    const told = locked.join('/');
    if (deleted.length === 0 && told === this.#toldLocked) return;
    this.#toldLocked = told;
    if (deleted.length === 0 && locked.length === 0) return;
    this.commands.addHistory({
      timeMs: nowMs,
      command: 'prune',
      source: SCHEDULE_SOURCE,
      outcome: `deleted ${deleted.length}, kept ${locked.length} locked`,
      details: { deleted, locked },
    });
  }
}
