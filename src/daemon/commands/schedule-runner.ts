/**
 * Runs a task when it is due, in the serving thread.
 *
 * What must hold: at most one run at a time, and one for all missed times. A
 * clock that is set back delays a run by one interval at most. The clock is
 * read every half minute, since timers stop while a machine sleeps.
 */
import { type DayTimes, nextDayTime } from '../../format/text/day-times.js';
import type { Deferred } from '../../lib/deferred.js';
import type { Answer } from '../../control/command.js';
import { toPlainError } from '../calls/plain-error.js';

/** The task, and how often it runs. */
export interface SchedulePort {
  /** Undefined: off. */
  readonly everyMs: number | undefined;
  /** At times of day instead of every so often. */
  readonly at?: DayTimes | undefined;
  /** When it was last done, as far as that is stored. */
  readonly lastMs: number | undefined;
  /** False: not yet; it is asked again soon. */
  isReady(): boolean;
  run(): Deferred<Answer>;
  /** Wall clock. */
  nowMs(): number;
  later(delayMs: number, run: () => void): void;
}

const LOOK_MAX_MS = 30_000;
const READY_LOOK_MS = 200;

/** When it is due next; pure. A last run in the future means that the clock was set back since. */
export function dueMs(
  everyMs: number,
  lastMs: number | undefined,
  nowMs: number,
  at?: DayTimes,
): number {
  if (at !== undefined) return nextDayTime(at, Math.min(lastMs ?? nowMs, nowMs));
  return lastMs === undefined ? nowMs : Math.min(lastMs, nowMs) + everyMs;
}

export class ScheduleRunner {
  readonly #port: SchedulePort;
  #lastMs: number | undefined;
  /** Timers can't be cancelled: those of an earlier start do nothing. */
  #generation = 0;
  #isRunning = false;
  #lastResult: Answer | undefined;

  constructor(port: SchedulePort) {
    this.#port = port;
  }

  /** Starts, or restarts after a change. */
  start(): void {
    this.#lastMs = this.#port.lastMs;
    this.#generation++;
    this.#look();
  }

  #look(): void {
    const port = this.#port;
    const { everyMs } = port;
    const generation = this.#generation;
    if (everyMs === undefined) return;
    const again = (delayMs: number): void =>
      port.later(delayMs, () => {
        if (generation === this.#generation) this.#look();
      });
    if (this.#isRunning || !port.isReady()) {
      again(READY_LOOK_MS);
      return;
    }
    const nowMs = port.nowMs();
    // A clock that was set back stays so: intervals count from the new time.
    if (this.#lastMs !== undefined && this.#lastMs > nowMs) this.#lastMs = nowMs;
    // Without an earlier run, times of day count from now on.
    if (port.at !== undefined) this.#lastMs ??= nowMs;
    const waitMs = dueMs(everyMs, this.#lastMs, nowMs, port.at) - nowMs;
    if (waitMs > 0) {
      again(Math.min(waitMs, LOOK_MAX_MS));
      return;
    }
    this.#lastMs = nowMs;
    this.#isRunning = true;
    const done = (result: Answer): void => {
      this.#isRunning = false;
      this.#lastResult = { timeMs: nowMs, ...result };
    };
    port.run().settled(
      (answer) => done({ ok: true, ...answer }),
      (error) => {
        const { code, message } = toPlainError(error);
        done({ ok: false, code, message });
      },
    );
    again(Math.min(everyMs, LOOK_MAX_MS));
  }

  /** When it is due next, and what the last run gave; null: off, or not run yet. */
  status(): { nextDueMs: number | null; lastRun: Answer | null } {
    const { everyMs, at } = this.#port;
    const nowMs = this.#port.nowMs();
    return {
      nextDueMs: everyMs === undefined ? null : dueMs(everyMs, this.#lastMs, nowMs, at),
      lastRun: this.#lastResult ?? null,
    };
  }
}
