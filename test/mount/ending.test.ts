/** How a serving process ends when threads of it still start, and whenever a signal comes. */
import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { allowedCpus } from '../../src/libc/scheduling.js';
import { Random } from '../model/random.js';
import { asUser, DRIVER, eachIdentity, isNative, pause, testSeed, type World } from './harness.js';

/** A mount in the foreground; its output, and how it ended. */
class Foreground {
  readonly child: ChildProcess;
  readonly ended: Promise<string>;
  out = '';
  err = '';

  constructor(world: World, env: Record<string, string>) {
    const cli = path.join(world.checkout, 'dist/cli/main.js');
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const mount = ['mount', '-f', '--driver', world.driver, '--no-base', world.mnt];
    this.child = world.start(['env', ...words, 'node', cli, ...mount]);
    this.child.stdout?.on('data', (data: Buffer) => (this.out += data.toString()));
    this.child.stderr?.on('data', (data: Buffer) => (this.err += data.toString()));
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code, signal) => resolve(String(signal ?? code)));
    });
  }

  /** True: it said so. False: it has ended, or did not in 30 seconds. */
  async says(what: RegExp): Promise<boolean> {
    let hasEnded = false;
    void this.ended.then(() => {
      hasEnded = true;
    });
    for (let waitedMs = 0; waitedMs < 30_000 && !hasEnded; waitedMs += 5) {
      if (what.test(this.out + this.err)) return true;
      await pause(5);
    }
    return what.test(this.out + this.err);
  }
}

const SLOW_MS = 300;

/** Mounts whose threads of that name take long to load native code. */
function slowThreads(world: World, name: string): Foreground {
  const fixture = world.fixture('slow-start.cjs');
  const slow = { SLOW_THREADS: name, SLOW_MS: String(SLOW_MS) };
  return new Foreground(world, { ...slow, NODE_OPTIONS: `--require ${fixture}` });
}

/** How each of several mounts ended that are unmounted while a thread starts. */
async function endings(
  world: World,
  name: string,
  times: number,
  work: string,
  end: (mount: Foreground) => Promise<unknown>,
): Promise<string[]> {
  const ends: string[] = [];
  for (let n = 0; n < times; n++) {
    const mount = slowThreads(world, name);
    await mount.says(/^mounted /m);
    const worker = world.start(['bash', '-c', work]);
    const isSlow = await mount.says(new RegExp(`slow start of ${name}`));
    // What it has open in the mount would keep that busy.
    const gone = new Promise((resolve) => worker.once('exit', resolve));
    worker.kill('SIGKILL');
    await gone;
    await pause((n / times) * SLOW_MS);
    await end(mount);
    const ended = await mount.ended;
    ends.push(isSlow && ended === '0' ? ended : `${isSlow} ${ended} ${mount.err}`);
  }
  return ends;
}

const ok = (times: number): string[] => Array.from({ length: times }, () => '0');

asUser(t, 'a mount that ends while a thread starts', async (t, world) => {
  const umount = (): Promise<unknown> => world.sh('fusermount3 -u "$MNT"');
  const terminate = (mount: Foreground): Promise<unknown> =>
    Promise.resolve(mount.child.kill('SIGTERM'));
  const cli = path.join(world.checkout, 'dist/cli/main.js');
  // The thread that helps two to share a processor starts when a program has sent some requests.
  if (allowedCpus().length === 2 && !isNative) {
    const work = `exec python3 -c "
import os
fd = os.open('$MNT', os.O_RDONLY)
while True: os.fstatvfs(fd)"`;
    t.same(await endings(world, 'occupier-thread', 10, work, umount), ok(10));
  }
  // Not -C: a process whose directory lies in a mount keeps it busy.
  const check = `exec node ${cli} check "$MNT"`;
  t.same(await endings(world, 'inspect-thread', 3, check, umount), ok(3), 'check');
  t.same(await endings(world, 'inspect-thread', 3, check, terminate), ok(3), 'check, SIGTERM');
});

/** What is still mounted of the world's volumes: the mount and its control files. */
function left(world: World): string[] {
  const lines = fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.filter((line) => line.includes('fuse.shadowfs') && line.includes(world.dir));
}

async function leavesNothing(t: Test, world: World, what: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < 20_000 && left(world).length > 0; waitedMs += 20)
    await pause(20);
  t.same(left(world), [], `${what}: nothing is mounted`);
}

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
/** Moments of a start, in order; a signal at one of the last two may come when it is told already. */
const MOMENTS = ['begun', 'opened', 'control-mounted', 'mounted', 'answered', 'ready'];

function mountWords(world: World, ...more: string[]): string[] {
  return ['mount', '--driver', world.driver, ...more, '--no-base', world.mnt];
}

/** A mount that sends itself a signal at this step of its start. */
async function interrupted(
  t: Test,
  world: World,
  step: string,
  signal: string,
  ...more: string[]
): Promise<void> {
  const env = { SHADOWFS_FAILPOINT: step, SHADOWFS_FAILPOINT_MODE: signal };
  const what = `${signal} at ${step} ${world.driver} ${more.join(' ')}`;
  const ran = await world.tryShadowfs(mountWords(world, ...more), { env });
  const isLate = ran.status === 0 && /mount:(answered|ready)/.test(step);
  if (!isLate) {
    t.equal(ran.status, 1, `${what}: exit code (${ran.err})`);
    t.match(
      ran.err,
      new RegExp(`${signal} came while .*/mnt was being mounted: it is not mounted`),
    );
    t.same(left(world), [], `${what}: and so it is`);
  }
  await leavesNothing(t, world, what);
}

eachIdentity(t, 'a signal at any moment of a start', async (t, world) => {
  let n = 0;
  for (const moment of MOMENTS) {
    for (const where of [[], ['-f']]) {
      await interrupted(t, world, `mount:${moment}`, SIGNALS[n++ % 3] ?? '', ...where);
    }
  }
  for (const step of ['spawn:started', 'spawn:answered']) {
    await interrupted(t, world, step, SIGNALS[n++ % 3] ?? '');
  }
  if (DRIVER !== 'fuse-native') {
    world.driver = 'fuse-native';
    for (const moment of ['opened', 'control-mounted', 'ready']) {
      await interrupted(t, world, `mount:${moment}`, SIGNALS[n++ % 3] ?? '');
    }
    world.driver = DRIVER;
  }
  await world.mount(['--no-base', world.mnt]);
  await world.sh('echo x > "$MNT/f"');
});

asUser(t, 'signals to all processes of a start, some time after it', async (t, world) => {
  const random = new Random(Number.parseInt(testSeed(t), 16));
  const how = new Map<string, number>();
  for (let n = 0; n < 12; n++) {
    const mount = new Foreground(world, {});
    await pause(random.next() * 1_500);
    const signal = SIGNALS[n % 3] ?? 'SIGTERM';
    try {
      process.kill(-(mount.child.pid ?? 0), signal);
    } catch (error) {
      t.fail(`it has ended already: ${mount.err} ${String(error)}`);
    }
    const ended = await mount.ended;
    how.set(ended, (how.get(ended) ?? 0) + 1);
    const isMounted = mount.out.startsWith('mounted');
    const expected = isMounted ? /^0$/ : /^(1|130|129|143|SIG.*)$/;
    t.match(ended, expected, `${signal}: ${mount.out}${mount.err}`);
    await leavesNothing(t, world, signal);
  }
  t.comment(`ends: ${JSON.stringify([...how])}`);
  await world.mount(['--no-base', world.mnt]);
});

eachIdentity(t, 'the helper is ended by a signal when it has mounted', async (t, world) => {
  if (world.identity.uid === 0 || isNative) return void t.pass('mounts without the helper');
  // Of the control files first, then of the mount.
  for (const nth of [1, 2]) {
    await world.sh(`mkdir -p bin; rm -f mounts; cat > bin/fusermount3 <<'END'
#!/bin/bash
"$REAL" "$@" || exit
case " $* " in *" -u"*) exit;; esac
echo >> "$WORLD/mounts"
[ $(wc -l < "$WORLD/mounts") != ${nth} ] || kill -TERM $$
END
      chmod +x bin/fusermount3`);
    const real = (await world.sh('command -v fusermount3')).trim();
    const ran = await world.tryShadowfs(mountWords(world), {
      env: { REAL: real, PATH: `${world.path('bin')}:${process.env['PATH']}` },
    });
    t.equal(ran.status, 1, ran.out);
    t.same(left(world), [], `mount ${nth} is taken back`);
  }
});
