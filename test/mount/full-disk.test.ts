/**
 * A full disk or a full quota: refused with ENOSPC where a program can hear it,
 * nothing that is stored is harmed, and reading, deleting and restoring go on.
 */
import t, { type Test } from 'tap';
import { asRoot } from '../as-root.js';
import { identities, inWorld, NOBODY, ROOT, type World } from './harness.js';

const LONG_MS = 120_000;

/** Fills the mount; tells each file that was fsynced and closed without an error, by name and checksum. */
const FILL = `cd "$MNT"; python3 -c "
import errno, hashlib, os, random
rng = random.Random(1)
os.makedirs('fill', exist_ok=True)
failures = 0
for n in range(4000):
    data = rng.randbytes(rng.choice([100, 5000, 100000, 1000000]))
    path = 'fill/f%d' % n
    try:
        f = os.open(path, os.O_CREAT | os.O_RDWR | os.O_EXCL)
        try:
            # Of a large write the first part may still have found room.
            if os.write(f, data) < len(data): raise OSError(errno.ENOSPC, '')
            os.fsync(f)
        finally:
            os.close(f)
        print(hashlib.sha256(data).hexdigest() + '  ' + path)
    except OSError as e:
        assert e.errno == errno.ENOSPC, e
        failures += 1
        if failures == 12: break
else:
    raise Exception('never full')
" > ../stored`;

/** What must hold on a volume that has run full. */
async function fillAndRecover(t: Test, world: World): Promise<void> {
  await world.sh(
    'cd "$MNT"; mkdir kept; for i in $(seq 40); do seq $i 3000 > kept/f$i; done; sync kept/f1',
  );
  await world.on(['save', 'kept']);
  await world.sh('manifest "$MNT/kept" > kept.manifest');
  await world.sh(FILL, { timeoutMs: LONG_MS });
  t.ok(Number(await world.sh('wc -l < stored')) > 10, 'it took some');
  const check =
    'cd "$MNT"; sha256sum --quiet --check ../stored; cd ..; same_manifest kept.manifest mnt/kept';
  await world.sh(check);
  t.pass('what was stored is whole');
  await world.check();

  // Without fsync the refusal comes at write, or at close at the latest.
  const quiet = await world.trySh(
    `cd "$MNT"; python3 -c "

import os
f = os.open('quiet', os.O_CREAT | os.O_WRONLY)
for i in range(200): os.write(f, os.urandom(1000000))
os.close(f)"`,
    { timeoutMs: LONG_MS },
  );
  t.match(
    quiet,
    { status: 1, err: /No space left on device/ },
    'a program without fsync hears of it',
  );
  t.match(
    (
      await world.trySh(
        'cp -r "$MNT/kept" "$MNT/copy"; for i in $(seq 3000); do mkdir "$MNT/dir$i" || break; done',
      )
    ).err,
    /No space left on device/,
  );
  await world.sh(check);
  t.pass('still whole');

  // What was saved holds its space until the snapshot goes; the rest comes back.
  await world.sh('cd "$MNT"; rm -rf fill quiet copy dir*; same_manifest ../kept.manifest kept');
  t.pass('removing works');
  await world.sh('cd "$MNT"; wait_for sh -c "echo fits > small && sync small"; cat small');
  const restored = await world.on(['restore', 'kept']);
  t.match(restored, { ok: true });
  await world.sh('same_manifest kept.manifest mnt/kept; ls "$MNT"');
  t.equal(await world.sh('ls "$MNT"'), 'kept\n', 'restoring works');
  for (const line of (await world.sh('ls "$MNT/.snapshots" | grep undo || true')).split('\n')) {
    if (line !== '') await world.on(['delete', line]);
  }
  await world.sh(
    `
    wait_for sh -c 'head -c 10000000 /dev/urandom > "$MNT/again" && sync "$MNT/again" || { rm -f "$MNT/again"; sleep 0.5; false; }'
  `,
    { timeoutMs: LONG_MS },
  );
  t.pass('deleting gives space back');
  await world.check();
  await world.umount();
  await world.mount(['--no-base', '--volume', world.path('disk', 'volume'), 'mnt']);
  await world.sh(
    'same_manifest kept.manifest mnt/kept; same_manifest kept.manifest mnt/.snapshots/kept/kept',
  );
  await world.sh('stat -c %s "$MNT/again"');
}

t.test('a full quota', (t) =>
  inWorld(t, identities().at(-1) ?? NOBODY, async (world) => {
    await world.sh('mkdir disk');
    await world.mount(['--no-base', '--quota', '48M', '--volume', 'disk/volume', 'mnt']);
    await fillAndRecover(t, world);
    t.ok(Number(await world.sh('du -sm disk | cut -f 1')) <= 50, 'the volume kept to its quota');
  }),
);

/** mkfs.btrfs looks at what all loop devices of the machine are over, and fails where root may not. */
const MKFS = { ext4: 'mkfs.ext4 -q -m 0', Btrfs: 'wait_for mkfs.btrfs -q' };
/** As small as they go with room for data; with room for an intent log. */
const SMALL = { ext4: '64M', Btrfs: '128M' };
const LARGE = { ext4: '256M', Btrfs: '300M' };

/** A test in a world with `disk`, an image of each file system. */
function onEachDisk(
  title: string,
  sizes: typeof SMALL,
  body: (t: Test, world: World) => Promise<void>,
): void {
  for (const name of ['ext4', 'Btrfs'] as const) {
    asRoot(t, `${title}, ${name}`, (t) =>
      inWorld(t, ROOT, async (world) => {
        await world.sh(
          `truncate -s ${sizes[name]} image; ${MKFS[name]} image > /dev/null; mkdir disk; mount -o loop image disk`,
        );
        await body(t, world);
      }),
    );
  }
}

const ON_DISK = ['--no-base', '--volume', 'disk/volume', 'mnt'];

onEachDisk('a full disk', SMALL, async (t, world) => {
  await world.mount(ON_DISK);
  await fillAndRecover(t, world);
});

onEachDisk('a disk that others fill', SMALL, async (t, world) => {
  await world.mount(ON_DISK);
  await world.sh(
    'cd "$MNT"; mkdir d; for i in $(seq 50); do seq $i 5000 > d/f$i; done; sync d/f1; manifest d > ../before',
  );
  await world.on(['save', 's']);
  // The other one takes all that is left; files it wrote stay, ours as well.
  await world.trySh('cat /dev/zero > disk/other; sync -f disk/other');
  // A full Btrfs looks for room at each write, although the file has it: a few MiB a second.
  const ran = await world.trySh(
    'cd "$MNT"; for i in $(seq 200); do head -c 1000000 /dev/urandom > g$i && sync g$i || break; done',
    { timeoutMs: 2 * LONG_MS },
  );
  t.match(ran.err, /No space left/, 'refused');
  await world.sh('cd "$MNT"; rm -f g*; same_manifest ../before d');
  await world.on(['restore', 's']);
  await world.sh('same_manifest before "$MNT/d"; rm disk/other');
  await world.sh(
    `wait_for sh -c 'head -c 5000000 /dev/urandom > "$MNT/again" && sync "$MNT/again"'`,
  );
  t.pass('and it goes on when there is room again');
});

onEachDisk(
  'one large write into a full disk, and mounts while it is full',
  LARGE,
  async (t, world) => {
    await world.mount(ON_DISK);
    await world.sh(
      'cd "$MNT"; mkdir d; for i in $(seq 50); do seq $i 5000 > d/f$i; done; sync d/f1; manifest d > ../before',
    );
    await world.on(['save', 's']);
    const pid = await world.daemonPid();
    const wrote = await world.trySh('dd if=/dev/urandom of="$MNT/large" bs=1M', {
      timeoutMs: LONG_MS,
    });
    t.match(wrote, { status: 1, err: /No space left on device/ }, 'it hears of it');
    t.equal(await world.daemonPid(), pid, 'the daemon lives');
    await world.sh('same_manifest before "$MNT/d"; rm "$MNT/large"; [ "$(ls "$MNT")" = d ]');
    t.pass('reading and deleting go on');
    await world.sh('wait_for sh -c \'echo fsynced > "$MNT/last" && sync "$MNT/last"\'');
    await world.crash();
    // What the volume has left goes to others, to the last block.
    await world.trySh(
      'cat /dev/zero > disk/other; sync -f disk; cat /dev/zero > disk/more; sync -f disk',
    );
    const look = 'same_manifest before "$MNT/d"; cat "$MNT/last"';
    await world.mount(ON_DISK);
    t.equal(await world.sh(look), 'fsynced\n', 'mounted while the disk is full');
    await world.sh('rm "$MNT/last"; sync -f "$MNT"; [ "$(ls "$MNT")" = d ]');
    await world.check();
    await world.umount();
    await world.mount(['--ro', ...ON_DISK]);
    await world.sh('same_manifest before "$MNT/d"; same_manifest before "$MNT/.snapshots/s/d"');
    await world.check();
    await world.umount();
    await world.check(['--volume', 'disk/volume']);
    await world.mount(ON_DISK);
    const again =
      'again() { head -c 5000000 /dev/urandom > "$MNT/again" && sync "$MNT/again"; }; wait_for again';
    const goesOn = await world.trySh(`rm disk/other disk/more; ${again}`, { timeoutMs: LONG_MS });
    if (goesOn.status !== 0) {
      // Others had the last block when a txg was stored: the volume takes no more changes (EIO).
      t.match(await world.trySh('echo x > "$MNT/x"; sync "$MNT/x"'), { status: 1 });
      await world.sh('same_manifest before "$MNT/d"');
      await world.tryShadowfs(['umount', world.mnt]);
      await world.mount(ON_DISK);
      await world.sh(again, { timeoutMs: LONG_MS });
    }
    t.pass('and it goes on when there is room again, at the latest with the next mount');
  },
);

asRoot(t, 'a Btrfs disk that is full, and a file that is not written in place', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh(
      `truncate -s 128M image; ${MKFS.Btrfs} image > /dev/null; mkdir disk; mount -o loop image disk`,
    );
    await world.mount(ON_DISK);
    await world.umount();
    // As one that was made before: a copy, or one by an older version.
    await world.sh('mv disk/volume disk/made; cp -r --reflink=never disk/made disk/volume');
    t.notMatch(await world.sh('lsattr disk/volume/data.mdb'), /C/);
    await world.mount(ON_DISK);
    await fillAndRecover(t, world);
  }),
);
