import * as fc from 'fast-check';
import t from 'tap';
import { LookupCounts } from '../../../src/tree/nodes/lookup-counts.js';

t.test('counts, forgets, and returns the rest', (t) => {
  const counts = new LookupCounts();
  counts.add(1);
  counts.add(2 ** 52 - 1, 3);
  counts.add(1);
  t.equal(counts.get(1), 2);
  t.equal(counts.get(2 ** 52 - 1), 3);
  t.equal(counts.get(7), 0);
  t.equal(counts.subtract(1, 1), 1);
  t.ok(counts.has(1));
  t.equal(counts.subtract(1, 5), 0, 'more than there are counts as all');
  t.notOk(counts.has(1));
  t.equal(counts.subtract(99, 1), 0, 'an unknown inode is no error');
  t.equal(counts.size, 1);
  t.end();
});

t.test('grows, shrinks, and stays right with neighbours removed', (t) => {
  const counts = new LookupCounts();
  const slots = counts.slots;
  for (let ino = 1; ino <= 50_000; ino++) counts.add(ino * 4096);
  t.ok(counts.slots > 50_000);
  for (let ino = 1; ino <= 50_000; ino += 2) counts.subtract(ino * 4096, 1);
  let wrong = 0;
  for (let ino = 1; ino <= 50_000; ino++) {
    if (counts.has(ino * 4096) !== (ino % 2 === 0)) wrong++;
  }
  t.equal(wrong, 0);
  for (let ino = 2; ino <= 50_000; ino += 2) counts.subtract(ino * 4096, 1);
  t.equal(counts.size, 0);
  t.equal(counts.slots, slots, 'memory is given back');
  t.end();
});

t.test('behaves like a Map', (t) => {
  const step = fc.record({
    ino: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 2 ** 40, max: 2 ** 40 + 40 })),
    count: fc.integer({ min: 1, max: 3 }),
    add: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const counts = new LookupCounts();
      const model = new Map<number, number>();
      for (const { ino, count, add } of steps) {
        if (add) {
          counts.add(ino, count);
          model.set(ino, (model.get(ino) ?? 0) + count);
        } else {
          const left = Math.max(0, (model.get(ino) ?? 0) - count);
          if (left === 0) model.delete(ino);
          else model.set(ino, left);
          if (counts.subtract(ino, count) !== left) return false;
        }
      }
      return (
        counts.size === model.size && [...model].every(([ino, count]) => counts.get(ino) === count)
      );
    }),
  );
  t.end();
});
