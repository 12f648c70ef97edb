/** Seeded random work through the kernel, with saves, restores, open files and maps. */
import t from 'tap';
import { unless } from './driver-exceptions.js';
import { eachSetting, isNative, testSeed } from './harness.js';

const SEED = testSeed(t);
const OPERATIONS = 1500;

unless('no-old-versions', eachSetting)(t, 'random work, saves and restores', async (t, world) => {
  await world.sh(`mkdir -p base/a1/b1/c1 base/d2; cd base
    for i in 0 1 2; do seq $((i * 9000)) > e$i; seq $((i * 500)) > a1/f$i; done; ln e1 d2/g1; ln -s e0 h0`);
  for (const [round, base] of [['base'], ['--no-base']].entries()) {
    await world.mount([...base, 'mnt']);
    const words = ['python3', world.fixture('wanderer.py'), `${SEED}-${round}`, String(OPERATIONS)];
    const ran = await world.run(words, { cwd: world.mnt, timeoutMs: 240_000 });
    t.equal(ran.status, 0, ran.out + ran.err);
    await world.check();
    await world.umount();
    await world.mount([...base, 'mnt']);
    await world.check();
    await world.umount();
  }
});

if (isNative)
  t.pass('NOT RUN: the work reads through files that a restore replaced; see test/posix/fsx');
