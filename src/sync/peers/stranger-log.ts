/**
 * What is logged of strangers at the port. Anybody may knock, again and again:
 * of each minute the first few are named, the others counted.
 */
import type { Timers } from '../fabric.js';

const EVERY_MS = 60_000;
/** Lines in that time, and one more for the count. */
export const STRANGER_LINES = 10;

export class StrangerLog {
  readonly #timers: Timers;
  readonly #log: (message: string) => void;
  /** Since the time began that is counted now. */
  #count = 0;

  constructor(timers: Timers, log: (message: string) => void) {
    this.#timers = timers;
    this.#log = log;
  }

  say(message: string): void {
    if (this.#count === 0) this.#timers.after(EVERY_MS, () => this.#over());
    this.#count++;
    if (this.#count <= STRANGER_LINES) this.#log(message);
  }

  #over(): void {
    const more = this.#count - STRANGER_LINES;
    this.#count = 0;
    if (more > 0) this.#log(`${more} more strangers were refused within ${EVERY_MS / 1000} s`);
  }
}
