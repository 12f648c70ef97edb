/**
 * `apply --give-back` on a real mount (rules G1–G7): the volume gets smaller, and
 * everybody reads what they read before; also killed in the middle.
 */
import t from 'tap';
import { inWorld, NOBODY, pause, ROOT, type World } from './harness.js';
import { isRoot } from '../as-root.js';

const ORDINARY = isRoot ? NOBODY : { name: 'an ordinary user', uid: process.getuid?.() ?? -1 };
const MIB = 2 ** 20;

async function usedBytes(world: World): Promise<number> {
  return Number((await world.on(['status']))['usedBytes']);
}

/** The collector works in the background. */
async function usedAfter(world: World, isEnough: (bytes: number) => boolean): Promise<number> {
  for (let i = 0; ; i++) {
    const used = await usedBytes(world);
    if (isEnough(used) || i === 100) return used;
    await pause(100);
  }
}

t.test('24 MiB come back, and nobody reads anything else', (t) =>
  inWorld(t, ORDINARY, async (world) => {
    await world.sh('mkdir -p base/d; echo one > base/d/f');
    await world.mount(['base', 'mnt']);
    await world.sh('head -c 24M /dev/urandom > "$MNT/big"; echo small > "$MNT/small"');
    await world.on(['save', 'one']);
    await world.sh('printf change | dd of="$MNT/big" bs=1M seek=7 conv=notrunc status=none');
    await world.on(['save', 'two']);
    await world.sh('manifest "$MNT" > tree; manifest "$MNT/.snapshots/one" > one');
    await world.on(['apply']);
    const before = await usedBytes(world);
    t.ok(before > 24 * MIB, `${before} bytes before`);
    const { status, out } = await world.tryShadowfs(['apply', '--give-back'], { cwd: world.mnt });
    t.equal(status, 0);
    t.match(out, /given back: 24M of 1 file, read from the base from now on/);
    await world.sh('same_manifest tree "$MNT"; same_manifest tree "$MNT/.snapshots/two"');
    await world.sh('same_manifest one "$MNT/.snapshots/one"');
    await world.on(['delete', 'one']);
    const after = await usedAfter(world, (bytes) => bytes < 2 * MIB);
    t.ok(after < 2 * MIB, `${before} bytes before, ${after} after`);
    await world.umount();
    await world.mount(['base', 'mnt']);
    await world.sh('same_manifest tree "$MNT"; same_manifest tree "$MNT/.snapshots/two"');
    // The bytes come back before the base changes.
    await world.sh('printf more | dd of="$MNT/big" bs=1M seek=9 conv=notrunc status=none');
    await world.sh('mv "$MNT/d" "$MNT/e"; manifest "$MNT" > tree2');
    await world.on(['save', 'three']);
    t.match(await world.on(['apply', '--give-back']), { givenBackCount: 1 });
    await world.sh('same_manifest tree2 "$MNT"; same_manifest tree "$MNT/.snapshots/two"');
    await world.on(['undo']);
    await world.sh('same_manifest tree2 "$MNT"; same_manifest tree "$MNT/.snapshots/two"');
    await world.sh('same_manifest tree base');
    await world.on(['check']);
  }),
);

t.test('what others do in the base, and freeze', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh('mkdir base; echo one > base/f');
    await world.mount(['base', 'mnt']);
    await world.sh('head -c 3M /dev/urandom | tee "$MNT/a" > "$MNT/b"');
    await world.on(['save', 'one']);
    await world.sh('printf change | dd of="$MNT/a" bs=1M seek=1 conv=notrunc status=none');
    await world.on(['save', 'two']);
    t.match(await world.on(['apply', '--give-back']), { givenBackCount: 2 });
    await world.sh('echo theirs >> base/b');
    const read = await world.trySh('cat "$MNT/.snapshots/two/b" | tail -c 7');
    t.match(read.err, /Input.output error/);
    t.match(await world.refused(['freeze', '-C', world.mnt]), { code: 'freeze-refused' });
    await world.sh('head -c 3M base/b > "$MNT/b2"; mv "$MNT/b2" "$MNT/b"');
    await world.on(['delete', 'one', 'two']);
    await world.sh('manifest "$MNT" > tree');
    t.match(await world.on(['apply', '--ours']), { ok: true });
    // The undo snapshot of the first apply still had it.
    t.match(await world.on(['freeze', '--force']), { lostCount: 1 });
    await world.sh('rm -r base; same_manifest tree "$MNT"');
  }),
);

const TAKING = ['take-back:kept', 'take-back:stored'];

for (const point of ['give-back:given:3', ...TAKING]) {
  t.test(`killed at ${point}`, (t) =>
    inWorld(t, ORDINARY, async (world) => {
      await world.sh('mkdir -p base/d');
      await world.mount(['base', 'mnt']);
      await world.sh('cd "$MNT"; for i in 1 2 3 4; do head -c 100K /dev/urandom > d/$i; done');
      await world.on(['save', 'one']);
      await world.on(TAKING.includes(point) ? ['apply', '--give-back'] : ['apply']);
      await world.umount();
      await world.mount(['base', 'mnt'], { env: { SHADOWFS_FAILPOINT: point } });
      await world.sh('printf x >> "$MNT/d/1"; mv "$MNT/d" "$MNT/e"');
      await world.sh('manifest "$MNT" > tree; manifest "$MNT/.snapshots/one" > one');
      const { status } = await world.tryShadowfs(['apply', '--give-back'], { cwd: world.mnt });
      t.not(status, 0, 'it was killed');
      await world.mount(['base', 'mnt']);
      const same = 'same_manifest tree "$MNT"; same_manifest one "$MNT/.snapshots/one"';
      await world.sh(same);
      t.match(await world.on(['check']), { ok: true });
      await world.on(['apply', '--give-back']);
      await world.sh(`${same}; same_manifest tree base`);
    }),
  );
}
