import t from 'tap';
import {
  type AddressedRun,
  addressed,
  classifyRuns,
  runsText,
  splitByAddress,
} from '../../../src/tree/snapshots/shadow-runs.js';

const run = (offset: number, length: number, layer: AddressedRun['layer']): AddressedRun => ({
  offset,
  length,
  layer,
});

t.test('the runs of a view become addresses', (t) => {
  t.strictSame(
    addressed([
      { offset: 4, length: 4, where: 'layer', layer: 2 },
      { offset: 8, length: 4, where: 'base' },
      { offset: 12, length: 4, where: 'hole' },
    ]),
    [run(4, 4, 2), run(8, 4, 'base'), run(12, 4, 'hole')],
  );
  t.end();
});

t.test('a run is split where others have the same address', (t) => {
  const { same, rest } = splitByAddress(run(10, 30, 5), [
    run(0, 15, 5),
    run(15, 5, 6),
    run(20, 5, 5),
    run(25, 100, 7),
  ]);
  t.strictSame(same, [run(10, 5, 5), run(20, 5, 5)]);
  t.strictSame(rest, [run(15, 5, 5), run(25, 15, 5)]);
  t.end();
});

t.test('Fig 10: own, preserved by a more recent snapshot, shared, base, hole', (t) => {
  // Snapshot of layer 3; the most recent snapshots on the path are of layers 5 and 4.
  const runs = [
    run(0, 40, 3),
    run(40, 10, 1),
    run(50, 10, 'base'),
    run(60, 10, 'hole'),
    run(70, 10, 2),
  ];
  const live = [run(0, 10, 3), run(10, 60, 6), run(70, 10, 2)];
  const newer = [
    { name: 'five', runs: [run(0, 20, 3), run(20, 60, 5)] },
    { name: 'four', runs: [run(0, 30, 3), run(30, 50, 4)] },
  ];
  t.strictSame(classifyRuns(runs, live, newer), [
    { offset: 0, length: 10, where: 'shared' },
    { offset: 10, length: 10, where: 'preserved', snapshot: 'five' },
    { offset: 20, length: 10, where: 'preserved', snapshot: 'four' },
    { offset: 30, length: 20, where: 'own' },
    { offset: 50, length: 10, where: 'base' },
    { offset: 60, length: 10, where: 'hole' },
    { offset: 70, length: 10, where: 'shared' },
  ]);
  t.end();
});

t.test('newer snapshots are read only while runs are unclassified', (t) => {
  const newer = {
    // biome-ignore lint/correctness/useYield: it must not be asked at all
    *[Symbol.iterator](): Generator<{ name: string; runs: AddressedRun[] }> {
      t.fail('asked for newer snapshots');
    },
  };
  t.strictSame(classifyRuns([run(0, 8, 3)], [run(0, 8, 3)], newer), [
    { offset: 0, length: 8, where: 'shared' },
  ]);
  t.end();
});

t.test('runs as text, cut at a line', (t) => {
  const runs = [
    { offset: 0, length: 4, where: 'own' as const },
    { offset: 4, length: 4, where: 'preserved' as const, snapshot: 'a' },
  ];
  t.equal(runsText(runs, 1000), '0 4 own\n4 4 preserved a\n');
  t.equal(runsText(runs, 20), '0 4 own\n...\n');
  t.end();
});
