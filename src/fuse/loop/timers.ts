/** Timers for a thread that never yields: a short list that the loop checks. */
export interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

export class Timers {
  #pending: Timer[] = [];
  #nextMs = Number.POSITIVE_INFINITY;

  /** Runs `run` once, `delayMs` after `nowMs`. */
  add(nowMs: number, delayMs: number, run: () => void): Timer {
    const timer = { dueMs: nowMs + delayMs, run };
    this.#pending.push(timer);
    this.#nextMs = Math.min(this.#nextMs, timer.dueMs);
    return timer;
  }

  cancel(timer: Timer): void {
    this.#pending = this.#pending.filter((other) => other !== timer);
    this.#schedule();
  }

  /** Runs the due timers in order of their times. True when any ran. */
  runDue(nowMs: number): boolean {
    if (nowMs < this.#nextMs) return false;
    const due = this.#pending.filter((timer) => timer.dueMs <= nowMs);
    due.sort((a, b) => a.dueMs - b.dueMs);
    for (const timer of due) {
      // An earlier timer may have cancelled it.
      if (!this.#pending.includes(timer)) continue;
      this.cancel(timer);
      timer.run();
    }
    return true;
  }

  /** Time until the next timer is due: 0 or more, Infinity without timers. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#nextMs - nowMs);
  }

  #schedule(): void {
    this.#nextMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#pending) this.#nextMs = Math.min(this.#nextMs, dueMs);
  }
}
