/**
 * A mount whose writer thread has ended, by an exception that nobody catches or
 * because V8 is out of memory, at rest or inside a transaction: changes fail,
 * reads go on, the mount can be ended, and what was fsynced is there afterwards.
 */
import fs from 'node:fs';
import t, { type Test } from 'tap';
import { asRoot } from '../as-root.js';
import { inWorld, pause, processGone, ROOT, type World } from './harness.js';

const MOUNT = ['--no-base', '--volume', 'volume', 'mnt'];
const EIO = /Input\/output error/;

interface Death {
  step: string;
  mode: 'throw' | 'memory';
  why: RegExp;
}

const DEATHS: Death[] = [
  { step: 'writer:message:8', mode: 'throw', why: /failpoint writer:message[\s\S]*writer-thread/ },
  { step: 'writer:message:9', mode: 'memory', why: /reaching memory limit/ },
  { step: 'store:before-commit:5', mode: 'memory', why: /V8 has stopped it/ },
];

/** What has been fsynced, and the first error: a line is promised once its fsync has returned. */
const APPEND = 'python3 "$APPENDER" "$MNT/f" "$WORLD/promised" 1000000';
/** More than a group holds: its writes are parked when the writer stops. */
const FLOOD = 'head -c 300000000 /dev/zero | dd of="$MNT/big" bs=1M iflag=fullblock';

async function kill(t: Test, world: World): Promise<void> {
  const appends = world.trySh(APPEND);
  await world.sh('until [ "$(grep -c . promised)" -gt 20 ]; do sleep 0.01; done');
  const [append, flood] = await Promise.all([appends, world.trySh(FLOOD)]);
  t.match(append, { status: 1, err: EIO }, 'who fsyncs hears of it');
  t.match(flood, { status: 1, err: EIO }, 'so does who was made to wait');
  const change = await world.trySh('mkdir "$MNT/late"', { timeoutMs: 5000 });
  t.match(change, { status: 1, err: EIO }, 'changes are refused');
  const sync = await world.trySh('sync "$MNT/f"', { timeoutMs: 5000 });
  t.match(sync, { status: 1, err: EIO }, 'so is fsync');
  const save = await world.trySh('mkdir "$MNT/.snapshots/s"', { timeoutMs: 5000 });
  t.match(save, { status: 1, err: EIO }, 'so is a save');
  t.equal(await world.sh('cat "$MNT/kept"'), 'kept\n', 'reads go on');
  t.match(await world.on(['status']), { failure: /the writer thread has ended/ });
}

/** All that was promised is there, and of what was not, a first part of it. */
async function compare(t: Test, world: World): Promise<void> {
  await world.mount(MOUNT);
  const promised = await world.sh('cat promised');
  const found = await world.sh('cat "$MNT/f"');
  t.ok(promised.length > 0 && found.startsWith(promised), `${promised.length / 8} lines promised`);
  t.ok(found.length <= promised.length + 8);
  t.equal(await world.sh('cat "$MNT/kept"'), 'kept\n');
  await world.check();
  await world.sh('echo more > "$MNT/more"; sync "$MNT/more"');
  await world.umount();
}

async function prepare(world: World, { step, mode }: Death): Promise<void> {
  await world.mount(MOUNT);
  await world.sh('echo kept > "$MNT/kept"');
  await world.umount();
  world.env = { SHADOWFS_FAILPOINT: step, SHADOWFS_FAILPOINT_MODE: mode };
}

for (const death of DEATHS) {
  const what = `${death.step} (${death.mode})`;

  asRoot(t, `${what}, then umount`, (t) =>
    inWorld(t, ROOT, async (world) => {
      await prepare(world, death);
      await world.mount(MOUNT);
      world.env = { APPENDER: world.fixture('appender.py') };
      const pid = await world.daemonPid();
      await kill(t, world);
      const ended = await world.refused(['umount', world.mnt]);
      t.match(ended, { code: 'store-failed', message: /the writer thread has ended/ });
      t.ok(await processGone(pid), 'the process has ended');
      t.match(world.log(), death.why, 'the log says why');
      await compare(t, world);
    }),
  );

  asRoot(t, `${what}, then SIGTERM`, (t) =>
    inWorld(t, ROOT, async (world) => {
      await prepare(world, death);
      const serving = world.tryShadowfs(['mount', '-f', ...MOUNT]);
      world.env = { APPENDER: world.fixture('appender.py') };
      while (!fs.readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${world.mnt} `))
        await pause(50);
      const pid = await world.daemonPid();
      await kill(t, world);
      process.kill(pid, 'SIGTERM');
      t.ok(await processGone(pid), 'the process has ended');
      const { status, err } = await serving;
      t.ok(status !== 0 && status !== null, `with ${status}`);
      t.match(err, death.why, 'it says why');
      await compare(t, world);
    }),
  );
}
