/**
 * Volumes that are only read: a read-only mount and the tools write nothing,
 * work where nothing can be written, and show what was fsynced before a crash.
 */
import t, { type Test } from 'tap';
import { asRoot } from '../as-root.js';
import { identities, inWorld, NOBODY, ROOT, type World } from './harness.js';

const LONG_MS = 120_000;

/** The directory and its files: names, modes, sizes, times, bytes. */
const listing = (world: World): Promise<string> =>
  world.sh(
    `cd disk/volume; find . -printf '%P %y %m %n %s %T@ %C@\\n' | sort; find . -type f | sort | xargs sha256sum`,
  );

/** Changes of each kind, of which the last stand in the intent log alone; then the daemon is killed. */
async function crashed(world: World): Promise<void> {
  await world.mount(['--no-base', '--volume', 'disk/volume', 'mnt']);
  await world.sh(`
    cd "$MNT"; mkdir d gone; for i in $(seq 100); do seq $i 2000 > d/f$i; done
    head -c 1000000 /dev/urandom > large; setfattr -n user.a -v 1 d/f1; touch gone/f; sync large`);
  await world.on(['save', 's']);
  await world.sh(`
    cd "$MNT"; sync d/f1; for i in $(seq 20); do echo "$i again" > d/f$i; sync d/f$i; done
    rm -r gone d/f3?; mkdir e; mv d/f90 e/moved; ln d/f91 e/linked; ln -s ../d e/way; truncate -s 100 d/f80
    printf changed | dd of=large bs=1 seek=500000 conv=notrunc status=none
    setfattr -n user.a -v 2 d/f1; setfattr -n user.b -v 1 d/f2; sync large; echo last > last; sync last
    manifest . > ../before; manifest .snapshots/s > ../saved`);
  await world.crash();
  await world.sh('umount -l "$MNT" || fusermount3 -uz "$MNT"');
}

/** A read-only mount shows everything, and refuses what it must. */
async function looks(t: Test, world: World, volume = 'disk/volume'): Promise<void> {
  await world.mount(['--ro', '--no-base', '--volume', volume, 'mnt']);
  await world.sh('same_manifest before "$MNT"; same_manifest saved "$MNT/.snapshots/s"');
  t.match(await world.on(['status']), { readOnly: true, latest: 's' });
  t.match(await world.on(['snapshots']), { name: 's' });
  t.match(await world.on(['diff', 's']), { ok: true });
  await world.check();
  for (const words of [
    ['save', 'x'],
    ['restore', 's'],
    ['delete', 's'],
  ]) {
    const refused = await world.refused([...words, '-C', world.mnt]);
    t.match(refused, { code: 'read-only', errno: 'EROFS', message: /mounted read-only/ });
  }
  t.match(await world.trySh('echo no > "$MNT/new"'), { err: /Read-only file system/ });
  t.match(await world.trySh('echo s > "$MNT/.control/restore"'), { err: /Read-only file system/ });
}

/** The tools, on a volume that is not mounted. */
async function tools(t: Test, world: World): Promise<void> {
  const at = ['--volume', 'disk/volume'];
  await world.check(at);
  t.match(await world.shadowfs(['status', ...at]), { latest: 's', snapshotCount: 1 });
  t.match(await world.shadowfs(['snapshots', ...at]), { name: 's' });
  t.match(await world.shadowfs(['versions', 'last', ...at]), { ok: true }, 'what the log has');
  const { changes } = await world.shadowfs(['diff', 's', ...at]);
  t.match(JSON.stringify(changes), /"path":"last"/);
  await world.sh('mkdir -p home; rm -rf received');
  const sent = await world.sh(
    `node ${world.checkout}/dist/cli/main.js send s --volume disk/volume | sha256sum`,
  );
  t.match(sent, /^[0-9a-f]{64}/);
}

const identity = identities().at(-1) ?? NOBODY;

t.test('nothing is written', (t) =>
  inWorld(t, identity, async (world) => {
    await world.sh('mkdir disk');
    await crashed(world);
    const before = await listing(world);
    await tools(t, world);
    t.equal(await listing(world), before, 'by the tools');
    await looks(t, world);
    await world.sh('mkdir other');
    await world.mount(['--ro', '--no-base', '--volume', 'disk/volume', 'other']);
    await world.sh('same_manifest before other');
    t.match(await world.refused(['mount', '--no-base', '--volume', 'disk/volume', 'home']), {
      code: 'volume-in-use',
    });
    await world.umount();
    await world.umount(world.path('other'));
    t.equal(await listing(world), before, 'by read-only mounts');
    await world.mount(['--no-base', '--volume', 'disk/volume', 'mnt']);
    t.match(
      await world.refused(['mount', '--ro', '--no-base', '--volume', 'disk/volume', 'other']),
      { code: 'volume-in-use', message: /mounted on/ },
    );
    await world.sh('same_manifest before "$MNT"; same_manifest saved "$MNT/.snapshots/s"');
    t.pass('and it can be written again');
  }),
);

t.test('a log that can not be read is told', (t) =>
  inWorld(t, identity, async (world) => {
    await world.sh('mkdir disk');
    await crashed(world);
    await world.sh('mv disk/volume/intent.log kept; ln -s ../../kept disk/volume/intent.log');
    const refused = { code: 'log-not-applied', message: /what was fsynced last, can't be read/ };
    const words = ['--no-base', '--volume', 'disk/volume', 'mnt'];
    t.match(await world.refused(['mount', '--ro', ...words]), refused);
    t.match(await world.refused(['mount', ...words]), refused);
    t.match(await world.refused(['status', '--volume', 'disk/volume']), refused);
    await world.sh('mv kept disk/volume/intent.log');
    await looks(t, world);
  }),
);

for (const mkfs of ['mkfs.ext4', 'mkfs.btrfs']) {
  asRoot(t, `media that can not be written, ${mkfs}`, (t) =>
    inWorld(t, ROOT, async (world) => {
      await world.sh(
        `truncate -s 300M image; wait_for ${mkfs} -q image > /dev/null; mkdir disk; mount -o loop image disk`,
        { timeoutMs: LONG_MS },
      );
      await crashed(world);
      const before = await listing(world);
      const writing = ['mount', '--no-base', '--volume', 'disk/volume', 'mnt'];
      const media: [string, string, string, RegExp][] = [
        ['read-only', 'mount -o remount,ro disk', 'mount -o remount,rw disk', /EROFS/],
        ['immutable', 'chattr -R +i disk/volume', 'chattr -R -i disk/volume', /EPERM/],
      ];
      for (const [name, set, reset, cause] of media) {
        await world.sh(set);
        await tools(t, world);
        const refused = await world.refused(writing);
        t.match(refused, { code: 'volume-unusable', message: cause }, `not to be written: ${name}`);
        t.match(refused.message ?? '', /--ro/, 'it says what can be done');
        await looks(t, world);
        await world.umount();
        await world.sh(reset);
        // The flag is a change of the inode.
        if (name === 'read-only') t.equal(await listing(world), before, name);
      }
      await world.sh('mkdir bound; mount --bind disk bound; mount -o remount,bind,ro bound');
      await looks(t, world, 'bound/volume');
      t.match(await world.refused(['mount', '--no-base', '--volume', 'disk/volume', 'home']), {
        code: 'volume-in-use',
      });
      await world.umount();
      await world.mount(writing.slice(1));
      await world.sh('same_manifest before "$MNT"; same_manifest saved "$MNT/.snapshots/s"');
    }),
  );
}

t.test('a base below a read-only mount', (t) =>
  inWorld(t, identity, async (world) => {
    await world.sh('mkdir base base/d disk; echo one > base/d/f; seq 100000 > base/large');
    await world.mount(['--volume', 'disk/volume', 'base', 'mnt']);
    await world.sh(
      'cd "$MNT"; echo two > d/g; sync d/g; echo three > d/g; sync d/g; manifest . > ../before',
    );
    await world.crash();
    await world.sh('umount -l "$MNT" || fusermount3 -uz "$MNT"');
    const before = await listing(world);
    await world.mount(['--ro', '--volume', 'disk/volume', 'base', 'mnt']);
    await world.sh('same_manifest before "$MNT"');
    await world.check();
    await world.umount();
    t.equal(await listing(world), before);
    const refused = await world.refused([
      'mount',
      '--ro',
      '--no-base',
      '--volume',
      'disk/volume',
      'mnt',
    ]);
    t.match(refused, { code: 'base-mismatch' });
  }),
);
