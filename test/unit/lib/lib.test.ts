/** The clocks, the log channels, and who waits for a disk. */
import debug from 'debug';
import t from 'tap';
import { realClock, type TimeNs } from '../../../src/lib/clock.js';
import { ManualClock } from '../../manual-clock.js';
import { BaseReadBlocks, RetryLater, WouldWait } from '../../../src/lib/errors.js';
import { logFor } from '../../../src/lib/log.js';
import { WAITS, WaitPolicy } from '../../../src/lib/wait-policy.js';

const inNs = ({ s, ns }: TimeNs): bigint => {
  if (ns < 0 || ns > 999_999_999 || !Number.isInteger(ns)) throw new Error(`${ns} ns`);
  return BigInt(s) * 1_000_000_000n + BigInt(ns);
};

/** A clock over sources that tests move; both stand at 5 s. */
function clockOf() {
  let wallMs = 5_000;
  let monotonicNs = 70_000_000_000n;
  let pauseMs = 0;
  const forward = (ms: number): void => {
    wallMs += ms;
    monotonicNs += BigInt(ms) * 1_000_000n;
  };
  const clock = realClock({
    wallMs: () => {
      const was = wallMs;
      forward(pauseMs);
      pauseMs = 0;
      return was;
    },
    monotonicNs: () => monotonicNs,
  });
  const set = (to: {
    wallMs?: number;
    monotonicNs?: bigint;
    forwardMs?: number;
    pauseMs?: number;
  }): void => {
    wallMs = to.wallMs ?? wallMs;
    monotonicNs += to.monotonicNs ?? 0n;
    forward(to.forwardMs ?? 0);
    pauseMs = to.pauseMs ?? pauseMs;
  };
  return { clock, set };
}

t.test('the real clock goes forward in nanoseconds and agrees with Date', async (t) => {
  const clock = realClock();
  let last = 0n;
  for (let i = 0; i < 10_000; i++) {
    const now = inNs(clock.now());
    // Only somebody who sets the machine's clock by a second may turn it back.
    if (now <= last && now > last - 1_000_000_000n) t.fail(`from ${last} to ${now}`);
    last = now;
  }
  const apartMs = Math.abs(Number(inNs(clock.now()) / 1_000_000n) - Date.now());
  t.ok(apartMs < 1000, `${apartMs} ms from Date`);
});

t.test('the clock does not go back by a pause between its readings', async (t) => {
  const { clock, set } = clockOf();
  t.equal(inNs(clock.now()), 5_000_000_000n);
  // The thread sleeps for 8 ms after the wall clock was read, so the other one is ahead.
  set({ pauseMs: 8 });
  t.equal(inNs(clock.now()), 5_008_000_000n);
  t.equal(inNs(clock.now()), 5_008_000_001n, 'and a later call has a later time');
  set({ forwardMs: 20 });
  t.equal(inNs(clock.now()), 5_028_000_000n);
});

t.test('the clock follows a wall clock that is set, and waits out a small step back', async (t) => {
  const { clock, set } = clockOf();
  t.equal(inNs(clock.now()), 5_000_000_000n);
  set({ wallMs: 4_900 });
  t.equal(inNs(clock.now()), 5_000_000_001n, 'waits, and no two calls have the same time');
  set({ forwardMs: 99 });
  t.equal(inNs(clock.now()), 5_000_000_002n, 'still waits');
  set({ forwardMs: 2 });
  t.equal(inNs(clock.now()), 5_001_000_000n, 'goes on');
  set({ wallMs: 3_000 });
  t.equal(inNs(clock.now()), 3_000_000_000n, 'set back by two seconds');
  set({ wallMs: 90_000 });
  t.equal(inNs(clock.now()), 90_000_000_000n, 'set forward');
  set({ monotonicNs: 1_234_567n });
  t.equal(inNs(clock.now()), 90_001_234_567n, 'nanoseconds of the other source');
});

t.test('the manual clock does not move', async (t) => {
  const clock = new ManualClock(1500);
  t.same(clock.now(), { s: 1, ns: 500_000_000 });
  clock.advance(750.25);
  t.equal(clock.nowMs(), 2250.25);
  t.same(clock.now(), { s: 2, ns: 250_250_000 });
});

t.test('log channels are switched on by name', async (t) => {
  const before = debug.disable();
  const log = logFor('store');
  t.equal(log.enabled, false);
  debug.enable('shadowfs:store,shadowfs:fuse:*');
  t.equal(log.enabled, true);
  t.equal(logFor('fuse:request').enabled, true);
  t.equal(logFor('volume').enabled, false);
  debug.enable(before);
});

t.test('who waits for a disk', (t) => {
  const waits = new WaitPolicy();
  let asked = 0;
  let others = true;
  waits.othersWait = () => {
    asked++;
    return others;
  };
  t.ok(waits.allows('near') && waits.allows('far'));
  t.equal(asked, 0, 'nobody is asked');
  waits.mode = 'yield';
  t.notOk(waits.allows('near'));
  t.notOk(waits.allows('far'));
  t.equal(asked, 1, 'for a far disk nobody is asked');
  others = false;
  t.ok(waits.allows('near'));
  t.notOk(waits.allows('far'));
  waits.patiently(() => t.ok(waits.allows('far')));
  t.throws(() =>
    waits.patiently(() => {
      throw new RetryLater();
    }),
  );
  t.equal(waits.mode, 'yield', 'as it was');
  t.ok(WAITS.allows('far'));
  t.ok(new BaseReadBlocks(3, 0, 1) instanceof WouldWait && new RetryLater() instanceof WouldWait);
  t.end();
});
