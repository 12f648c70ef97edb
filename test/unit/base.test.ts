/** The clocks and the log channels. */
import debug from 'debug';
import t from 'tap';
import { ManualClock, realClock } from '../../src/base/clock.js';
import { enableLogs, logFor } from '../../src/base/log.js';

t.test('the real clock goes forward in nanoseconds and agrees with Date', async (t) => {
  const clock = realClock();
  let last = 0n;
  for (let i = 0; i < 10_000; i++) {
    const { s, ns } = clock.now();
    if (ns < 0 || ns > 999_999_999 || !Number.isInteger(ns)) t.fail(`${ns} ns`);
    const now = BigInt(s) * 1_000_000_000n + BigInt(ns);
    if (now < last) t.fail('went back');
    last = now;
  }
  t.ok(Math.abs(Number(last / 1_000_000n) - Date.now()) < 50);
  t.ok(Math.abs(clock.nowMs() - Date.now()) < 50);
});

t.test('the manual clock stands still', async (t) => {
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
  enableLogs(['store', 'fuse:*']);
  t.equal(log.enabled, true);
  t.equal(logFor('fuse:request').enabled, true);
  t.equal(logFor('volume').enabled, false);
  debug.enable(before);
});
