/**
 * Where a mount is: found by what is mounted, whatever it is called, by whom
 * and with which state directory it was mounted, and from where it is looked at.
 */
import t from 'tap';
import { asRoot } from '../as-root.js';
import { identities, inWorld, NOBODY, ROOT, type World } from './harness.js';

const identity = identities().at(-1) ?? NOBODY;

t.test('a directory above the mountpoint is renamed', (t) =>
  inWorld(t, identity, async (world) => {
    await world.sh('mkdir -p old/p/d old2/p base; echo 1 > old/p/d/f; echo 1 > base/f');
    await world.mount(['old/p']);
    await world.mount(['base', 'old2/p']);
    await world.sh('mv old new; mv old2 "new two"; mkdir -p old/p; echo other > old/p/other');
    for (const [place, file] of [
      [world.path('new/p'), 'd/f'],
      [world.path('new two/p'), 'f'],
    ] as const) {
      const on = (...words: string[]) => world.shadowfs([...words, '-C', place]);
      t.match(await on('status'), { mountpoint: place });
      await world.sh(`cd "${place}"; python3 -c "
import mmap
with open('${file}', 'r+b') as f: m = mmap.mmap(f.fileno(), 0); m[0:1] = b'2'"`);
      t.match(await on('save', 'one'), { ok: true });
      t.equal(await world.sh(`cd "${place}"; cat .snapshots/one/${file}`), '2\n', 'stores too');
      await world.sh(`echo 3 > "${place}/${file}"`);
      t.match(await on('restore', 'one'), { ok: true });
      t.equal(await world.sh(`cat "${place}/${file}"`), '2\n');
      t.match(await on('versions', file), { ok: true });
      t.match(await on('diff', 'one'), { ok: true });
      await world.sh(`node "${world.checkout}/dist/cli/main.js" send one -C "${place}" > stream`);
    }
    const pid = Number((await world.shadowfs(['status', '-C', 'new/p']))['pid']);
    process.kill(pid, 'SIGTERM');
    await world.sh(`wait_for bash -c '! findmnt new/p && [ ! -d /proc/${pid} ]'; cat new/p/d/f`);
    t.match(await world.shadowfs(['umount', 'new two/p']), { ended: true });
    t.equal(await world.sh('cat old/p/other'), 'other\n');
  }),
);

asRoot(t, 'a mount over the mount does not stop a save', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    await world.sh(`cd "$MNT"; echo a > f; python3 -c "
import mmap
with open('f', 'r+b') as f: m = mmap.mmap(f.fileno(), 0); m[0:1] = b'b'"
      mount -t tmpfs none "$MNT"; kill -USR2 $(cat "$WORLD"/home/state/mounts/*.json | grep -o '"pid":[0-9]*' | tr -dc 0-9)
      wait_for grep -q 'saved as' "$WORLD"/home/state/log/*.log
      cd /; umount "$MNT"`);
    t.equal(await world.sh('cat "$MNT"/.snapshots/latest/f'), 'b\n');
  }),
);

/** With another state directory there is no record of the mount. */
const elsewhere = (world: World): { env: Record<string, string> } => ({
  env: { SHADOWFS_STATE_DIR: world.path('home/other') },
});

t.test('other names, other state directories', (t) =>
  inWorld(t, identity, async (world) => {
    await world.sh('mkdir -p up/p');
    await world.mount(['--control-name', 'ctl', '--snapshots-name', 'old', 'up/p']);
    await world.sh('mkdir up/p/d; echo x > up/p/d/f');
    const place = world.path('up/p');
    t.match(await world.shadowfs(['save', 'one', '-C', place], elsewhere(world)), { ok: true });
    for (const inside of ['ctl', 'old/one/d', 'old', 'd', 'd/old/one', 'old/latest/d']) {
      const cwd = world.path('up/p', inside);
      t.match(await world.shadowfs(['status'], { cwd }), { mountpoint: place }, inside);
      t.match(await world.shadowfs(['status'], { cwd, ...elsewhere(world) }), {
        mountpoint: place,
      });
    }
    await world.sh('mv up renamed');
    const moved = world.path('renamed/p');
    const status = await world.shadowfs(['status', '-C', moved], elsewhere(world));
    t.match(status, { mountpoint: moved }, 'renamed, too');
    t.match(await world.shadowfs(['umount', moved], elsewhere(world)), { ended: true });
  }),
);

asRoot(t, 'root, on the mount of a user', (t) =>
  inWorld(t, NOBODY, async (world) => {
    await world.mount(['--no-base', '--control-name', 'ctl', 'mnt']);
    await world.sh('echo x > "$MNT/f"');
    const root = { uid: 0, cwd: '/', ...elsewhere(world) };
    t.match(await world.shadowfs(['save', 'by-root', '-C', world.mnt], root), { ok: true });
    t.match(await world.shadowfs(['snapshots', world.mnt], root), { name: 'by-root' });
    const other = await world.refused(['status', '-C', world.mnt], {
      uid: 65533,
      cwd: '/',
      env: { SHADOWFS_STATE_DIR: '/tmp/no-such-state', HOME: '/' },
    });
    t.match(
      other,
      { code: 'not-permitted', message: /uid 65534/ },
      'another user learns whose it is',
    );
    t.match(await world.shadowfs(['umount', world.mnt], root), { ok: true });
  }),
);
