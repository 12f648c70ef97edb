/** The long run's schedule of snapshots, its sums over minutes, its plots. */
import t from 'tap';
import { plots, roundUp } from '../../bench/long/plot.js';
import { levelPlots, levelTable, quantile, type Sample } from '../../bench/long/samples.js';
import { expired, type Taken } from '../../bench/long/schedule.js';

const schedule = { allForMs: 30_000, oneEveryMs: 60_000, forMs: 180_000 };

t.test('all of the last, then the first of each period, then none', async (t) => {
  let kept: Taken[] = [];
  for (let atMs = 10_000; atMs <= 600_000; atMs += 10_000) {
    kept.push({ name: `s-${atMs}`, atMs });
    const gone = expired(kept, atMs, schedule);
    kept = kept.filter((one) => !gone.includes(one));
  }
  t.same(
    kept.map(({ atMs }) => atMs / 1000),
    [420, 480, 540, 570, 580, 590, 600],
  );
  t.same(expired([], 0, schedule), []);
});

t.test('quantiles, axes', async (t) => {
  t.equal(quantile([3, 1, 2, 4], 0.5), 3);
  t.equal(quantile([3, 1, 2], 1), 3);
  t.ok(Number.isNaN(quantile([], 0.5)));
  t.same([0, 1, 1.1, 4, 51, 0.03].map(roundUp), [1, 1, 2, 5, 100, 0.05]);
});

t.test('a line for each period, a line in each plot', async (t) => {
  const sample = (n: number): Sample => ({
    atMs: n * 10_000,
    calls: 8000,
    p50Us: n,
    p99Us: 100 * n,
    maxUs: 1000 * n,
    saveMs: 2,
    anonBytes: 2 ** 20,
    usedBytes: 2 ** 21,
    liveBytes: 2 ** 20,
    snapshots: n,
    layers: n + 1,
  });
  const samples = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(sample);
  const lines = levelTable(samples, 60_000).split('\n');
  t.equal(lines.length, 3);
  t.match(lines[1], /^0-1 +800 +3.5 +350 +6.00|^0-1 +800 +4 +350 +6.00/);
  t.match(lines[2], /^1-2 +800 +8 +800 +9.00/);
  const svg = plots(levelPlots(samples), 'title <', 'note');
  t.equal(svg.match(/<path class/g)?.length, 8);
  t.match(svg, 'title &lt;');
  t.notMatch(svg, 'NaN');
});
