/** Takes what others have changed in the base, and has the kernel of every mount told. */
import type { BaseEvent } from '../../base/base-directory.js';
import type { Work } from '../../lib/work.js';
import type { BaseChanges } from './base-changes.js';

/** Told at once, before anything else is served. */
const EVENTS_AT_ONCE = 16;

export class BaseNews {
  #isTaking = false;

  constructor(
    /** What has happened since the last call; undefined: nothing. */
    readonly next: () => readonly BaseEvent[] | undefined,
    readonly mounts: () => readonly BaseChanges[],
  ) {}

  /** It may be a lot: the rest is a job. */
  take(addJob: (next: () => boolean) => void): void {
    if (this.#isTaking) return;
    this.#isTaking = true;
    const work = this.#taking();
    // Mostly it is little, and programs ask soon.
    for (let i = 0; i < EVENTS_AT_ONCE; i++) if (work.next().done === true) return;
    addJob(() => work.next().done === true);
  }

  *#taking(): Work<void> {
    try {
      for (let events = this.next(); events !== undefined; events = this.next()) {
        for (const event of events) {
          yield undefined;
          const mounts = this.mounts();
          const views = mounts.flatMap((mount) => mount.views());
          for (const mount of mounts) yield* mount.told(event, views);
        }
      }
      for (const mount of this.mounts()) mount.send();
    } finally {
      this.#isTaking = false;
    }
  }
}
