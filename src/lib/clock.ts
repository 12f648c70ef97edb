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

/** What `realClock` reads; tests put their own in. */
export interface ClockSources {
  /** Wall-clock time, whole milliseconds since 1970. */
  wallMs(): number;
  /** A time that only goes forward, in nanoseconds from anywhere. */
  monotonicNs(): bigint;
}

const machine: ClockSources = {
  wallMs: () => Date.now(),
  monotonicNs: () => process.hrtime.bigint(),
};

/** So far the two sources may be apart before the wall clock counts as set. */
const APART_MAX_MS = 2;

/** A step back of less than this is waited out; a longer one is somebody setting the clock. */
const WAIT_OUT_MS = 1_000;

/** The next point in time there is. */
function after({ s, ns }: TimeNs): TimeNs {
  return ns < 999_999_999 ? { s, ns: ns + 1 } : { s: s + 1, ns: 0 };
}

/**
 * The machine's clock. Between two steps of its milliseconds the nanoseconds
 * come from the monotonic clock; every call gets a later time than the one before,
 * so that two writes never have the same. It does not go back unless the wall clock is set back by a second or more: a
 * thread that loses the processor between its two readings, and a wall clock
 * that is slewed, would otherwise give a later write an earlier time.
 */
export function realClock(sources: ClockSources = machine): Clock {
  let baseMs = 0;
  let baseNs = 0n;
  let last: TimeNs = { s: 0, ns: 0 };
  const startAnew = (): void => {
    // A long pause between the readings would make every later time wrong by as much.
    for (let tries = 0; tries < 3; tries++) {
      const before = sources.monotonicNs();
      baseMs = sources.wallMs();
      baseNs = sources.monotonicNs();
      if (baseNs - before < 1_000_000n) return;
    }
  };
  startAnew();
  return {
    nowMs: () => sources.wallMs(),
    now() {
      const wallMs = sources.wallMs();
      let elapsedNs = Number(sources.monotonicNs() - baseNs);
      if (Math.abs(wallMs - baseMs - elapsedNs / 1e6) > APART_MAX_MS) {
        startAnew();
        elapsedNs = 0;
      }
      const ms = baseMs + Math.floor(elapsedNs / 1e6);
      const s = Math.floor(ms / 1000);
      const now = { s, ns: (ms - s * 1000) * 1e6 + (elapsedNs % 1e6) };
      const backMs = (last.s - now.s) * 1e3 + (last.ns - now.ns) / 1e6;
      // While it is waited out every call still has a time of its own: a change shows in mtime.
      last = backMs < 0 || backMs >= WAIT_OUT_MS ? now : after(last);
      return last;
    },
  };
}
