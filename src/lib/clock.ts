/**
 * The source of time. Code that stores or compares times takes a `Clock`, so
 * that tests control the time.
 */

/** A point in time as the kernel represents it: signed seconds since 1970 and 0…999,999,999 ns. */
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

/** What `realClock` reads; tests replace it. */
export interface ClockSources {
  /** Wall-clock time, whole milliseconds since 1970. */
  wallMs(): number;
  /** A time that only goes forward, in nanoseconds from an arbitrary start. */
  monotonicNs(): bigint;
}

const machine: ClockSources = {
  wallMs: () => Date.now(),
  monotonicNs: () => process.hrtime.bigint(),
};

/** A larger difference between the two sources means that the wall clock was set. */
const APART_MAX_MS = 2;

/** A shorter step back is waited out; a longer one means that the clock was set. */
const WAIT_OUT_MS = 1_000;

/** The next representable time. */
function after({ s, ns }: TimeNs): TimeNs {
  return ns < 999_999_999 ? { s, ns: ns + 1 } : { s: s + 1, ns: 0 };
}

/**
 * The machine's clock. The monotonic clock gives the nanoseconds between two
 * milliseconds of the wall clock. Every call returns a later time than the one
 * before, so that no two writes have the same time. The time goes back only
 * when the wall clock is set back by a second or more. Without this rule a
 * later write could get an earlier time: a thread may lose the processor
 * between its two readings, and the wall clock may be slewed.
 */
export function realClock(sources: ClockSources = machine): Clock {
  let baseMs = 0;
  let baseNs = 0n;
  let last: TimeNs = { s: 0, ns: 0 };
  const startAnew = (): void => {
    // A long pause between the two readings would shift every later time.
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
      // Even while a step back is waited out every call gets a new time, so that a change shows in
      // mtime.
      last = backMs < 0 || backMs >= WAIT_OUT_MS ? now : after(last);
      return last;
    },
  };
}
