/** Random input and output on single files, with saves and restores, against a copy in memory. */
import t from 'tap';
import { lacksOf } from '../mount/driver-exceptions.js';
import {
  eachSetting,
  identities,
  inWorld,
  NOBODY,
  testSeed,
  type World,
} from '../mount/harness.js';
import { fixture } from './fixture.js';

const OPERATIONS = 15_000;
const TAIL_ROUNDS = 100;
const DIRECT_ROUNDS = 200;
const NATIVE_OPERATIONS = 9_000;
const seed = testSeed(t);

eachSetting(t, 'random input and output on files', async (t, world) => {
  await world.mount(['--no-base', world.mnt]);
  const words = ['python3', fixture(world, 'fsx.py'), seed, String(OPERATIONS), '3'];
  // What the kernel clears without its writeback cache is not ours: the next test, and posix.md.
  if (!world.writeback) words.push('sync-tail');
  const ran = await world.run(words, { cwd: world.mnt, timeoutMs: 300_000 });
  t.equal(ran.status, 0, ran.out + ran.err);
});

eachSetting(t, 'a write behind a page that a map stores to', async (t, world) => {
  await world.mount(['--no-base', world.mnt]);
  const race = async (at: string) =>
    await world.run(['python3', fixture(world, 'tail-race.py'), at, String(TAIL_ROUNDS)]);
  const plain = await race(`${world.dir}/plain`);
  t.equal(plain.status, 0, plain.out + plain.err);
  const mounted = await race(`${world.mnt}/f`);
  if (world.writeback) t.equal(mounted.status, 0, mounted.out + mounted.err);
  // Linux 6.17 and later lose bytes here in every FUSE file system, older ones do not.
  else t.comment(`without the kernel's writeback cache: ${mounted.out}`);
});

const directRace = async (world: World, at: string) =>
  await world.run(['python3', fixture(world, 'direct-race.py'), at, String(DIRECT_ROUNDS)]);

eachSetting(t, 'asynchronous direct writes beside readers through the cache', async (t, world) => {
  await world.mount(['--no-base', world.mnt]);
  const plain = await directRace(world, `${world.dir}/plain`);
  t.equal(plain.status, 0, plain.out + plain.err);
  const mounted = await directRace(world, `${world.mnt}/f`);
  t.equal(mounted.status, 0, mounted.out + mounted.err);
});

t.test('the same, driver fuse-native', (t) =>
  inWorld(t, identities().at(-1) ?? NOBODY, async (world) => {
    world.driver = 'fuse-native';
    await world.mount(['--no-base', world.mnt]);
    const mounted = await directRace(world, `${world.mnt}/f`);
    t.equal(mounted.status, 0, mounted.out + mounted.err);
  }),
);

t.test('random input and output on files, driver fuse-native', (t) =>
  inWorld(t, identities().at(-1) ?? NOBODY, async (world) => {
    world.driver = 'fuse-native';
    await world.mount(['--no-base', world.mnt]);
    const words = [fixture(world, 'fsx.py'), seed, String(NATIVE_OPERATIONS), '3'];
    const env = { LACKS: lacksOf(world).join(' ') };
    const ran = await world.run(['python3', ...words], {
      cwd: world.mnt,
      timeoutMs: 300_000,
      env,
    });
    t.equal(ran.status, 0, ran.out + ran.err);
  }),
);
