/** The benchmark's judgement: medians and targets, the recorded rows, the guard, the chart. */
import t from 'tap';
import { chart, positionOf, scaleOf } from '../../bench/report/chart.js';
import { chartRows } from '../../bench/report/chart-rows.js';
import { comparedCount, worseText, worseThan, worseTwice } from '../../bench/report/guard.js';
import { figuresOf, type Measured, median, type Roles } from '../../bench/report/measured.js';
import { lastRecorded, parseRecords, rowLine, setText } from '../../bench/report/records.js';
import { comparisonTable, memoryTable, ownTable } from '../../bench/report/table.js';

const roles: Roles = {
  disk: 'ext4',
  kernel: ['overlayfs'],
  peers: ['slow', 'fast'],
  own: ['shadowfs', 'shadowfs-native'],
};

function row(
  name: string,
  rounds: Record<string, number[]>,
  rest: Partial<Measured> = {},
): Measured {
  return { name, title: `the ${name}`, unit: 'ms', rounds, memoryBytes: {}, ...rest };
}

const untar = row(
  'untar',
  { ext4: [10, 30, 20], overlayfs: [28], slow: [160], fast: [80], shadowfs: [50, 40, 30] },
  { target: { ratio: 2 }, memoryBytes: { shadowfs: [3 * 2 ** 20] } },
);

t.test('medians, ratios, targets', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([1, 2, 3, 4]), 2.5);
  t.ok(Number.isNaN(median([])));
  const figures = figuresOf(untar, roles);
  t.equal(figures.medians['ext4'], 20);
  t.same(figures.ratios, { ext4: 1, overlayfs: 1.4, slow: 8, fast: 4, shadowfs: 2 });
  t.equal(figures.bestPeer, 'fast');
  t.equal(figures.worstPeer, 'slow');
  t.same(figures.toBestPeer, { shadowfs: 0.5 });
  t.same(figures.isMet, { shadowfs: true }, 'the limit itself is met');
  const slower = figuresOf({ ...untar, target: { ratio: 1.9 } }, roles);
  t.same(slower.isMet, { shadowfs: false });
  const bytes = row('size', { ext4: [100], shadowfs: [150] }, { unit: 'bytes' });
  const sizes = figuresOf({ ...bytes, target: { atMost: 150 } }, roles);
  t.same(sizes.ratios, {}, 'amounts are not divided');
  t.same(sizes.isMet, { shadowfs: true });
  const block = row('block', { shadowfs: [36_864] }, { unit: 'bytes' });
  const exact = figuresOf({ ...block, target: { atMost: 36_864 } }, roles);
  t.same(exact.isMet, { shadowfs: true }, 'a limit that has more places than the table');
  const failed = figuresOf(row('cp', { ext4: [], shadowfs: [5] }, { target: { ratio: 1 } }), roles);
  t.same([failed.ratios, failed.isMet], [{}, {}], 'without the disk nothing is judged');
});

t.test('tables', async (t) => {
  const table = comparisonTable([untar], roles);
  t.match(table, /the untar\s+20\.0\s+1\.40\s+8\.00\s+4\.00\s+40\.0\s+2\.00\s+0\.50/);
  t.match(table, /fast\s+<= 2\s+met/);
  t.match(memoryTable([untar], roles), /the untar.*3\.0 M/);
  t.equal(memoryTable([row('cp', { ext4: [1] })], roles), undefined);
  const depth = row('depth', { shadowfs: [1.3] }, { unit: 'x', target: { atMost: 1.1 } });
  const memory = row('memory', { shadowfs: [2 ** 20] }, { unit: 'bytes' });
  t.match(ownTable([memory], 'shadowfs'), /the memory\s+1\.0 M$/m);
  t.match(ownTable([depth], 'shadowfs'), /the depth\s+1\.30 x\s+<= 1\.1\s+missed/);
});

const set = (day: string, ...lines: string[]): string =>
  setText({ date: new Date(`${day}T10:20:30Z`), command: 'x', sections: ['a table'], lines });

t.test('recorded rows', async (t) => {
  t.equal(
    rowLine(untar, 'full', roles),
    'row untar ms full ext4=20 overlayfs=28 slow=160 fast=80 shadowfs=40',
  );
  const text = [
    'Figures. row by row.\n2026-11-20  a note\nrow\nrow broken',
    set('2026-11-21', rowLine(untar, 'full', roles), 'row rm ms full ext4=5 shadowfs=x bad'),
    'a note by hand\n',
    set('2026-11-22', 'row untar ms quick ext4=1 shadowfs=3'),
    set('2026-11-23', 'row untar ms full ext4=10 shadowfs=15'),
  ].join('\n');
  const rows = parseRecords(text);
  t.equal(rows.length, 4);
  t.match(rows[0], {
    date: '2026-11-21 10:20',
    name: 'untar',
    unit: 'ms',
    material: 'full',
    medians: { ext4: 20, shadowfs: 40 },
  });
  t.same(rows[1]?.medians, { ext4: 5 }, 'what is no number is left out');
  const last = lastRecorded(rows, 'full');
  t.same(last.get('untar')?.medians, { ext4: 10, shadowfs: 15 });
  t.same([...last.keys()], ['untar', 'rm']);
  t.same(lastRecorded(rows, 'quick').get('untar')?.medians, { ext4: 1, shadowfs: 3 });
  t.same(parseRecords(''), []);
});

t.test('the guard', async (t) => {
  const recorded = lastRecorded(
    parseRecords(
      set(
        '2026-11-21',
        'row untar ms full ext4=10 shadowfs=16',
        'row rm ms full ext4=10 shadowfs=16',
        'row size bytes full ext4=100 shadowfs=100',
        'row save ms full shadowfs=1',
        'row depth x full shadowfs=1',
      ),
    ),
    'full',
  );
  const now = [
    // 2.0 now, 1.6 then: a quarter, and not more.
    untar,
    // Twice as slow, and so is the disk.
    row('rm', { ext4: [20], shadowfs: [32] }),
    row('size', { ext4: [100], shadowfs: [126] }, { unit: 'bytes' }),
    // A time without a disk beside it says nothing.
    row('save', { shadowfs: [9] }),
    row('depth', { shadowfs: [1.2] }, { unit: 'x' }),
    row('new', { ext4: [1], shadowfs: [9] }),
  ];
  const first = worseThan(now, recorded, roles);
  t.same(
    first.map((worse) => worse.row),
    ['size'],
  );
  t.equal(comparedCount(now, recorded), 5);
  const slow = { ...untar, rounds: { ext4: [20], shadowfs: [41] } };
  const second = worseThan([slow, ...now.slice(1)], recorded, roles);
  t.same(
    second.map((worse) => worse.row),
    ['untar', 'size'],
  );
  t.same(
    worseTwice(first, second).map((worse) => worse.row),
    ['size'],
    'what was worse once only is not named',
  );
  t.equal(
    second.map(worseText)[0],
    'the untar: shadowfs 2.05, recorded 1.6 on 2026-11-21 10:20 (1.28 times)',
  );
});

t.test('the chart', async (t) => {
  t.same(scaleOf([1.2, 30]), { low: 1, high: 50 });
  t.same(scaleOf([0.4]), { low: 0.2, high: 2 });
  t.equal(positionOf(10, 1, 100), 0.5);
  t.same([positionOf(0.01, 1, 100), positionOf(1e9, 1, 100)], [0, 1]);

  const recorded = lastRecorded(
    parseRecords(
      [
        set('2026-11-20', 'row rm ms full ext4=10 shadowfs=5'),
        set('2026-11-21', rowLine(untar, 'full', roles), 'row cp ms full shadowfs=5'),
      ].join(''),
    ),
    'full',
  );
  const { rows, date } = chartRows(recorded, roles);
  t.same(rows, [
    { title: 'untar, 16,000 entries', own: 2, bestPeer: 4, worstPeer: 8, overlayfs: 1.4 },
    { title: 'rm -rf', own: 0.5 },
  ]);
  t.equal(date, '2026-11-21 10:20');

  const svg = chart([...rows, { title: 'a < b & "c"', own: 1, bestPeer: 2, worstPeer: 2 }], {
    title: 'Times',
    note: 'a note',
  });
  t.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="\d+" height="\d+"/);
  t.match(svg, /prefers-color-scheme: dark/);
  t.match(svg, 'a &lt; b &amp; &quot;c&quot;');
  const elements = (name: string): string[] => svg.match(new RegExp(`<${name}[^>]*>`, 'g')) ?? [];
  const numberOf = (element: string | undefined, name: string): number =>
    Number(new RegExp(` ${name}="([-\\d.]+)"`).exec(element ?? '')?.[1]);
  const bars = elements('rect').filter((rect) => numberOf(rect, 'y') > 60);
  const ofKind = (kind: string): string[] => bars.filter((rect) => rect.includes(`"${kind}"`));
  t.same(
    ['own', 'best', 'worst', 'overlay'].map((kind) => ofKind(kind).length),
    [3, 2, 2, 1],
  );
  const one = elements('line').find((line) => line.includes('"one"'));
  const origin = numberOf(one, 'x1');
  const [above, below] = ofKind('own');
  t.equal(numberOf(above, 'x'), origin, 'what is slower than ext4 begins there');
  t.ok(
    Math.abs(numberOf(below, 'x') + numberOf(below, 'width') - origin) < 0.2,
    'what is faster ends there',
  );
  const [best] = ofKind('best');
  const [worst] = ofKind('worst');
  t.ok(
    Math.abs(numberOf(best, 'width') - numberOf(above, 'width') * 2) < 0.3,
    'a logarithmic scale',
  );
  t.ok(
    Math.abs(numberOf(best, 'x') + numberOf(best, 'width') - numberOf(worst, 'x')) < 0.2,
    'the worst peer goes on from the best',
  );
  t.ok(
    bars.every((rect) => numberOf(rect, 'x') + numberOf(rect, 'width') <= 860),
    'nothing leaves the picture',
  );
});
