/** A mount over a long time, and after: its log, its name, and users that stay. */
import fs from 'node:fs';
import t from 'tap';
import { asRoot } from '../as-root.js';
import { identities, inWorld, NOBODY, ROOT } from './harness.js';

const identity = identities().at(-1) ?? NOBODY;

t.test('the log begins anew when it is long', (t) =>
  inWorld(t, identity, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    const log = String((await world.on(['status']))['log']);
    await world.sh(`head -c 1100000 /dev/zero | tr '\\0' x >> '${log}'`);
    await world.refused(['delete', 'one', '-C', world.mnt]);
    await world.refused(['delete', 'two', '-C', world.mnt]);
    await world.refused(['delete', 'three', '-C', world.mnt]);
    t.ok(fs.statSync(`${log}.1`).size > 1_100_000, 'what was there is kept');
    t.match(fs.readFileSync(log, 'utf8'), /^\S+ delete failed: .*two.*\n.*three/, 'and it goes on');
    // An administrator has taken the file away.
    await world.sh(`head -c 1100000 /dev/zero | tr '\\0' x >> '${log}'; rm '${log}'`);
    await world.refused(['delete', 'four', '-C', world.mnt]);
    await world.refused(['delete', 'five', '-C', world.mnt]);
    t.match(fs.readFileSync(log, 'utf8'), /^\S+ delete failed: .*five/);
  }),
);

t.test('fsname and noatime are shown as they are', (t) =>
  inWorld(t, identity, async (world) => {
    await world.mount(['--no-base', '-o', 'fsname=my,noatime', 'mnt']);
    const shown = await world.sh('findmnt -n -o SOURCE,OPTIONS "$MNT"');
    t.match(shown, /^my\s+rw,.*noatime/);
    const refused = await world.tryShadowfs([
      'mount',
      '--no-base',
      '-o',
      'fsname=',
      world.path('home'),
    ]);
    t.match(refused, { status: 2, err: /fsname=: expected a name/ });
  }),
);

t.test('a detached mount that is in use is named by the next one', (t) =>
  inWorld(t, identity, async (world) => {
    await world.mount(['--no-base', '--volume', 'v', 'mnt']);
    const out = await world.sh(`cd "$MNT"; echo x > f; sleep 60 < f & user=$!; cd /
      cli="node ${world.checkout}/dist/cli/main.js"; mkdir "$WORLD/other"
      $cli umount -l "$MNT"
      started=$(date +%s)
      for at in "$MNT" "$WORLD/other"; do $cli mount --no-base --volume "$WORLD/v" "$at" --json 2>&1 || true; done
      echo "took $(( $(date +%s) - started )) pid $user"
      kill $user; wait $user || true
      $cli mount --no-base --volume "$WORLD/v" "$MNT"; cat "$MNT/f"`);
    const [, took, pid] = /took (\d+) pid (\d+)/.exec(out) ?? [];
    t.match(out, /"code":"mountpoint-in-use".*"isDetached":true/, 'at the same place');
    t.match(out, /"code":"volume-in-use".*"isDetached":true/, 'and elsewhere');
    t.match(out, /detached from there \(umount -l\), and is served until its last user is gone:\n/);
    t.match(out, `\n  sleep (pid ${pid}): open file ${world.mnt}/f\n`, 'as it was called there');
    t.ok(Number(took) < 8, 'it does not wait for what will not come');
    t.match(out, /\nx\n$/, 'and when the user has gone, it mounts');
  }),
);

asRoot(t, 'a unit is ordered behind its disks', (t) =>
  inWorld(t, ROOT, async (world) => {
    const generated = await world.sh(`mkdir etc out
      printf 'BASE=/srv/the data\nOPTIONS=volume=/mnt/big/v%%1,allow_other\n' > 'etc/srv-data'
      printf "BASE=none\nOPTIONS='rw,volume=/mnt/other'\n" > 'etc/home-x\\x2dy'
      echo 'OPTIONS=rw' > etc/plain
      SHADOWFS_ETC=etc ${world.checkout}/mount-scripts/shadowfs-generator out out out
      cd out; grep -r RequiresMountsFor . | sort`);
    t.equal(
      generated,
      './shadowfs@home-x\\x2dy.service.d/mounts.conf:RequiresMountsFor="/mnt/other"\n' +
        './shadowfs@srv-data.service.d/mounts.conf:RequiresMountsFor="/srv/the data" "/mnt/big/v%%1"\n',
    );
  }),
);

asRoot(t, 'a new volume where nothing can be written', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh('mkdir disk; mount -t tmpfs none disk; mount -o remount,ro disk');
    for (const words of [
      ['mount', '--no-base', '--volume', 'disk/v', 'mnt'],
      ['mount', '--ro', '--no-base', '--volume', 'disk/a/b/v', 'mnt'],
    ]) {
      const refused = await world.refused(words);
      t.match(refused, {
        code: 'volume-unusable',
        errno: 'EROFS',
        message: /can't be made: EROFS/,
      });
    }
    const state = { env: { SHADOWFS_STATE_DIR: world.path('disk/state') } };
    const refused = await world.refused(['mount', '--no-base', '--volume', 'v', 'mnt'], state);
    t.match(refused, { code: 'state-unusable', message: /EROFS/ });
    await world.sh('umount disk');
  }),
);
