import * as fc from 'fast-check';
import t from 'tap';
import {
  chooseOld,
  droppableName,
  epochInodes,
  excess,
  nextLimit,
  NODE_LIMITS,
  smallLimits,
} from '../../../src/tree/nodes/forgetting-plan.js';
import { LookupCounts } from '../../../src/tree/nodes/lookup-counts.js';
import type { TreeJob } from '../../../src/tree/tree-options.js';
import { makeRig } from '../fixtures/simulated-kernel.js';

t.test('how many nodes to ask for, and when to ask again', (t) => {
  t.equal(excess(1000, 1000), 0);
  t.equal(excess(1001, 1000), 126, 'down to an eighth below the limit');
  t.equal(nextLimit(875, 1000), 1000);
  t.equal(nextLimit(1000, 1000), 1000);
  t.equal(nextLimit(1200, 1000), 1263, 'those in use are not asked for all the time');
  t.equal(epochInodes(smallLimits(3)), 1);
  t.ok((NODE_LIMITS.live / epochInodes(NODE_LIMITS)) * 2 < 256, 'no age is ambiguous');
  t.end();
});

t.test('the oldest are chosen, never those of the present epoch', (t) => {
  t.strictSame(chooseOld([5, 10, 20, 30], 25), { minAge: 3, count: 25 });
  t.strictSame(chooseOld([5, 10, 20, 30], 31), { minAge: 2, count: 31 });
  t.strictSame(chooseOld([5, 10, 20, 30], 64), { minAge: 1, count: 60 });
  t.strictSame(chooseOld([5], 3), { minAge: 1, count: 0 });
  t.end();
});

t.test('only the single name of a file other than a directory is dropped', (t) => {
  const links = [{ parent: 1, name: 'x' }];
  t.equal(droppableName({ isDirectory: false, nlink: 1, links }), links[0]);
  t.equal(droppableName({ isDirectory: true, nlink: 2, links }), undefined);
  t.equal(droppableName({ isDirectory: false, nlink: 2, links }), undefined);
  t.equal(droppableName(undefined), undefined);
  t.end();
});

t.test('a table knows which inodes were not used lately', (t) => {
  const counts = new LookupCounts(100);
  for (let ino = 1; ino <= 1000; ino++) counts.add(ino);
  t.strictSame(counts.ages().slice(0, 11), [100, ...new Array<number>(9).fill(100), 0]);
  for (let ino = 1; ino <= 50; ino++) counts.use(ino);
  counts.add(51);
  counts.use(5000);
  t.strictSame(counts.ages().slice(0, 10), [151, ...new Array<number>(8).fill(100), 49]);
  const found: number[] = [];
  let place = 7;
  for (let seen = 0; seen < counts.slots; seen += 64) {
    place = counts.oldNodes(place, 64, 8, 120, found);
  }
  t.equal(found.length, 120, 'no more than wanted');
  t.equal(new Set(found).size, 120, 'none twice');
  t.ok(found.every((ino) => ino > 51 && ino <= 200));
  t.equal(
    counts.ages().reduce((sum, count) => sum + count),
    1000,
  );
  t.end();
});

t.test('ages stay right as inodes come and go', (t) => {
  const step = fc.record({
    what: fc.constantFrom('add', 'use', 'subtract'),
    ino: fc.integer({ min: 1, max: 3000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 4000, minLength: 1000 }), (steps) => {
      const counts = new LookupCounts(40);
      for (const { what, ino } of steps) {
        if (what === 'add') counts.add(ino);
        else if (what === 'use') counts.use(ino);
        else counts.subtract(ino, 1);
      }
      const ages = counts.ages();
      const sum = ages.reduce((all, count) => all + count);
      const older = sum - (ages[0] ?? 0);
      const found: number[] = [];
      counts.oldNodes(0, counts.slots, 1, steps.length, found);
      if (found.length !== older || !found.every((ino) => counts.has(ino))) return false;
      return sum === counts.size;
    }),
    { numRuns: 20 },
  );
  t.end();
});

for (const canPrune of [true, false]) {
  const how = canPrune ? 'PRUNE' : 'INVAL_ENTRY';
  t.test(`too many nodes are forgotten, but none in use (${how})`, (t) => {
    const jobs: TreeJob[] = [];
    const { kernel, tree, save, volume, close } = makeRig({
      nodeLimits: smallLimits(64),
      runJob: (job) => jobs.push(job),
      notifier: { canPrune },
    });
    const work = (): void => {
      for (const job of jobs.splice(0)) while (job.next().done !== true) volume.pump();
    };
    kernel.mkdir('dir');
    kernel.mkdir('dir/cwd');
    const cwd = kernel.open('dir/cwd');
    const open = kernel.create('dir/open', 'content');
    kernel.open('dir/open');
    for (let i = 0; i < 300; i++) {
      kernel.create(`dir/f${i}`, String(i));
      work();
      if (tree.status().live > 65) t.fail('nodes are bounded');
    }
    t.ok(kernel.nodes.has(cwd) && kernel.nodes.has(open));
    t.equal(kernel.readFrom(open), 'content');
    t.equal(kernel.readFile('dir/f3'), '3', 'a forgotten file is found again');
    t.equal(kernel.walk('dir/cwd'), cwd);
    save('s');
    for (let i = 0; i < 300; i++) {
      t.equal(kernel.readFile(`dir/.snapshots/s/f${i}`), String(i));
      work();
      if (tree.status().special > 65) t.fail('nodes of snapshots are bounded');
    }
    t.ok(tree.forgetting.figures().asked > 400);
    close();
    t.end();
  });
}

t.test('mounts share the limits, and one that is idle gives up its part, too', (t) => {
  const jobs: TreeJob[] = [];
  const { kernel, tree, volume, close } = makeRig({
    nodeLimits: smallLimits(256),
    runJob: (job) => jobs.push(job),
  });
  const work = (): void => {
    for (const job of jobs.splice(0)) while (job.next().done !== true) volume.pump();
  };
  for (let i = 0; i < 250; i++) kernel.create(`f${i}`);
  work();
  t.ok(tree.status().live >= 250, 'one mount has all');
  tree.forgetting.shareWith(4);
  work();
  t.same(tree.forgetting.figures().limits, { live: 64, paths: 256, special: 64 });
  t.ok(tree.status().live <= 64, String(tree.status().live));
  tree.forgetting.shareWith(1);
  for (let i = 0; i < 180; i++) kernel.create(`g${i}`);
  work();
  t.ok(tree.status().live > 200, 'and has it again');
  close();
  t.end();
});

t.test('nodes in use above the limit are not asked for again and again', (t) => {
  const jobs: TreeJob[] = [];
  const { kernel, tree, close } = makeRig({
    nodeLimits: smallLimits(64),
    runJob: (job) => jobs.push(job),
  });
  for (let i = 0; i < 200; i++) {
    kernel.create(`f${i}`);
    kernel.open(`f${i}`);
    for (const job of jobs.splice(0)) for (const _ of job) void _;
  }
  t.equal(tree.status().live, 200);
  t.ok(tree.forgetting.figures().asked < 64 * 40, String(tree.forgetting.figures().asked));
  close();
  t.end();
});
