/**
 * The log of strangers at the port. Anyone may connect, again and again: in
 * each minute the first few are named, the others counted.
 */
import type { Timers } from '../fabric.js';

const EVERY_MS = 60_000;
/** Lines in that time, plus one for the count. */
export const STRANGER_LINES = 10;

export class StrangerLog {
  readonly #timers: Timers;
  readonly #log: (message: string) => void;
  /** The count since the start of the present interval. */
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
