/** The options of a volume are changed later, mounted and not; what df and status say of room. */
import t from 'tap';
import { identities, inWorld, ROOT, type World } from './harness.js';

const user = identities().at(-1) ?? ROOT;
const MIB = 1024 * 1024;

/** Size, used and available, in bytes. */
async function df(world: World): Promise<number[]> {
  const line = await world.sh('df -B1 --output=size,used,avail "$MNT" | tail -1');
  return line.trim().split(/\s+/).map(Number);
}

t.test('a quota is changed, and df keeps its size', (t) =>
  inWorld(t, user, async (world) => {
    await world.mount(['--no-base', '--quota', '64M', '--volume', world.path('v'), 'mnt']);
    const [size, , available = 0] = await df(world);
    t.equal(size, 64 * MIB, 'the quota');
    await world.sh('head -c 20M /dev/urandom > "$MNT/f"; sync "$MNT/f"');
    const after = await df(world);
    t.equal(after[0], 64 * MIB, 'whatever is used');
    t.ok((after[2] ?? 0) <= available - 20 * MIB, 'what is used is no longer available');
    t.ok((after[1] ?? 0) >= 20 * MIB && (after[1] ?? 0) < 26 * MIB, `used: ${after[1]}`);
    t.not((await world.trySh('head -c 60M /dev/urandom > "$MNT/g"')).status, 0, 'it holds');
    const answer = await world.on(['options', 'quota=160M']);
    t.match(answer, { ok: true, options: { quotaBytes: 160 * MIB }, changedAtNextMount: [] });
    await world.sh('head -c 60M /dev/urandom > "$MNT/g"; sync "$MNT/g"');
    t.equal((await df(world))[0], 160 * MIB, 'at once');
    const tooLow = await world.tryShadowfs(['options', 'quota=16M', '-C', world.mnt]);
    t.match(tooLow, { status: 2, err: /file has \d+ bytes already, and never shrinks/ });
    await world.sh('cd "$MNT"; echo "quota=128M keep-undo=2" > .control/options');
    t.not((await world.trySh('head -c 60M /dev/urandom > "$MNT/h"')).status, 0, 'lower again');
    t.match(await world.on(['status']), { options: { quotaBytes: 128 * MIB, keepUndoCount: 2 } });
    await world.umount();
    const { freeBytes, mountpoint } = await world.shadowfs(['status', '--volume', 'v']);
    t.equal(mountpoint, null);
    t.ok(Number(freeBytes) > 0 && Number(freeBytes) < 128 * MIB, `free: ${freeBytes}`);
    await world.shadowfs(['options', 'quota=none', '--volume', 'v']);
    const without = await world.shadowfs(['status', '--volume', 'v']);
    t.match(without, { options: { quotaBytes: 0, keepUndoCount: 2 } });
    t.ok(Number(without['freeBytes']) > 0, 'what the disk has');
    await world.check(['--volume', 'v']);
  }),
);

t.test('options count at once, from the next mount, or never', (t) =>
  inWorld(t, user, async (world) => {
    await world.mount(['--no-base', '--volume', world.path('v'), 'mnt']);
    await world.on(['save', 's']);
    const words = ['options', 'compression=on', 'snapshots-name=.past', 'keep-undo=1'];
    const answer = await world.on(words);
    t.match(answer, {
      changedAtNextMount: ['compression', 'snapshots-name'],
      options: { keepUndoCount: 1 },
    });
    await world.sh('ls "$MNT/.snapshots/s"');
    const shown = await world.tryShadowfs(['options', '-C', world.mnt]);
    t.match(shown.out, /^compression +off \(from the next mount on: on\)$/m);
    t.match(shown.out, /^keep-undo +1$/m, 'at once');
    for (let i = 0; i < 3; i++) {
      await world.sh('echo "$RANDOM" > "$MNT/f"');
      await world.on(['restore', 's']);
    }
    t.equal(await world.sh('ls "$MNT/.snapshots" | grep -c undo'), '1\n');
    const refuse = async (word: string, status: number, says: RegExp): Promise<void> => {
      t.match(await world.tryShadowfs(['options', word, '-C', world.mnt]), { status, err: says });
    };
    await refuse('block-size=4K', 1, /blocks that are stored have 32768 bytes/);
    await refuse('ro=on', 2, /option of a mount, not of the volume/);
    await refuse('colour=blue', 2, /a volume has no option colour; it has block-size/);
    await refuse('quota=much', 2, /expected a size/);
    await refuse('keep-undo', 2, /expected NAME=VALUE/);
    await refuse('control-name=.past', 2, /must differ/);
    const line = await world.trySh('cd "$MNT"; echo nonsense > .control/options');
    t.match(line.err, /Invalid argument/);
    t.match((await world.on(['history'])).outcome, /undo|restored|compression=true/);
    await world.umount();

    await world.mount(['--no-base', '--volume', world.path('v'), 'mnt']);
    await world.sh('ls "$MNT/.past/s"; test ! -e "$MNT/.snapshots"');
    const { usedBytes: before } = await world.on(['status']);
    await world.sh('head -c 8M /dev/zero | tr "\\0" a > "$MNT/g"; sync "$MNT/g"');
    await world.on(['save', 'stored']);
    const { usedBytes: now } = await world.on(['status']);
    t.ok(Number(now) - Number(before) < 2 * MIB, `8 MiB took ${Number(now) - Number(before)}`);
    const other = await world.refused(['mount', '--no-base', '--volume', 'v', 'home']);
    t.match(other, { code: 'volume-in-use' });
    await world.umount();
    const mismatch = await world.refused(['mount', '--no-base', '--quota', '9M', 'mnt']);
    t.match(mismatch.message, /to change it: shadowfs options quota=VALUE/);
    await world.shadowfs(['options', 'control-name=.ctl', '-C', world.mnt]);
    await world.mount(['--no-base', '--ro', 'mnt']);
    await world.sh('ls "$MNT/.ctl/save"; cat "$MNT/g" | wc -c');
    t.match(await world.refused(['options', 'keep-undo=3', '-C', world.mnt]), {
      code: 'read-only',
    });
    await world.umount();
    const all = await world.tryShadowfs(['history', '--volume', 'v', '--json']);
    t.match(all.out, /"command":"options".*"outcome":"controlName=\.ctl"/);
    await world.check(['--volume', 'v']);
  }),
);
