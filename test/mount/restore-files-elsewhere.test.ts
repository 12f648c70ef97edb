/**
 * `restore NAME PATH…` where it meets other circumstances: the second driver, a
 * mount that can't be written, and an end in the middle.
 */
import t, { type Test } from 'tap';
import { inWorld, NOBODY, type World } from './harness.js';
import { isRoot } from '../as-root.js';

const ORDINARY = isRoot ? NOBODY : { name: 'an ordinary user', uid: process.getuid?.() ?? -1 };
const COUNT = 400;

t.test('with the driver fuse-native', (t) =>
  inWorld(t, ORDINARY, async (world) => {
    world.driver = 'fuse-native';
    await world.sh('mkdir -p base/d; echo old | tee base/d/f base/d/g base/h');
    await world.mount(['base', 'mnt']);
    await world.on(['save', 's']);
    await world.sh('cd "$MNT"; echo new > d/f; rm d/g; echo more > d/n; echo new > h');
    await world.on(['restore', 's', 'd'], { cwd: world.mnt });
    t.equal(await world.sh('cd "$MNT"; cat d/f d/g h; ls d'), 'old\nold\nnew\nf\ng\n');
    await world.on(['undo']);
    t.equal(await world.sh('cd "$MNT"; cat d/f h; ls d'), 'new\nnew\nf\nn\n');
  }),
);

t.test('a read-only mount is refused before anything is done', (t) =>
  inWorld(t, ORDINARY, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    await world.sh('echo old > "$MNT/f"');
    await world.on(['save', 's']);
    await world.sh('echo new > "$MNT/f"');
    const { volumePath } = await world.on(['status']);
    await world.umount();
    await world.mount(['--ro', '--volume', String(volumePath), '--no-base', 'mnt']);
    const refused = await world.tryShadowfs(['restore', 's', 'f', '--json'], { cwd: world.mnt });
    t.match(refused, { status: 1, out: /"code":"read-only"/ });
    t.equal(await world.sh('cat "$MNT/f"'), 'new\n');
  }),
);

/** Each file is old or new, and undo leads back to all of the new ones. */
async function endedInTheMiddle(
  t: Test,
  world: World,
  end: (pid: number) => Promise<void>,
): Promise<void> {
  await world.mount(['--no-base', 'mnt']);
  const fill = (word: string): string =>
    `cd "$MNT"; for i in $(seq ${COUNT}); do head -c 40000 /dev/zero | tr "\\0" ${word} > $i.new; mv $i.new $i; done`;
  await world.sh(fill('a'));
  await world.on(['save', 's']);
  await world.sh(fill('b'));
  const paths = Array.from({ length: COUNT }, (_, i) => String(i + 1));
  const main = `${world.checkout}/dist/cli/main.js`;
  const child = world.start(['node', main, 'restore', 's', ...paths], { cwd: world.mnt });
  await world.sh(`wait_for grep -q a "$MNT/1"`);
  await end(child.pid ?? 0);
  await world.sh(`cd "$MNT"; for i in $(seq ${COUNT}); do
    case $(tr -s ab < $i) in a|b) ;; *) echo "$i is torn"; exit 1 ;; esac; done`);
  await world.on(['undo']);
  t.equal(await world.sh(`cd "$MNT"; cat $(seq ${COUNT}) | tr -s b; ls | wc -l`), `b${COUNT}\n`);
}

t.test('Ctrl-C', (t) =>
  inWorld(t, ORDINARY, (world) =>
    endedInTheMiddle(t, world, async (pid) => {
      process.kill(-pid, 'SIGINT');
      await world.sh(`wait_for test ! -e /proc/${pid}`);
    }),
  ),
);

t.test('kill -9 of the command', (t) =>
  inWorld(t, ORDINARY, (world) =>
    endedInTheMiddle(t, world, async (pid) => {
      process.kill(-pid, 'SIGKILL');
      await world.sh(`wait_for test ! -e /proc/${pid}`);
    }),
  ),
);

t.test('kill -9 of the process that serves', (t) =>
  inWorld(t, ORDINARY, (world) =>
    endedInTheMiddle(t, world, async (pid) => {
      await world.crash();
      await world.sh(`wait_for test ! -e /proc/${pid}`);
      await world.mount(['--no-base', 'mnt']);
    }),
  ),
);
