/**
 * When to pull: on news, or when the volume's own schedule says so. In between,
 * runs that fetch nothing keep both sides up to date on which snapshots are
 * needed and how far this volume is behind.
 */
import type { Timers } from '../fabric.js';
import type { SyncVolume } from './sync-volume.js';

/** `locks`: tells the upstream what is needed, and fetches nothing. */
export type RunKind = 'pull' | 'locks';

export class PullClock {
  readonly #volume: SyncVolume;
  readonly #timers: Timers;
  /** The interval without news and without a schedule. */
  readonly #idleMs: number;
  /** In the past when there is no schedule, and when a due run has failed. */
  #dueMs = 0;

  constructor(volume: SyncVolume, timers: Timers, idleMs: number) {
    this.#volume = volume;
    this.#timers = timers;
    this.#idleMs = idleMs;
  }

  /** The purpose of a run that begins now. */
  get kind(): RunKind {
    return this.#timers.nowMs() >= this.#dueMs ? 'pull' : 'locks';
  }

  /** The next run is due now. */
  reset(): void {
    this.#dueMs = 0;
  }

  /** A run has succeeded: how long until the next one, without news. */
  ended(kind: RunKind): number {
    const everyMs = this.#volume.pullEveryMs();
    if (everyMs === undefined) {
      this.#dueMs = 0;
      return this.#idleMs;
    }
    const nowMs = this.#timers.nowMs();
    if (kind === 'pull') this.#dueMs = nowMs + everyMs;
    return Math.min(Math.max(0, this.#dueMs - nowMs), this.#idleMs);
  }
}
