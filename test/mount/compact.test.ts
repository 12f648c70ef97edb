/**
 * Giving space back to the disk of a mounted volume: the disk has it, nothing
 * changes for programs and snapshots, also after a crash in the middle, and a
 * disk that others fill with it is harmless.
 */
import t from 'tap';
import { asRoot } from '../as-root.js';
import { inWorld, ROOT, type World } from './harness.js';

const MIB = 1024 * 1024;
const LONG_MS = 60_000;
const ON_DISK = ['--no-base', '--volume', 'disk/volume', 'mnt'];

async function withDisk(world: World, mebibytes: number): Promise<void> {
  await world.sh(
    `truncate -s ${mebibytes}M image; mkfs.ext4 -q -m 0 image; mkdir disk; mount -o loop image disk`,
  );
}

/** In MiB, as du shows it. */
async function du(world: World): Promise<number> {
  return Number(await world.sh('sync -f disk; du -sm disk/volume | cut -f 1'));
}

/** Files that stay, and a large one that only the snapshot `old` has. */
async function fill(world: World, mebibytes: number): Promise<void> {
  await world.sh(
    `cd "$MNT"; mkdir kept; for i in $(seq 60); do seq $i 4000 > kept/f$i; done
     head -c ${mebibytes}M /dev/urandom > large; sync large`,
    { timeoutMs: LONG_MS },
  );
  await world.on(['save', 'old']);
  await world.sh('rm "$MNT/large"; manifest "$MNT/kept" > before');
  await world.on(['save', 'new']);
  await world.on(['delete', 'old']);
}

const SAME = 'same_manifest before "$MNT/kept"; same_manifest before "$MNT/.snapshots/new/kept"';

asRoot(t, 'the disk gets what was deleted, and may be filled with it', (t) =>
  inWorld(t, ROOT, async (world) => {
    await withDisk(world, 180);
    await world.mount(ON_DISK);
    await fill(world, 50);
    const before = await du(world);
    await world.sh('cat "$MNT/.control/events" > events 2> /dev/null < /dev/null &');
    const { givenBytes, lentBytes, usedBytes } = await world.on(['compact']);
    t.ok(Number(givenBytes) > 40 * MIB, `it says ${String(givenBytes)} bytes`);
    t.ok(Number(lentBytes) > 38 * MIB && Number(usedBytes) < 30 * MIB);
    const after = await du(world);
    t.ok(before - after > 38, `${before} MiB before, ${after} after`);
    await world.sh(SAME);
    await world.check();

    // Others take all of it: nothing that is promised needs a page that the disk has.
    await world.trySh('cat /dev/zero > disk/other; sync -f disk/other');
    await world.sh('wait_for grep -q "percent.:95" events');
    const critical = `node ${world.checkout}/dist/cli/main.js status "$MNT" | grep critical`;
    const said = await world.sh(`says() { ${critical}; }; wait_for says`);
    t.match(said, /critical: the disk of the volume is .* full.*shadowfs compact gives/);
    const full = await world.trySh(
      'cd "$MNT"; for i in $(seq 200); do head -c 4000000 /dev/urandom > g$i && sync g$i || break; done',
      { timeoutMs: LONG_MS },
    );
    t.match(full.err, /No space left/, 'refused');
    await world.sh('rm -f "$MNT"/g*');
    await world.on(['save', 'full']);
    await world.on(['delete', 'full']);
    await world.sh(SAME);
    t.match(await world.on(['compact']), { ok: true }, 'on a full disk, too');
    await world.umount();
    await world.mount(ON_DISK);
    await world.sh(SAME);

    await world.sh(
      'rm disk/other; wait_for sh -c \'echo again > "$MNT/again" && sync "$MNT/again"\'',
    );
  }),
);

asRoot(t, 'a crash in the middle of a compact', (t) =>
  inWorld(t, ROOT, async (world) => {
    await withDisk(world, 200);
    await world.mount(ON_DISK);
    await fill(world, 40);
    await world.umount();
    for (const point of ['lent:2', 'punched:1']) {
      await world.mount(ON_DISK, { env: { SHADOWFS_FAILPOINT: `compact:${point}` } });
      const ran = await world.tryShadowfs(['compact', '-C', world.mnt]);
      t.not(ran.status, 0, `killed at ${point}`);
      await world.mount(ON_DISK);
      await world.sh(SAME);
      await world.check();
      await world.umount();
    }
    await world.mount(ON_DISK);
    await world.on(['compact']);
    await world.sh(SAME);
    await world.umount();
    t.ok((await du(world)) < 30, 'and the rest comes with the next one');
  }),
);

asRoot(t, 'bad input', (t) =>
  inWorld(t, ROOT, async (world) => {
    // A file system that can't punch holes.
    const made = await world.trySh(
      'mkdir disk; truncate -s 200M image; mkfs.vfat image > /dev/null; mount -o loop image disk',
    );
    if (made.status === 0) {
      await world.mount(ON_DISK);
      t.match(await world.refused(['compact', '-C', world.mnt]), {
        code: 'cannot-punch',
        errno: 'EOPNOTSUPP',
      });
      await world.umount();
    }
    await world.mount(['--no-base', '--volume', 'plain', 'mnt']);
    await world.umount();
    t.match(await world.refused(['compact', '--volume', world.path('plain')]), {
      code: 'not-mounted',
    });
    await world.mount(['--no-base', '--ro', '--volume', 'plain', 'mnt']);
    t.match(await world.refused(['compact', '-C', world.mnt]), { code: 'read-only' });
  }),
);
