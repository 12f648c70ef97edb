/** A clock for tests. */
import type { Clock, TimeNs } from '../src/lib/clock.js';

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #ms: number;

  constructor(startMs = 1_700_000_000_000) {
    this.#ms = startMs;
  }

  advance(ms: number): void {
    this.#ms += ms;
  }

  nowMs(): number {
    return this.#ms;
  }

  now(): TimeNs {
    const s = Math.floor(this.#ms / 1000);
    return { s, ns: Math.round((this.#ms - s * 1000) * 1e6) };
  }
}
