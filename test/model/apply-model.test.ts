/**
 * Random work over a directory, applied to it again and again: the directory is
 * then what the tree is, and no snapshot changes (rules A1, D12). `SEED=n`
 * runs one history, and one that is cut off.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { workNow } from '../../src/lib/work.js';
import { ApplyRun, same } from './apply-run.js';
import { makeBase } from './base-tree.js';
import { Random } from './random.js';

const chosen = process.env['SEED'];
const seeds = chosen === undefined ? Array.from({ length: 12 }, (_, i) => i + 1) : [Number(chosen)];

function start(random: Random): ApplyRun {
  const base = makeBase(random);
  // What takes long to read, and is not what this is about.
  for (const large of ['huge', 'd/sparse']) rmSync(join(base, large));
  return new ApplyRun(base);
}

for (const seed of seeds) {
  t.test(`SEED=${seed}: applied again and again`, (t) => {
    const random = new Random(seed);
    const run = start(random);
    t.teardown(() => run.dispose());
    run.save('start');
    for (let round = 0; round < 4; round++) {
      for (let i = random.between(5, 60); i > 0; i--) {
        run.work(random);
        if (random.chance(0.05)) run.save(`s${round}-${i}`);
      }
      const wanted = run.live;
      const before = run.disk();
      const done = workNow(run.applying(run.seal()), () => run.flush());
      same(run.live, wanted, 'the live tree');
      same(run.disk(), wanted, 'the base');
      if (random.chance(0.7)) {
        workNow(run.givingBack(), () => run.flush());
        run.flush();
        if (random.chance(0.5)) run.reopen();
        same(run.live, wanted, 'the live tree, given back');
        run.snapshotsHold();
        run.check();
      }
      for (let i = done.undo === undefined ? 0 : random.below(4); i > 0; i--) {
        const isBack = run.nextUndo() === 'back';
        workNow(run.undoing(), () => run.flush());
        same(run.disk(), isBack ? before : wanted, `the base, ${isBack ? 'back' : 'again'}`);
        same(run.live, wanted, 'the live tree, after an undo');
        run.snapshotsHold();
        run.check();
      }
      if (run.nextUndo() === 'forward') {
        workNow(run.applying(run.seal()), () => run.flush());
      }
      same(run.disk(), wanted, 'the base, in the end');
      run.snapshotsHold();
      run.check();
      run.reopen();
      same(run.live, wanted, 'the live tree, opened again');
      run.snapshotsHold();
      if (random.chance(0.4)) {
        run.volume.restore(random.pick([...run.snapshots.keys()]), 'test');
        run.flush();
      }
    }
    for (let i = random.below(30); i > 0; i--) run.work(random);
    const wanted = run.live;
    // Cut off first, as by a kill.
    const cut = run.freezing();
    for (let i = random.below(40); i > 0 && cut.next().done !== true; i--) run.flush();
    run.flush();
    run.crash();
    run.snapshotsHold();
    same(run.live, wanted, 'the live tree, a freeze cut off');
    run.check();
    workNow(run.freezing(), () => run.flush()).base?.close();
    run.emptyBase();
    same(run.live, wanted, 'the live tree, frozen');
    run.snapshotsHold();
    run.check();
    run.reopen();
    same(run.live, wanted, 'the live tree, frozen and opened again');
    run.snapshotsHold();
    t.end();
  });
}

for (const seed of seeds) {
  t.test(`SEED=${seed}: cut off anywhere, it is undone or completed`, (t) => {
    const random = new Random(seed + 1000);
    const run = start(random);
    t.teardown(() => run.dispose());
    run.save('start');
    for (let round = 0; round < 4; round++) {
      for (let i = random.between(5, 40); i > 0; i--) run.work(random);
      const before = run.disk();
      const wanted = run.live;
      const { applied } = run;
      const isDone = run.runFor(random.below(round === 0 ? 60 : 200), run.applying(run.seal()));
      if (isDone && random.chance(0.7)) {
        run.runFor(random.below(120), run.givingBack());
        run.flush();
      }
      run.snapshotsHold();
      run.crash();
      const disk = run.disk();
      if (run.applied !== applied) same(disk, wanted, 'the base, completed');
      else same(disk, before, 'the base, undone');
      same(run.live, wanted, 'the live tree');
      run.snapshotsHold();
      run.check();
      if (run.nextUndo() !== 'back') continue;
      const after = run.disk();
      run.runFor(random.below(200), run.undoing());
      run.crash();
      run.snapshotsHold();
      same(run.live, wanted, 'the live tree, after an undo that was cut off');
      const isBack = run.nextUndo() === 'forward';
      if (!isBack) same(run.disk(), after, 'the base, as applied');
      run.check();
    }
    t.end();
  });
}
