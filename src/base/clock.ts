/**
 * Where the time comes from. Whatever stores or compares times takes a
 * `Clock`, so that tests decide what time it is.
 */

/** A point in time as the kernel has it: signed seconds since 1970 and 0…999,999,999 ns. */
export interface TimeNs {
  s: number;
  ns: number;
}

export interface Clock {
  /** Milliseconds since 1970, for records that people read. */
  nowMs(): number;
  /** The same time with nanoseconds, for inodes. */
  now(): TimeNs;
}

/**
 * The machine's clock. Between two steps of its milliseconds the nanoseconds
 * come from the monotonic clock, so that two writes get different times.
 */
export function realClock(): Clock {
  let baseMs = Date.now();
  let baseNs = process.hrtime.bigint();
  return {
    nowMs: () => Date.now(),
    now() {
      const wallMs = Date.now();
      let elapsedNs = Number(process.hrtime.bigint() - baseNs);
      // The wall clock was set, or the two drifted apart: start anew from it.
      if (Math.abs(wallMs - baseMs - elapsedNs / 1e6) > 2) {
        baseMs = wallMs;
        baseNs = process.hrtime.bigint();
        elapsedNs = 0;
      }
      const ms = baseMs + Math.floor(elapsedNs / 1e6);
      const s = Math.floor(ms / 1000);
      return { s, ns: (ms - s * 1000) * 1e6 + (elapsedNs % 1e6) };
    },
  };
}

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
