/** Looks at how full the disk and the quota of a mounted volume are, and says so once. */
import type { Answer } from '../../control/command.js';
import type { VolumeSpace } from '../../volume/readable-volume.js';
import type { Problem } from '../peers/sync-state.js';
import {
  FILLED,
  fillCode,
  fillLevels,
  type FillLevels,
  fillMessage,
  fillProblems,
  NOT_FULL,
} from './filling.js';

interface SpaceWatchParts {
  space(): VolumeSpace;
  /** Asks for new figures, which come later. */
  look(): void;
  later(delayMs: number, run: () => void): void;
  /** Those who follow events hear of it. */
  tell(event: Answer): void;
  log(line: string): void;
}

const LOOK_MS = 5000;

export class SpaceWatch {
  readonly #parts: SpaceWatchParts;
  #levels: FillLevels = NOT_FULL;

  constructor(parts: SpaceWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#look();
  }

  #look(): void {
    const { later, look } = this.#parts;
    this.#judge();
    look();
    later(LOOK_MS, () => this.#look());
  }

  #judge(): void {
    const { space, tell, log } = this.#parts;
    const now = space();
    const before = this.#levels;
    this.#levels = fillLevels(now, before);
    for (const what of FILLED) {
      const [was = 0, level = 0] = [before[what], this.#levels[what]];
      if (level === was) continue;
      // From 95 down to 90 there is nothing new to say.
      if (level < was && level !== 0) continue;
      const message =
        level === 0 ? `the ${what} of the volume is less full again` : fillMessage(now, what);
      log(message);
      tell({
        ok: true,
        command: 'space-warning',
        code: fillCode(what),
        percent: level === 0 ? null : level,
        freeBytes: now.freeBytes,
        message,
      });
    }
  }

  problems(): Problem[] {
    this.#judge();
    return fillProblems(this.#parts.space(), this.#levels);
  }
}
