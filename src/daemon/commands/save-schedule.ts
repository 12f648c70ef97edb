/** The schedule of saves of a mounted volume, as a task that runs when it is due. */
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import type { VolumeCommands } from './commands.js';
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
    const everyMs = (): number | undefined => this.#everyMs();
    this.#runner = new ScheduleRunner({
      get everyMs() {
        return everyMs();
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

  #everyMs(): number | undefined {
    const { isReadOnly, schedules } = this.#volume;
    if (isReadOnly) return undefined;
    try {
      return schedules.schedule?.everyMs;
    } catch {
      log(`the schedule ${JSON.stringify(schedules.text)} is not understood; nothing is saved`);
      return undefined;
    }
  }

  /** Null: there is no schedule. */
  status(): Record<string, unknown> | null {
    const { text } = this.#volume.schedules;
    return text === undefined ? null : { text, ...this.#runner.status() };
  }
}
