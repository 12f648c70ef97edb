/**
 * The intent log under a mount: what was fsynced is there after the serving
 * process died at any step of writing the log, of storing what it covers and of
 * bringing it back; in a copy of a volume at work; and where the log is not used.
 */
import fs from 'node:fs';
import t, { type Test } from 'tap';
import { identities, inWorld, isNative, NOBODY, type World } from './harness.js';

const as = identities()[0] ?? NOBODY;
const lines = (count: number): string =>
  Array.from({ length: count }, (_, i) => `${String(i).padStart(7, '0')}\n`).join('');

const mountAt = (name: string): string[] => ['--no-base', '--volume', `${name}/volume`, 'mnt'];

/** Appends until it is done or the mount dies. */
async function append(world: World, name: string, count: number): Promise<number> {
  const ran = await world.trySh(
    `python3 ${world.fixture('appender.py')} "$MNT/f" "$WORLD/${name}/promised" ${count}`,
  );
  return ran.status ?? 1;
}

async function compare(t: Test, world: World, name: string): Promise<void> {
  const promised = await world.sh(`touch ${name}/promised; cat ${name}/promised`);
  const found = await world.sh('cat "$MNT/f" 2> /dev/null || true');
  // The line that the process was killed at may be there or not.
  const last = promised.slice(-8);
  t.ok(found.includes(last), `${name}: all is there up to ${last}`, { found: found.slice(-16) });
  t.equal(found, lines(found.length / 8), 'nothing else is in the file');
}

interface Synced {
  byLog: number;
  byStore: number;
}

async function synced(world: World): Promise<Synced> {
  const { commits } = (await world.on(['stats'])) as unknown as {
    commits: { syncsByLog: number; syncsByStore: number };
  };
  return { byLog: commits.syncsByLog, byStore: commits.syncsByStore };
}

t.test('most fsyncs are answered by the log', (t) =>
  inWorld(t, as, async (world) => {
    await world.sh('mkdir plain');
    await world.mount(mountAt('plain'));
    t.equal(await append(world, 'plain', 400), 0);
    const { byLog, byStore } = await synced(world);
    t.ok(byLog > 10 * byStore, `${byLog} by the log, ${byStore} by LMDB`);
    await compare(t, world, 'plain');
    t.equal(fs.statSync(world.path('plain', 'volume', 'intent.log')).mode & 0o777, 0o600);
    await world.check();
    await world.umount();
    // Closed: LMDB has it all, and the log may go.
    await world.sh('rm plain/volume/intent.log');
    await world.mount(mountAt('plain'));
    await compare(t, world, 'plain');
    await world.check();
  }),
);

t.test('without asynchronous flushes LMDB answers', (t) =>
  inWorld(t, as, async (world) => {
    await world.sh('mkdir off');
    world.env = { SHADOWFS_KERNEL: 'log=off' };
    await world.mount(mountAt('off'));
    t.equal(await append(world, 'off', 20), 0);
    t.equal((await synced(world)).byLog, 0);
    t.notOk(fs.existsSync(world.path('off', 'volume', 'intent.log')));
    await world.check();
  }),
);

const STEPS = [
  'log:before-write',
  'log:after-write',
  'log:after-flush',
  'store:before-commit',
  'store:after-commit',
];

t.test('killed at any step', (t) =>
  inWorld(t, as, async (world) => {
    let crashes = 0;
    for (const step of STEPS) {
      const hits = step.startsWith('log') ? [1, 2, 40] : [3, 5];
      for (const hit of isNative ? hits.slice(1, 2) : hits) {
        const name = `${step.replace(':', '-')}-${hit}`;
        await world.sh(`mkdir ${name}`);
        world.env = { SHADOWFS_FAILPOINT: `${step}:${hit}` };
        await world.mount(mountAt(name));
        const status = await append(world, name, 1500);
        world.env = {};
        // The step may also be met first by the last group, which the unmount commits.
        const isMet = status !== 0 || (await world.tryShadowfs(['umount', world.mnt])).status !== 0;
        if (isMet) crashes++;
        else t.comment(`${name} was not met`);
        await world.mount(mountAt(name));
        await compare(t, world, name);
        await world.check();
        t.equal(await append(world, name, 20), 0, 'it goes on');
        await compare(t, world, name);
        await world.umount();
      }
    }
    t.ok(crashes >= STEPS.length, `${crashes} crashes`);
  }),
);

t.test('killed while the log is brought back', (t) =>
  inWorld(t, as, async (world) => {
    await world.sh('mkdir again');
    const dies = async (at: string): Promise<void> => {
      world.env = { SHADOWFS_FAILPOINT: at };
      const ran = await world.tryShadowfs(['mount', ...mountAt('again')]);
      world.env = {};
      t.not(ran.status, 0, `no mount at ${at}`);
    };
    for (const round of [1, 2]) {
      world.env = { SHADOWFS_FAILPOINT: `log:after-flush:${round * 60}` };
      await world.mount(mountAt('again'));
      t.not(await append(world, 'again', 3000), 0);
      world.env = {};
      await dies('log:before-replay');
      await dies('log:replayed-record:1');
      if (round === 1) await dies('store:before-commit');
      else await dies('log:after-replay');
      await world.mount(mountAt('again'));
      await compare(t, world, 'again');
      await world.check();
      await world.umount();
    }
  }),
);

t.test('tools see what was fsynced, and a copy of a volume at work has it', (t) =>
  inWorld(t, as, async (world) => {
    await world.sh('mkdir live copied');
    await world.mount(mountAt('live'));
    t.equal(await append(world, 'live', 100), 0);
    // The log last: what it covers must not be older than where LMDB says that it begins.
    await world.sh(
      'mkdir -m 700 copied/volume; cp live/volume/data.mdb copied/volume/; cp live/volume/intent.log copied/volume/; cp live/promised copied/',
    );
    await world.crash();
    for (const name of ['live', 'copied']) {
      const checked = await world.shadowfs(['check', '--volume', `${name}/volume`]);
      t.match(checked, { ok: true }, `check of ${name}`);
      await world.mount(mountAt(name));
      await compare(t, world, name);
      await world.check();
      await world.umount();
    }
  }),
);
