/** Group saves (native-notes/design.md, rows B1–B6): the barrier's table, and simulated histories of whole groups. */
import t from 'tap';
import { BarrierTable } from '../../src/sync/group/barrier.js';
import type { GroupHistories } from './group-histories.js';
import { GroupWorld } from './group-world.js';
import { HISTORIES, runHistories } from './histories.js';

const FIRST_SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const HEALTHY_PARKED_MAX_MS = 100;

t.test('a row of the table only moves forward', async (t) => {
  const table = new BarrierTable();
  const selected = new Map([
    ['a', 1],
    ['b', 4],
  ]);
  t.same(table.missing(selected, 'k'), ['a', 'b']);
  t.ok(table.update('a', { incarnation: 1, sequence: 2, key: 'k' }));
  t.notOk(table.update('a', { incarnation: 1, sequence: 2, key: 'not k' }), 'the same once more');
  t.notOk(table.update('a', { incarnation: 1, sequence: 1, key: 'old' }), 'late');
  t.ok(table.update('b', { incarnation: 3, sequence: 9, key: 'k' }));
  t.same(table.missing(selected, 'k'), ['b'], 'the run before is not the one that was asked');
  t.ok(table.update('b', { incarnation: 4, sequence: 1, key: 'k' }));
  t.ok(table.isComplete(selected, 'k'));
  t.notOk(table.isComplete(selected, 'other'));
  t.notOk(table.update('b', { incarnation: 3, sequence: 10, key: 'x' }), 'a dead run is not heard');
  t.ok(table.isComplete(new Map([['a', 1]]), 'k'), 'only the selected ones count');
});

t.test('without trouble every group save succeeds, and nobody waits for long', async (t) => {
  for (const count of [1, 2, 7]) {
    const world = new GroupWorld(count, count);
    world.slowness = 0;
    const [first, ...rest] = world.machines;
    if (first === undefined) throw new Error('no machines');
    world.ask(first, 'nightly', rest);
    await world.settle();
    t.equal(world.broken(), undefined);
    t.equal(world.asked[0]?.answer?.outcome, 'committed', `${count} machines`);
    t.ok(world.longestParkedMs < HEALTHY_PARKED_MAX_MS, `parked for ${world.longestParkedMs} ms`);
  }
});

t.test('who is away is named', async (t) => {
  const world = new GroupWorld(1, 3);
  const [first, second, third] = world.machines;
  if (first === undefined || second === undefined || third === undefined) throw new Error('three');
  third.isRunning = false;
  world.ask(first, 'nightly', [second, third]);
  await world.settle();
  t.same(world.asked[0]?.answer?.missing, { m2: 'does not answer' });
  t.equal(world.longestParkedMs, 0, 'and nobody was parked for that');
});

t.test('who can not be parked is named, with the reason', async (t) => {
  const world = new GroupWorld(5, 3);
  const [first, second, third] = world.machines;
  if (first === undefined || second === undefined || third === undefined) throw new Error('three');
  second.disk.kept.set('nightly', { key: 'older', parkedMs: 0, savedMs: 0 });
  world.ask(first, 'nightly', [second, third]);
  await world.time.run(5000);
  t.same(world.asked[0]?.answer?.missing, { m1: 'nightly exists' });
  await world.settle();
  t.notOk(first.disk.kept.has('nightly'));
  t.notOk(third.disk.kept.has('nightly'));
});

t.test('histories with loss, cuts, stops and full disks', async (t) => {
  const outcome = runHistories<GroupHistories>('./group-histories.ts', FIRST_SEED);
  const { committed, dropped, stops, broken } = outcome;
  if (broken !== undefined) {
    t.fail(broken);
    return;
  }
  if (HISTORIES >= 100)
    t.ok(committed > HISTORIES / 10 && dropped > HISTORIES / 10, 'both outcomes happened');
  t.pass(
    `${HISTORIES} histories from SEED=${FIRST_SEED}: ${committed} committed, ${dropped} not, ${stops} stops`,
  );
});
