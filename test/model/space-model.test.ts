/**
 * The figures of `space` against the truth (space-truth.ts), over seeded random
 * work. `SHADOWFS_MODEL_SEED=n` replays a seed, `SHADOWFS_MODEL_OPS=n` sets how
 * many operations there are in all.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { workNow } from '../../src/lib/work.js';
import { ApplyRun } from './apply-run.js';
import { makeBase } from './base-tree.js';
import { BranchOperations } from './branch-operations.js';
import { Operations } from './operations.js';
import { Random } from './random.js';
import { checkSpace } from './space-truth.js';
import { VolumeRun } from './volume-run.js';

const SEED = process.env['SHADOWFS_MODEL_SEED'];
const OPERATIONS_PER_SEED = 300;
const OPERATIONS = Number(process.env['SHADOWFS_MODEL_OPS'] ?? 6 * OPERATIONS_PER_SEED);
const SEEDS = SEED === undefined ? Math.ceil(OPERATIONS / OPERATIONS_PER_SEED) : 1;

function work(run: VolumeRun, random: Random): void {
  const operations = new Operations(run, random);
  const branches = new BranchOperations(run, random);
  const branchy = random.pick([0, 10, 25]);
  const choices: readonly (readonly [number, () => void])[] = [
    [14, () => operations.create()],
    [4, () => operations.link()],
    [8, () => operations.unlink()],
    [3, () => operations.removeDirectory()],
    [3, () => operations.release()],
    [6, () => operations.rename()],
    [26, () => operations.write()],
    [12, () => operations.truncate()],
    [3, () => operations.setAttributes()],
    [4, () => operations.punch()],
    [5, () => operations.xattr()],
    [6, () => run.commit()],
    [2, () => run.flush()],
    [9, () => operations.save()],
    [3, () => operations.restore()],
    [1.5, () => operations.undo()],
    [2, () => operations.deleteSnapshot()],
    [branchy, () => branches.any()],
    [2, () => void run.collect(random.between(1, 8))],
  ];
  for (let i = 0; i < OPERATIONS_PER_SEED; i++) random.weighted(choices)();
}

function runSeed(seed: number): void {
  const random = new Random(seed);
  const base = random.chance(0.4) ? makeBase(random) : undefined;
  const run = new VolumeRun({
    ...(base !== undefined && { base }),
    keepUndo: random.pick([0, 1, 3]),
  });
  try {
    work(run, random);
    // Nameless files that nobody holds go when a volume is opened.
    run.reopen();
    run.flush();
    checkSpace(run.path, base, random);
  } finally {
    run.dispose();
    if (base !== undefined) rmSync(base, { recursive: true });
  }
}

/** Files of the tree whose bytes the base has since an apply. */
function runApplied(seed: number): void {
  const random = new Random(seed);
  const base = makeBase(random);
  // What takes long to read.
  for (const large of ['huge', 'd/sparse']) rmSync(join(base, large));
  const run = new ApplyRun(base);
  try {
    for (let round = 0; round < 3; round++) {
      for (let i = random.between(5, 40); i > 0; i--) run.work(random);
      run.save(`s${round}`);
      workNow(run.applying(run.seal()), () => run.flush());
      if (random.chance(0.7)) workNow(run.givingBack(), () => run.flush());
      for (let i = random.between(5, 40); i > 0; i--) run.work(random);
      run.save(`t${round}`);
    }
    run.reopen();
    run.flush();
    checkSpace(run.path, run.base, random, true);
  } finally {
    run.dispose();
  }
}

for (const [title, runOne, seeds] of [
  ['random work', runSeed, SEEDS],
  ['applies, and space given back', runApplied, Math.ceil(SEEDS / 2)],
] as const) {
  t.test(`${title}: what is said to be freed is what is freed`, (t) => {
    const first = SEED === undefined ? 1 : Number(SEED);
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        runOne(seed);
      } catch (error) {
        t.error(error, `SHADOWFS_MODEL_SEED=${seed} replays this`);
        break;
      }
    }
    t.pass(`${seeds} seeds from ${first}`);
    t.end();
  });
}
