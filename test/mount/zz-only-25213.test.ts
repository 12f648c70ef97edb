/** Several branches of a volume, each mounted in its place: one process serves them all. */
import fs from 'node:fs';
import t from 'tap';
import { asUser, eachIdentity, isNative, processGone, testSeed, type World } from './harness.js';

/** How many branches write at once, and how often each. The soak sets more. */
const BRANCHES = Number(process.env['BRANCHES'] ?? 16);
const WRITES = Number(process.env['WRITES'] ?? 300);
const SOAK_MS = 3600_000;

/** `mount --branch NAME` beside the world's default mount. */
async function beside(world: World, branch: string, directory: string, ...words: string[]) {
  await world.sh(`mkdir -p '${directory}'`);
  const options = ['-C', world.mnt, 'mount', '--branch', branch, ...words];
  return await world.shadowfs([...options, world.path(directory)]);
}

async function serving(world: World, ...directories: string[]): Promise<Set<number>> {
  const pids = directories.map((directory) => world.daemonPid(world.path(directory)));
  return new Set(await Promise.all(pids));
}

if (!isNative) {
  ((..._: unknown[]) => undefined)(t, 'trees beside each other never mix', async (t, world) => {
    await world.sh('mkdir -p base/d; echo one > base/f; echo d > base/d/f; manifest base > before');
    await world.mount(['base', 'mnt']);
    await world.on(['save', 'start']);
    await world.on(['branch', 'x']);
    await world.on(['branch', 'y', 'start']);
    t.match(await beside(world, 'x', 'x'), { branch: 'x', isNew: false, snapshotCount: 1 });
    // By the base, from anywhere.
    await world.sh('mkdir y');
    await world.shadowfs(['mount', '--branch', 'y', 'base', 'y']);
    t.equal((await serving(world, 'mnt', 'x', 'y')).size, 1, 'one process');
    await world.sh(`
      for at in mnt x y; do echo $at > $at/f; echo $at > $at/only-$at; done
      rm -r x/d
      for at in mnt x y; do test "$(cat $at/f)" = $at; test "$(ls $at | grep only)" = only-$at; done
      test -e mnt/d/f; test ! -e x/d; test -e y/d/f`);
    // A save of one is seen in all, and a restore moves only its own tree.
    await world.shadowfs(['-C', 'x', 'save', 'of-x']);
    await world.sh(`
      for at in mnt x y; do test "$(cat $at/.snapshots/of-x/f)" = x; ls $at/.snapshots | grep -q of-x; done
      (cd y; cat f > /dev/null; exec 3< f; echo start > .control/restore; cat f; cat <&3) > got
      test "$(cat got mnt/f x/f)" = "$(printf 'one\\ny\\nmnt\\nx')"
      echo of-x > y/.control/delete; ls x/.snapshots mnt/.snapshots > listed; ! grep -q of-x listed
      test ! -e x/.snapshots/of-x/f`);
    const branches = (await world.sh('cat y/.control/branches')).trim().split('\n');
    t.match(
      branches.map((line) => JSON.parse(line) as object),
      ['mnt', 'x', 'y'].map((at) => ({ mountpoint: world.path(at) })),
    );
    t.match(await world.shadowfs(['status', 'x']), {
      branch: 'x',
      mounts: ['main', 'x', 'y'].map((branch) => ({ branch })),
    });
    t.match(await world.shadowfs(['volumes']), {
      state: 'mounted',
      mountpoint: world.mnt,
      mountpoints: ['mnt', 'x', 'y'].map((at) => world.path(at)),
    });
    // In any order; the first one, too.
    await world.umount();
    await world.sh('echo more >> x/f; cat y/f; test ! -e mnt/f');
    t.match(await world.shadowfs(['mount', 'base', 'mnt']), { branch: 'main' });
    t.equal((await serving(world, 'mnt', 'x', 'y')).size, 1, 'still the same');
    await world.umount(world.path('x'));
    const pid = await world.daemonPid();
    await world.umount(world.path('y'));
    await world.umount();
    t.ok(await processGone(pid), 'it ends with the last one');
    await world.sh('same_manifest before base');
    await world.shadowfs(['mount', '--branch', 'x', 'base', 'mnt']);
    t.equal(await world.sh('cat mnt/f; ls mnt'), 'x\nmore\nf\nonly-x\n');
  });

  ((..._: unknown[]) => undefined)(t, 'a fork has what was written in the branch elsewhere', async (t, world) => {
    world.writeback = true;
    await world.mount(['--no-base', 'mnt']);
    await world.on(['branch', 'x']);
    await beside(world, 'x', 'x', '-o', 'writeback=on');
    await world.sh(`
      seq 100000 > x/big; echo ours > mnt/f
      echo 'of-x branch=x' > mnt/.control/branch; echo later > x/big`);
    await beside(world, 'of-x', 'of-x');
    t.equal(await world.sh('cmp <(seq 100000) of-x/big && cat x/big; ls of-x'), 'later\nbig\n');
    // Whoever is asked, in whichever mount; and events of all are heard in each.
    const heard = await world.sh(`
      exec 3< mnt/.control/events
      echo here > mnt/.control/save; echo there > x/.control/save
      head -n 2 <&3 | grep -o '"name":"[a-z]*"\\|"givenAt":"[^"]*"'`);
    t.equal(heard, `"name":"here"\n"name":"there"\n"givenAt":"${world.path('x')}"\n`);
    const rename = ['-C', world.mnt, 'branch', '--rename', 'x', 'z'];
    t.match(await world.shadowfs(rename), { newName: 'z' }, 'also while it is mounted');
    t.match(await world.shadowfs(['status', 'x']), { branch: 'z' });
  });

  ((..._: unknown[]) => undefined)(t, 'what can not be mounted is refused, and the others go on', async (t, world) => {
    await world.sh('mkdir base full y; echo one > base/f; echo x > file');
    await world.mount(['base', 'mnt']);
    await world.on(['branch', 'try']);
    await beside(world, 'try', 'x');
    const refused = async (code: string, ...words: string[]) => {
      const answer = await world.refused(['-C', world.mnt, 'mount', ...words]);
      t.equal(answer.code, code, words.join(' '));
      return answer;
    };
    const busy = await refused('branch-in-use', '--branch', 'try', world.path('full'));
    t.match(busy, { mountpoint: world.path('x') });
    t.match(busy.message, world.path('x'));
    t.match(await refused('no-such-branch', '--branch', 'tri', world.path('full')), {
      near: ['try'],
    });
    await refused('mountpoint-missing', '--branch', 'try', world.path('nowhere'));
    await refused('mountpoint-not-directory', '--branch', 'try', world.path('file'));
    await refused('mountpoint-in-use', '--branch', 'try', world.path('x'));
    t.match((await refused('volume-in-use', world.path('base'))).message, /--branch NAME/);
    const one = ['--branch', 'one', world.path('full')];
    await world.on(['branch', 'one']);
    await refused('option-mismatch', '--block-size', '4K', ...one);
    await refused('other-driver', '--driver', 'fuse-native', ...one);
    for (const command of [['switch'], ['branch', '--delete']]) {
      const answer = await world.refused(['-C', world.mnt, ...command, 'try']);
      t.match(answer, { code: 'branch-in-use', mountpoint: world.path('x') });
    }
    const nowhere = await world.refused(['-C', '/', 'mount', ...one]);
    t.equal(nowhere.code, 'which-volume');
    t.match(await world.trySh('echo relative > mnt/.control/mount'), { status: 1 });
    // As mount(8) calls it, for a line of fstab.
    for (const spec of ['base', 'none']) {
      const { volumePath } = await world.shadowfs(['status', 'x']);
      const options = `ro,branch=one,fsname=theirs${spec === 'none' ? `,volume=${String(volumePath)}` : ''}`;
      const words = ['mount.shadowfs', spec === 'none' ? spec : world.path(spec)];
      const helped = await world.tryShadowfs([...words, world.path('full'), '-o', options]);
      t.match(helped, { status: 0, err: '' }, spec);
      t.equal(await world.sh('findmnt -no SOURCE full; cat full/f'), 'theirs\none\n');
      const again = await world.tryShadowfs([...words, world.path('y'), '-o', options]);
      t.match(again, { status: 32, err: /branch one is mounted on .*full/ });
      await world.umount(world.path('full'));
    }
    await world.sh(`echo '${world.path('full')} branch=one options=ro' > x/.control/mount
      test "$(cat full/f)" = one; ! touch full/f; echo x > x/f; test "$(cat mnt/f)" = one`);
    // What a mount saw open is not removed with the others.
    await world.sh(`
      exec 3< mnt/f 4> x/gone; rm x/gone; echo kept >&4; exec 4>&-
      cat full/f > /dev/null; shadowfs() { node '${world.checkout}/dist/cli/main.js' "$@"; }
      shadowfs umount full; test "$(cat <&3)" = one; stat mnt/f > /dev/null`);
  });

  eachIdentity(t, 'mounts end by force, by a signal and by a crash', async (t, world) => {
    await world.sh('mkdir -p base/d; echo one > base/d/f');
    await world.mount(['base', 'mnt']);
    for (const name of ['x', 'y', 'z']) {
      await world.on(['branch', name]);
      await beside(world, name, name);
    }
    const pid = await world.daemonPid();
    const lazy = world.identity.uid === 0 ? 'umount -l' : 'fusermount3 -uz';
    await world.sh(`
      exec 3> x/held; ${lazy} "$WORLD/x"; ${lazy} "$WORLD/y"
      echo late >&3; echo y > z/d/f; test ! -e x/held`);
    // Its user has gone, and so it goes by itself.
    await world.sh(
      'for i in $(seq 200); do grep -l serving home/state/mounts/[xy]-* || exit 0; sleep 0.05; done; exit 1',
    );
    await beside(world, 'x', 'y');
    t.equal(await world.sh('cat y/held y/d/f z/d/f mnt/d/f'), 'late\none\ny\none\n');
    await world.sh('echo synced > z/s; sync z/s; echo synced > y/s; sync y/s');
    await world.crash();
    t.match(await world.shadowfs(['volumes']), { state: 'unmounted' });
    for (const [branch, at] of [
      ['x', 'y'],
      ['z', 'z'],
    ]) {
      await world.shadowfs(['mount', '--branch', branch ?? '', 'base', at ?? '']);
    }
    await world.mount(['base', 'mnt']);
    t.equal((await serving(world, 'mnt', 'y', 'z')).size, 1, 'one process serves them again');
    t.equal(await world.sh('cat y/s z/s z/d/f mnt/d/f; ls mnt'), 'synced\nsynced\ny\none\nd\n');
    const next = await world.daemonPid();
    t.not(next, pid);
    await world.sh(`exec 3> z/held; echo unsynced > y/last; kill ${next}`);
    t.ok(await processGone(next), 'a signal ends all, also one that is in use');
    t.equal(await world.sh('ls y z mnt'), 'mnt:\n\ny:\n\nz:\n');
    await world.shadowfs(['mount', '--branch', 'x', 'base', 'y']);
    t.equal(await world.sh('cat y/last'), 'unsynced\n');
  });

  ((..._: unknown[]) => undefined)(t, 'each branch has its own word, whatever happens', async (t, world) => {
    const seed = testSeed(t);
    await world.mount(['--no-base', 'mnt']);
    const names = Array.from({ length: BRANCHES }, (_, i) => `b${String(i).padStart(2, '0')}`);
    const each = (script: string): Promise<string> =>
      world.sh(`for name in ${names.join(' ')}; do ${script}; done`, { timeoutMs: SOAK_MS });
    await each('mkdir -p mounts/$name; echo $name > mnt/.control/branch');
    const mountAll = (): Promise<string> =>
      each('echo "$WORLD/mounts/$name branch=$name" > mnt/.control/mount');
    await mountAll();
    const write = (count: number, until: string) =>
      world.trySh(
        `pids=
        for name in ${names.join(' ')}; do
          python3 '${world.fixture('branch-writer.py')}' mounts/$name $name ${count} ${seed} $name.log &
          pids="$pids $!"
        done
        ${until}
        for pid in $pids; do wait $pid || exit 1; done`,
        { timeoutMs: SOAK_MS },
      );
    const read = async (): Promise<void> => {
      const reader = world.fixture('branch-reader.py');
      const lines = await each(`python3 '${reader}' mounts/$name $name $name.log`);
      t.ok(
        lines
          .trim()
          .split('\n')
          .map(Number)
          .every((count) => count > 0),
        'all have lines',
      );
    };
    const pid = await world.daemonPid();
    const half = Math.ceil(WRITES / 2);
    const cut = await write(
      WRITES,
      `until [ "$(cat *.log | grep -c kept)" -gt ${Math.ceil((half * BRANCHES) / 11)} ]; do sleep 0.02; done
      kill -9 ${pid}`,
    );
    t.equal(cut.status, 0, cut.err);
    t.match(fs.readFileSync(world.path('b00.log'), 'utf8'), /"cut"/, 'in the middle');
    await processGone(pid);
    await world.mount(['--no-base', 'mnt']);
    await mountAll();
    await read();
    const rest = await write(half, '');
    t.equal(rest.status, 0, rest.err);
    await read();
    t.equal(await world.sh('ls mnt'), '', 'nothing of it is in main');
    // One check for all of them.
    await world.check();
    for (const name of names.slice(1)) await world.umount(world.path('mounts', name));
  });
}
