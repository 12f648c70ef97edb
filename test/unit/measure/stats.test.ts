/** The figures of a mount: buckets of durations, counts, differences, their text. */
import t from 'tap';
import { formatFigure, otherLines, requestLines } from '../../../src/cli/commands/stats-text.js';
import {
  BUCKETS,
  bucketOf,
  bucketStartMs,
  distributionSince,
  LogHistogram,
  quantileMs,
} from '../../../src/measure/log-histogram.js';
import { RequestCounts } from '../../../src/measure/request-counts.js';
import { reportSince, type StatsReport } from '../../../src/measure/stats-report.js';

t.test('buckets begin where they say and are an eighth wide', (t) => {
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const startMs = bucketStartMs(bucket);
    t.equal(bucketOf(startMs + 1e-9), bucket);
    const widthMs = bucketStartMs(bucket + 1) - startMs;
    t.ok(widthMs <= Math.max(0.000125, startMs / 8), `bucket ${bucket} is narrow`);
  }
  t.equal(bucketOf(-1), 0, 'a clock that goes back');
  t.equal(bucketOf(Number.NaN), 0);
  t.equal(bucketOf(1e15), BUCKETS - 1, 'longer than anything');
  t.end();
});

t.test('percentiles are within an eighth', (t) => {
  const histogram = new LogHistogram();
  for (let us = 1; us <= 1000; us++) histogram.add(us / 1000);
  const all = histogram.distribution();
  for (const share of [0.01, 0.5, 0.9, 0.99, 1]) {
    const exactMs = share;
    t.ok(Math.abs(quantileMs(all, share) - exactMs) <= exactMs / 8, `${share}`);
  }
  histogram.add(5);
  t.same(
    distributionSince(histogram.distribution(), all),
    [{ fromMs: bucketStartMs(bucketOf(5)), count: 1 }],
    'what came since',
  );
  t.equal(quantileMs([], 0.5), 0);
  histogram.clear();
  t.same(histogram.distribution(), []);
  t.end();
});

function counted(): RequestCounts {
  const counts = new RequestCounts([undefined, 'ONE', undefined, 'THREE', 'OTHER']);
  counts.served(1, false, 0.01);
  counts.served(1, true, 0.03);
  counts.begun(3, 1);
  counts.late(3, false, 20);
  counts.served(2, false, 0.6);
  counts.served(700, true, 0.5);
  return counts;
}

t.test('counts by kind, the most expensive first', (t) => {
  const counts = counted();
  const figures = counts.figures();
  t.same(
    figures.map(({ name }) => name),
    ['OTHER', 'THREE', 'ONE'],
  );
  t.match(figures[1], { count: 1, errors: 0, late: 1, busyMs: 1, totalMs: 20, maxMs: 20 });
  t.match(figures[2], { count: 2, errors: 1, late: 0, busyMs: 0.04, totalMs: 0.04 });
  t.equal(figures[0]?.count, 2, 'kinds without a name count together');
  counts.readBytes = 5;
  counts.reset();
  t.same([counts.figures(), counts.readBytes], [[], 0]);
  t.end();
});

function report(counts: RequestCounts, elapsedMs: number): StatsReport {
  return {
    driver: 'kernel',
    mountedMs: 0,
    sinceMs: 0,
    elapsedMs,
    readBytes: elapsedMs,
    writtenBytes: 2048,
    requests: counts.figures(),
    loop: {
      sleeps: 3,
      idleMs: elapsedMs / 2,
      spinHits: 4,
      spinMisses: 1,
      spinMs: 0,
      messagesMs: 0,
      jobsMs: 0,
    },
    heldBackCount: 1,
    commits: {
      groups: elapsedMs,
      records: 9,
      storedBytes: 4096,
      storeMs: 12.34,
      storeMaxMs: 12,
      handOverMs: 0.5,
      waitedMs: 0,
      syncsByLog: 0,
      syncsByStore: 0,
      logFlushes: 0,
      logFlushMs: 0,
      logFlushMaxMs: 0,
    },
    nodes: { live: 7, special: 1, asked: 0 },
    caches: [
      { name: 'inodes', count: 5, maxCount: 10 },
      { name: 'table of nodes', sizeBytes: 2048 },
    ],
    memory: {
      rssAnonBytes: 50 * 2 ** 20,
      heapUsedBytes: 2 ** 20,
      heapTotalBytes: 2 ** 21,
      externalBytes: 0,
    },
  };
}

t.test('an interval is the difference of two reports', (t) => {
  const counts = counted();
  const before = report(counts, 1000);
  counts.served(1, false, 4);
  const after = report(counts, 3000);
  const between = reportSince(after, before);
  t.equal(between.elapsedMs, 2000);
  t.equal(between.readBytes, 2000);
  t.equal(between.commits.groups, 2000);
  t.equal(between.loop?.idleMs, 1000);
  t.equal(between.requests.length, 1, 'what did not come is left out');
  t.match(between.requests[0], { name: 'ONE', count: 1, errors: 0, maxMs: 4 });
  t.equal(between.requests[0]?.distribution.length, 1);
  t.same(between.nodes, after.nodes, 'sizes are those of now');
  const reset = { ...after, sinceMs: 2500 };
  t.equal(reportSince(reset, before), reset, 'counted from nothing in between');
  t.end();
});

t.test('the text of the figures', (t) => {
  const text = requestLines(report(counted(), 1000));
  t.match(text[0], /^OPERATION +COUNT +ERRORS +LATE +BUSY ms +SHARE +MEAN us/);
  t.match(text[2], /^THREE +1 +0 +1 +1\.00 +\d+\.\d% +20000 +\d+ +\d+ +20000$/);
  t.match(text.at(-1), /^all +5 +2 +1 /);
  t.same(requestLines({ ...report(counted(), 1), requests: [] }), ['no requests']);
  const rest = otherLines(report(counted(), 1000)).join('\n');
  t.match(rest, /1000 read, 2\.0K written/);
  t.match(rest, /asleep 50\.0%/);
  t.match(rest, /woken 3 times; 4 of 5 looks found a request/);
  t.match(rest, /1 change held back/);
  t.match(rest, /inodes 5 of 10, table of nodes 2\.0K/);
  const native = otherLines({ ...report(counted(), 1), loop: null, heldBackCount: null }).join(
    '\n',
  );
  t.match(native, /loop +not counted by this driver/);
  t.same([0, 0.123, 12.34, 123.4].map(formatFigure), ['0', '0.12', '12.3', '123']);
  t.end();
});
