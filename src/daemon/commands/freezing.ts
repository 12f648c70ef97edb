/**
 * `freeze` of a mounted volume: the rest of the base is copied in slices of the
 * serving thread's spare time, beside all other commands but `apply`.
 */
import type { Deferred } from '../../lib/deferred.js';
import { CommandError } from '../../lib/errors.js';
import { settledWith, type Work, workInSlices } from '../../lib/work.js';
import type { Answer } from '../../control/command.js';
import type { BaseDirectory } from '../../base/base-directory.js';
import { type FreezeHost, freezeBase } from '../../volume/freeze/freeze.js';
import { shownObstacle } from '../../volume/freeze/refusals.js';
import type { Volume } from '../../volume/volume.js';
import { rightsHere } from './applying.js';

export interface FreezingParts {
  volume: Volume;
  addJob(next: () => boolean): void;
  pause: FreezeHost['pause'];
  /** The volume needs it no more; lent descriptors of it may still be read. */
  baseReleased(base: BaseDirectory): void;
  log(message: string): void;
}

export class Freezing {
  readonly #parts: FreezingParts;
  #isRunning = false;
  #isStopped = false;
  /** Bytes. */
  progress = { done: 0, total: 0 };

  constructor(parts: FreezingParts) {
    this.#parts = parts;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Call it before the freeze waits for its turn, and `end` when it is over. Throws CommandError. */
  begin(): void {
    this.#refuse();
    this.progress = { done: 0, total: 0 };
    this.#isRunning = true;
    this.#isStopped = false;
  }

  end(): void {
    this.#isRunning = false;
  }

  #refuse(): void {
    const { volume } = this.#parts;
    if (this.#isRunning) {
      throw new CommandError(
        'freeze-running',
        'EBUSY',
        'a freeze is running already (shadowfs status shows how far it is)',
      );
    }
    if (volume.isReadOnly) {
      throw new CommandError('read-only', 'EROFS', 'the volume is mounted read-only');
    }
    if (volume.isStandby) {
      throw new CommandError('standby', 'EROFS', 'a standby is not frozen: its primary can be');
    }
    if (volume.frozen.sinceMs !== null) {
      throw new CommandError('already-frozen', 'EINVAL', 'the volume is frozen: it has no base');
    }
    if (volume.base === undefined) {
      throw new CommandError('no-base', 'EINVAL', 'the volume has no base to copy');
    }
  }

  /** The running one ends soon; what is copied stays. */
  stop(): Deferred<Answer> {
    this.#isStopped = true;
    return settledWith<Answer>({ isStopping: this.#isRunning });
  }

  /** `isForced`: what the base does not have any more is given up. */
  run(isForced: boolean, source: string): Deferred<Answer> {
    return workInSlices(this.#work(isForced, source), (next) => this.#parts.addJob(next));
  }

  *#work(isForced: boolean, source: string): Work<Answer> {
    const { volume, pause, baseReleased, log } = this.#parts;
    const { files, directories, lost, lostCount, storedBytes, base } = yield* freezeBase(volume, {
      pause,
      onProgress: (done, total) => {
        this.progress = { done, total };
      },
      isStopped: () => this.#isStopped,
      reader: rightsHere(),
      source,
      isForced,
    });
    log(`frozen: ${files} files, ${storedBytes} bytes were copied from the base`);
    for (const one of lost) log(`lost: ${shownObstacle(one).path}: ${one.reason} in the base`);
    if (base !== undefined) baseReleased(base);
    return {
      fileCount: files,
      directoryCount: directories,
      storedBytes,
      lost: lost.map(shownObstacle),
      lostCount,
    };
  }
}
