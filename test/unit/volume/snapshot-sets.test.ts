/** Deleting several snapshots at once, and pruning by rules. */
import t from 'tap';
import { parseKeepRules } from '../../../src/format/text/keep-pruned.js';
import { judge } from '../../../src/volume/snapshots/expiry.js';
import { codeOf } from './code-of.js';
import { VolumeFixture } from './volume-fixture.js';

const DAY_MS = 86_400_000;

t.test('all of the named ones are deleted, or none', async (t) => {
  const fixture = new VolumeFixture(t);
  const { volume } = fixture;
  for (const name of ['a', 'b', 'we*rd', 'x..y', 'c']) {
    fixture.write('f', name);
    fixture.clock.advance(DAY_MS);
    volume.save(name, 'test');
  }
  volume.lockSnapshot('b', 'the audit', 'test');
  const names = (): string =>
    volume
      .snapshots()
      .map(({ name }) => name)
      .join();
  const plan = volume.sets.delete(
    { names: ['a', 'bb'], match: ['..b', 'z*'], dryRun: true },
    'test',
  );
  t.match(plan, {
    dryRun: true,
    deleted: ['a'],
    refused: [
      { name: 'bb', code: 'no-such-snapshot', message: /did you mean b/ },
      { name: 'z*', code: 'no-such-snapshot' },
      { name: 'b', code: 'snapshot-locked', locks: [{ text: 'the audit' }] },
    ],
  });
  for (const set of [
    { match: ['a..b'] },
    { names: ['a', 'none'] },
    { match: ['a', 'c..a'] },
    { names: ['[a]'] },
  ]) {
    t.throws(() => volume.sets.delete(set, 'test'), {
      code: 'not-all-deleted',
      details: { deleted: [] },
    });
  }
  t.equal(names(), 'a,b,we*rd,x..y,c');
  fixture.flush();
  const before = volume.history().length;
  t.match(volume.sets.delete({ names: ['we*rd', 'x..y'] }, 'test'), { deleted: ['we*rd', 'x..y'] });
  t.equal(names(), 'a,b,c', 'a name is no pattern and no range');
  fixture.flush();
  t.equal(volume.history().length, before + 2, 'one record for each');
  const now = fixture.clock.nowMs();
  t.same(volume.sets.delete({ beforeMs: now - 30 * DAY_MS }, 'test').deleted, []);
  t.match(volume.sets.delete({ match: ['*'], beforeMs: now - 3 * DAY_MS }, 'test', true), {
    deleted: ['a', 'b'],
  });
  t.equal(names(), 'c');
  t.equal(
    codeOf(() => volume.undo(undefined, 'test')),
    'cannot-undo',
  );
  fixture.flush();
  t.same(fixture.check().findings, []);
});

t.test('pruning says why each is kept', async (t) => {
  const fixture = new VolumeFixture(t);
  const { volume } = fixture;
  t.equal(
    codeOf(() => volume.sets.prune({}, undefined, 'test')),
    'no-keep-rules',
  );
  volume.schedules.set('every 1h', 'test');
  t.equal(
    codeOf(() => volume.sets.prune({}, undefined, 'test')),
    'no-keep-rules',
    'it keeps all',
  );
  volume.schedules.set('every 1h, keep 2 daily', 'test');
  const saved: string[] = [];
  for (let i = 0; i < 5; i++) {
    fixture.write('f', `auto ${i}`);
    fixture.clock.advance(DAY_MS);
    volume.schedules.set('every 1h', 'test');
    saved.push(String(volume.runSchedule().saved));
    volume.save(`mine-${i}`, 'test');
  }
  volume.schedules.set('every 1h, keep 2 daily', 'test');
  volume.lockSnapshot(saved[1] as string, 'needed', 'test');
  const plan = volume.sets.prune({ dryRun: true }, undefined, 'test');
  t.match(plan, { keeps: '2 daily', deleted: [saved[0], saved[2]] });
  t.match(plan.kept, [
    { name: saved[1], rules: [{ rule: 'locked' }] },
    { name: saved[3], rules: [{ rule: 'daily', period: /^\d{4}-\d\d-\d\d$/ }] },
    { name: saved[4], rules: [{ rule: 'newest' }, { rule: 'daily' }] },
  ]);
  t.equal(volume.snapshots().length, 10);
  t.match(volume.sets.prune({}, undefined, 'test'), { deleted: [saved[0], saved[2]] });
  fixture.flush();
  t.match(volume.history().filter(({ command }) => command === 'prune')[0], {
    command: 'prune',
    outcome: 'deleted 2, kept 1 locked',
    details: { keeps: '2 daily' },
  });
  const rules = parseKeepRules('1');
  t.throws(() => volume.sets.prune({ match: ['none'] }, rules, 'test'), {
    code: 'no-such-snapshot',
  });
  t.match(volume.sets.prune({ match: ['mine-*'] }, rules, 'test'), {
    deleted: ['mine-0', 'mine-1', 'mine-2', 'mine-3'],
    kept: [{ name: 'mine-4', rules: [{ rule: 'newest' }, { rule: 'all' }] }],
  });
  t.match(volume.sets.prune({ match: ['*'] }, parseKeepRules('5'), 'test').deleted, []);
  fixture.flush();
  t.same(fixture.check().findings, []);
});

t.test('periods are named as people do', async (t) => {
  const at = new Date(2026, 10, 29, 13, 5).getTime();
  const one = { kind: 'user', layer: 1, createdMs: at, isLocked: false };
  const early = { ...one, layer: 2, createdMs: at + DAY_MS };
  const rules = parseKeepRules('1 hourly 1 daily 1 weekly 1 monthly 1 yearly');
  const { kept } = judge(rules, [one, early], at);
  t.same(
    kept.map(({ reasons }) => reasons.map(({ rule, period }) => `${rule} ${period ?? ''}`.trim())),
    [
      [
        'newest',
        'hourly 2026-11-29 13:00',
        'daily 2026-11-29',
        'weekly the week of 2026-11-23',
        'monthly 2026-11',
        'yearly 2026',
      ],
      ['later'],
    ],
  );
});
