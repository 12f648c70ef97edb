/** The schedule of saves of a mounted volume, as a task that runs when it is due. */
import type { Schedule } from '../../format/text/schedule.js';
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import type { VolumeCommands } from './commands.js';
import type { Answer } from '../../control/command.js';
import { log } from '../serve/log.js';
import { type SchedulePort, ScheduleRunner } from './schedule-runner.js';

export class SaveSchedule {
  readonly #volume: Volume;
  readonly #runner: ScheduleRunner;

  /** `isReady`: the mount exists, so that a save can have the programs' writes written out. */
  constructor(
    volume: Volume,
    commands: VolumeCommands<View>,
    thread: Pick<SchedulePort, 'isReady' | 'later'>,
  ) {
    this.#volume = volume;
    const schedule = (): Schedule | undefined => this.#schedule();
    this.#runner = new ScheduleRunner({
      get everyMs() {
        return schedule()?.everyMs;
      },
      get at() {
        return schedule()?.at;
      },
      get lastMs() {
        return volume.schedules.lastMs;
      },
      isReady: () => thread.isReady(),
      run: () => commands.runSchedule(),
      nowMs: () => Date.now(),
      later: (delayMs, run) => thread.later(delayMs, run),
    });
    commands.watch(({ ok, command }) => {
      if (ok === true && command === 'schedule') this.#runner.start();
    });
    this.#runner.start();
  }

  #schedule(): Schedule | undefined {
    const { isReadOnly, schedules } = this.#volume;
    if (isReadOnly) return undefined;
    try {
      return schedules.schedule;
    } catch {
      log(`the schedule ${JSON.stringify(schedules.text)} is not understood; nothing is saved`);
      return undefined;
    }
  }

  /** What may be wrong with it. */
  health(): { isScheduleUnknown: boolean; lastRun: Answer | null } {
    const { isReadOnly, schedules } = this.#volume;
    const isKnown = isReadOnly || schedules.text === undefined || this.#schedule() !== undefined;
    return { isScheduleUnknown: !isKnown, lastRun: this.#runner.status().lastRun };
  }

  /** Null: there is no schedule. */
  status(): Record<string, unknown> | null {
    const { text } = this.#volume.schedules;
    return text === undefined ? null : { text, ...this.#runner.status() };
  }
}
