/** How a serving process ends when threads of it still start, and whenever a signal comes. */
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import t from 'tap';
import { allowedCpus } from '../../src/libc/scheduling.js';
import { eachIdentity, isNative, pause, type World } from './harness.js';

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
    worker.kill('SIGKILL');
    await pause((n / times) * SLOW_MS);
    await end(mount);
    const ended = await mount.ended;
    ends.push(isSlow && ended === '0' ? ended : `${isSlow} ${ended} ${mount.err}`);
  }
  return ends;
}

const ok = (times: number): string[] => Array.from({ length: times }, () => '0');

eachIdentity(t, 'a mount that ends while a thread starts', async (t, world) => {
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
  const check = `exec node ${cli} check -C "$MNT"`;
  t.same(await endings(world, 'inspect-thread', 3, check, umount), ok(3), 'check');
  t.same(await endings(world, 'inspect-thread', 3, check, terminate), ok(3), 'check, SIGTERM');
});
