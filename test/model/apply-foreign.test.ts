/** A directory with the name of an apply's staging directory, which is not this apply's. */
import fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CommandError } from '../../src/lib/errors.js';
import { workNow } from '../../src/lib/work.js';
import { stagingName } from '../../src/volume/apply/journal.js';
import { ApplyRun, same } from './apply-run.js';
import { makeBase } from './base-tree.js';
import { Random } from './random.js';

t.test('an apply that finds one is refused, and leaves it as it is', async (t) => {
  const random = new Random(1);
  const base = makeBase(random);
  for (const large of ['huge', 'd/sparse']) fs.rmSync(join(base, large));
  const run = new ApplyRun(base);
  t.teardown(() => run.dispose());
  run.save('start');
  for (let i = 0; i < 20; i++) run.work(random);
  const staging = join(base, stagingName(run.volume.uuid));
  fs.mkdirSync(staging);
  fs.writeFileSync(join(staging, 'theirs'), 'a file that another apply has put aside');
  const before = run.disk();
  let refused: unknown;
  try {
    workNow(run.applying(run.seal()), () => run.volume.flush());
  } catch (error) {
    refused = error;
  }
  t.match(refused, { code: 'apply-refused', errno: 'EEXIST' });
  t.type(refused, CommandError);
  t.equal(fs.readdirSync(staging).join(), 'theirs');
  same(run.disk(), before, 'the base');
  fs.rmSync(staging, { recursive: true });
  workNow(run.applying(run.seal()), () => run.volume.flush());
  same(run.disk(), run.live, 'the base, when it is gone');
});
