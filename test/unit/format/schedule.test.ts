/** Schedules: their grammar, what expires, when they are due, and what a volume does then. */
import fc from 'fast-check';
import t from 'tap';
import { Deferred } from '../../../src/lib/deferred.js';
import { CommandError } from '../../../src/lib/errors.js';
import type { Answer } from '../../../src/control/command.js';
import { dueMs, ScheduleRunner } from '../../../src/daemon/commands/schedule-runner.js';
import {
  formatSchedule,
  KEEP_CLASSES,
  parseSchedule,
  type Schedule,
} from '../../../src/format/text/schedule.js';
import { expired, type Expiring } from '../../../src/volume/snapshots/expiry.js';
import { VolumeFixture } from '../volume/volume-fixture.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

t.test('the text of a schedule', async (t) => {
  const same = (text: string, canonical: string): void =>
    void t.equal(formatSchedule(parseSchedule(text)), canonical, text);
  same(
    'every 10m, keep 6 all, 24 hourly 7 daily 4 weekly',
    'every 10m, keep 6 all 24 hourly 7 daily 4 weekly',
  );
  same('every 90 s', 'every 90s');
  same('Every hour', 'every 1h');
  same('every 60m;keep all', 'every 1h');
  same('  every 2 Days ,keep 3newest and 2 years', 'every 2d, keep 3 all 2 yearly');
  same('every 14 days keep 1 monthly', 'every 2w, keep 1 monthly');
  const says = (text: string, message: RegExp): void =>
    void t.throws(() => parseSchedule(text), { code: 'bad-schedule', errno: 'EINVAL', message });
  says('', /begins with "every".*as in "every 10m/);
  says('10m', /begins with "every"/);
  says('every', /the schedule ends where s, m, h, d or w is expected/);
  says('every 5 parsecs', /"parsecs" stands where s, m, h/);
  says('every 0m', /"0" stands where a number from 1/);
  says('every 10m 5 daily', /"5" stands where "keep" is expected/);
  says('every 10m, keep', /the schedule ends where a number/);
  says('every 10m, keep 5', /the schedule ends where one of all hourly/);
  says('every 10m, keep daily', /"daily" stands where a number/);
  says('every 10m, keep 5 daily 3 days', /"daily" is given twice/);
  says('every 10m, keep 5 daily, now', /"now" stands where a number/);
  says('every 400d', /at most a year/);
  says('x'.repeat(2000), /longer than/);
});

const schedules = fc.record({
  everyMs: fc.integer({ min: 1, max: 365 * 86_400 }).map((s) => s * 1000),
  keep: fc.option(
    fc
      .dictionary(fc.constantFrom(...KEEP_CLASSES), fc.integer({ min: 1, max: 12 }), {
        minKeys: 1,
        noNullPrototype: true,
      })
      .map((kept) => new Map(Object.entries(kept)) as Schedule['keep']),
    { nil: undefined },
  ),
});

t.test('any text is parsed or refused, and the shown form means the same', async (t) => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const again = parseSchedule(formatSchedule(schedule));
      return (
        again.everyMs === schedule.everyMs &&
        JSON.stringify([...(again.keep ?? [])].sort()) ===
          JSON.stringify([...(schedule.keep ?? [])].sort())
      );
    }),
  );
  const words = fc.constantFrom('every', 'keep', '10', 'm', '3', 'daily', 'all', ',', '-1', 'é');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(words).map((list) => list.join(' ')),
      ),
      (text) => {
        try {
          parseSchedule(text);
        } catch (error) {
          if (!(error instanceof CommandError)) throw error;
        }
      },
    ),
  );
  t.pass('no other error');
});

const START_MS = Date.UTC(2026, 10, 2);

interface Made extends Expiring {
  name: string;
}

/** Snapshots in the order they were made; their times may run anywhere. */
const histories = fc
  .array(
    fc.record({
      kind: fc.constantFrom('auto', 'auto', 'auto', 'user', 'undo'),
      createdMs: fc.integer({ min: 0, max: 40 * 24 }).map((hours) => START_MS + hours * HOUR_MS),
      isLocked: fc.boolean(),
    }),
    { maxLength: 60 },
  )
  .map((made): Made[] => made.map((one, n) => ({ ...one, layer: n + 2, name: `s${n}` })));

const hourOf = ({ createdMs }: Expiring): number => Math.floor(createdMs / HOUR_MS);
const dayOf = ({ createdMs }: Expiring): number => Math.floor(createdMs / DAY_MS);
/** Monday's date, told another way than the code does. */
const weekOf = ({ createdMs }: Expiring): number => {
  const date = new Date(createdMs);
  const back = (date.getUTCDay() + 6) % 7;
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() - back);
};

t.test('which snapshots expire', async (t) => {
  fc.assert(
    fc.property(
      schedules,
      histories,
      fc.integer({ min: 0, max: 41 * 24 }),
      (schedule, made, at) => {
        const nowMs = START_MS + at * HOUR_MS;
        const result = expired(schedule, made, nowMs);
        const gone = new Set([...result.expired, ...result.locked]);
        const present = made.filter((one) => one.kind === 'auto' && one.createdMs <= nowMs);
        t.ok(
          result.expired.every((one) => !one.isLocked),
          'locked ones stay',
        );
        t.ok(
          result.locked.every((one) => one.isLocked),
          'and are named',
        );
        t.ok(
          [...gone].every((one) => present.includes(one)),
          'only those of the schedule, up to now',
        );
        const newest = present.at(-1);
        t.notOk(newest !== undefined && gone.has(newest), 'the newest stays');
        if (schedule.keep === undefined) t.equal(gone.size, 0);
        const kept = new Set(newest === undefined ? [] : [newest]);
        for (const one of present.slice(-(schedule.keep?.get('all') ?? 0) || present.length)) {
          if (schedule.keep?.has('all')) kept.add(one);
        }
        for (const [name, of] of [
          ['hourly', hourOf],
          ['daily', dayOf],
          ['weekly', weekOf],
        ] as const) {
          const buckets = new Map<number, Made>();
          for (const one of [...present].reverse()) {
            if (!buckets.has(of(one))) buckets.set(of(one), one);
          }
          for (const one of [...buckets.values()].slice(0, schedule.keep?.get(name) ?? 0))
            kept.add(one);
        }
        t.ok(
          [...kept].every((one) => !gone.has(one)),
          'the newest of each stays',
        );
        const others = schedule.keep?.has('monthly') || schedule.keep?.has('yearly');
        if (schedule.keep !== undefined && !others) {
          t.equal(gone.size, present.length - kept.size, 'and nothing else');
        }
        const left = made.filter((one) => !result.expired.includes(one));
        t.same(expired(schedule, left, nowMs).expired, [], 'once more changes nothing');
      },
    ),
  );
});

t.test('three weeks of saves every ten minutes', async (t) => {
  const schedule = parseSchedule('every 10m, keep 6 all, 24 hourly 7 daily 2 weekly');
  let kept: Made[] = [];
  for (let n = 1; n <= 21 * 144; n++) {
    const createdMs = START_MS + n * 10 * MINUTE_MS;
    kept.push({ kind: 'auto', layer: n + 1, createdMs, isLocked: false, name: `${n}` });
    const { expired: gone } = expired(schedule, kept, createdMs);
    kept = kept.filter((one) => !gone.includes(one));
  }
  const hours = kept.map(({ createdMs }) => (createdMs - START_MS) / HOUR_MS);
  // At midnight: two of the six are the newest of their hours, two of those the newest of their days.
  t.equal(kept.length, 6 + 22 + 5);
  t.ok(Math.min(...hours) > 15 * 24, 'seven days');
});

t.test('when a schedule is due', async (t) => {
  t.equal(dueMs(1000, undefined, 5000), 5000, 'never yet: now');
  t.equal(dueMs(1000, 4500, 5000), 5500);
  t.equal(dueMs(1000, 1, 9_000_000), 1001, 'long ago: once');
  t.equal(dueMs(1000, 9_000_000, 5000), 6000, 'the clock was set back: an interval at most');
});

/** Time goes on as told; timers run when the monotonic clock says so. */
class Machine {
  wallMs = START_MS;
  everyMs: number | undefined = 10 * MINUTE_MS;
  lastMs: number | undefined;
  isUp = true;
  runs: number[] = [];
  running: Deferred<Answer> | undefined;
  #timers: { atMs: number; run: () => void }[] = [];
  #upMs = 0;
  readonly runner = new ScheduleRunner({
    machine: this,
    get everyMs() {
      return this.machine.everyMs;
    },
    get lastMs() {
      return this.machine.lastMs;
    },
    isReady: () => this.isUp,
    run: () => {
      this.runs.push(this.wallMs);
      const answer = new Deferred<Answer>();
      if (this.running === undefined) answer.resolve({ deleted: [], locked: [] });
      else this.running = answer;
      return answer;
    },
    nowMs: () => this.wallMs,
    later: (delayMs, run) => void this.#timers.push({ atMs: this.#upMs + delayMs, run }),
  } as ConstructorParameters<typeof ScheduleRunner>[0] & { machine: Machine });

  advance(ms: number): void {
    const end = this.#upMs + ms;
    for (;;) {
      this.#timers.sort((a, b) => a.atMs - b.atMs);
      const next = this.#timers[0];
      if (next === undefined || next.atMs > end) break;
      this.#timers.shift();
      this.wallMs += next.atMs - this.#upMs;
      this.#upMs = next.atMs;
      next.run();
    }
    this.wallMs += end - this.#upMs;
    this.#upMs = end;
  }
}

t.test('the runner: one run for all that was missed', async (t) => {
  const machine = new Machine();
  machine.runner.start();
  t.equal(machine.runs.length, 1, 'at once');
  machine.advance(HOUR_MS);
  t.equal(machine.runs.length, 7, 'every ten minutes');
  machine.wallMs += 5 * DAY_MS;
  machine.advance(MINUTE_MS);
  t.equal(machine.runs.length, 8, 'slept for days: once, soon');
  machine.advance(9 * MINUTE_MS);
  t.equal(machine.runs.length, 8);
  machine.wallMs -= 30 * DAY_MS;
  machine.advance(11 * MINUTE_MS);
  t.equal(machine.runs.length, 9, 'set back by a month: an interval later');
  machine.everyMs = MINUTE_MS;
  machine.lastMs = machine.wallMs;
  machine.runner.start();
  machine.advance(5 * MINUTE_MS);
  t.equal(machine.runs.length, 14, 'a new schedule, and not the old one beside it');
  machine.running = new Deferred<Answer>();
  machine.advance(10 * MINUTE_MS);
  t.equal(machine.runs.length, 15, 'one at a time');
  machine.running.reject(new CommandError('volume-failed', 'EIO', 'no disk'));
  t.match(machine.runner.status(), {
    lastRun: { ok: false, code: 'volume-failed', message: 'no disk' },
  });
  machine.running = undefined;
  machine.advance(MINUTE_MS);
  t.ok(machine.runs.length >= 16 && machine.runs.length <= 17, 'it goes on after a failure');
  machine.everyMs = undefined;
  machine.runner.start();
  const before = machine.runs.length;
  machine.advance(HOUR_MS);
  t.equal(machine.runs.length, before, 'off');
  t.match(machine.runner.status(), { nextDueMs: null });
  machine.everyMs = MINUTE_MS;
  machine.isUp = false;
  machine.runner.start();
  machine.advance(MINUTE_MS);
  t.equal(machine.runs.length, before, 'not before the mount is there');
});

t.test('a volume with a schedule', async (t) => {
  const fixture = new VolumeFixture(t);
  const first = fixture.volume;
  t.throws(() => first.schedules.set('often', 'test'), { code: 'bad-schedule' });
  t.equal(first.schedules.text, undefined);
  t.throws(() => first.runSchedule(), { code: 'no-schedule' });
  first.schedules.set('every 10 minutes keep 2 all', 'test');
  fixture.close();
  const { volume } = fixture;
  t.equal(volume.schedules.text, 'every 10m, keep 2 all', 'it is stored');
  const run = (): Record<string, unknown> => {
    fixture.clock.advance(10 * MINUTE_MS);
    const answer = volume.runSchedule();
    fixture.flush();
    return { ...answer };
  };
  fixture.write('f', 'one');
  const one = run()['saved'] as string;
  t.match(one, /^auto-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/);
  t.match(volume.snapshot(one), { kind: 'auto', source: 'schedule' });
  t.equal(volume.latest()?.name, one);
  t.same(run(), { deleted: [], locked: [] }, 'nothing has changed');
  fixture.write('f', 'two');
  volume.save('auto-mine', 'test');
  t.same(run(), { deleted: [], locked: [] }, 'it is saved already');
  fixture.write('f', 'three');
  const two = run()['saved'] as string;
  volume.renameSnapshot(two, 'mine now', 'test');
  fixture.write('f', 'four');
  const three = run()['saved'] as string;
  volume.lockSnapshot(one, 'needed', 'test');
  fixture.write('f', 'five');
  t.match(run(), { deleted: [], locked: [one] });
  fixture.write('f', 'six');
  t.match(run(), { deleted: [three], locked: [one] });
  const told = volume.history().filter(({ command }) => command === 'prune');
  t.match(told, [
    { source: 'schedule', details: { deleted: [], locked: [one] } },
    { source: 'schedule', details: { deleted: [three], locked: [one] } },
  ]);
  t.same(run(), { deleted: [], locked: [one] });
  t.same(volume.history().filter(({ command }) => command === 'prune').length, 2, 'told once');
  const names = volume.snapshots().map(({ name }) => name);
  t.ok(['auto-mine', 'mine now', one].every((name) => names.includes(name)));
  volume.unlockSnapshot(one, undefined, 'test');
  t.match(run(), { deleted: [one], locked: [] });
  volume.schedules.set('off', 'test');
  t.equal(volume.schedules.text, undefined);
  fixture.close();
  t.equal(fixture.volume.schedules.text, undefined);
  t.same(fixture.check().findings, []);
});
