/** `send | receive` between real volumes: a repository, a base, in use and not. */
import fs from 'node:fs';
import t from 'tap';
import { asUser, eachIdentity, type World } from './harness.js';

const MAIN = 'node "$CLI"';

/** A shell line with `shadowfs` as the built command line. */
function line(world: World, script: string): Promise<string> {
  return world.sh(`CLI=${world.checkout}/dist/cli/main.js
    shadowfs() { ${MAIN} "$@"; }
    ${script}`);
}

eachIdentity(t, 'a repository over a base, worked on while it is sent', async (t, world) => {
  await world.sh(`
    mkdir -p base/src base/empty; cd base
    git init -q . ; git config user.name n; git config user.email n@example
    for i in $(seq 30); do seq $i 200 > src/file$i; done
    ln src/file1 src/hard; ln -s src/file2 link; mkfifo fifo; chmod 640 src/file3
    truncate -s 3M sparse; printf data | dd of=sparse bs=1 seek=2000000 conv=notrunc status=none
    setfattr -n user.color -v blue src/file4; touch -d '2001-02-03 04:05:06.789' src/file5
    git add -A 2>/dev/null; git commit -qm first`);
  await world.mount(['base']);
  const mnt = world.path('base');
  await world.shadowfs(['save', 'one', '-C', mnt]);
  t.match(await world.shadowfs(['send', '-n', 'one', '-C', mnt]), { name: 'one', from: null });
  // Somebody goes on working meanwhile.
  await line(
    world,
    `shadowfs send one -C base > one.stream & sender=$!
     for i in $(seq 50); do echo $i > base/new$i; done
     rm -r base/src/file9; mv base/src base/moved; wait $sender
     shadowfs receive copy.volume < one.stream`,
  );
  await world.sh(`cd base; setfattr -x user.color moved/file4; echo more >> moved/hard
    truncate -s 1M sparse; ln moved/file6 again; rm moved/file1; git add -A; git commit -qm second
    git gc -q`);
  await world.shadowfs(['save', 'two', '-C', mnt]);
  const said = await line(world, 'shadowfs send -i one two -C base | shadowfs receive copy.volume');
  t.match(said, /^received snapshot two from one into /);
  await world.sh('mkdir copy');
  await world.mount(['--no-base', '--volume', world.path('copy.volume'), 'copy']);
  for (const name of ['one', 'two']) {
    await world.sh(`same_tree base/.snapshots/${name} copy/.snapshots/${name}
      list() { (cd "$1"; find . -printf '%P %y %m %U %G %n %s %T@ %C@ %l\\n' | LC_ALL=C sort |
        sed '1d'); }
      diff <(list base/.snapshots/${name}) <(list copy/.snapshots/${name}) | head -20 >&2
      diff <(list base/.snapshots/${name}) <(list copy/.snapshots/${name}) > /dev/null`);
    t.pass(`${name}: the same, ctimes and numbers too`);
  }
  await world.sh('cd copy; git fsck --no-progress 2>&1; test -z "$(git status --porcelain)"');
  await world.sh('test $(stat -c %b copy/sparse) -lt 500');
  const busy = await world.trySh(
    `node ${world.checkout}/dist/cli/main.js receive copy.volume --json < one.stream`,
  );
  t.match(busy, { status: 0, out: /"outcome":"already-there"/ }, 'through its mount');
  await world.sh('echo mine > copy/mine');
  await world.umount(world.path('copy'));
  await world.sh('echo third > base/third');
  await world.shadowfs(['save', 'three', '-C', mnt]);
  await line(world, 'shadowfs send -i two three -C base > three.stream');
  const moved = await world.trySh(
    `node ${world.checkout}/dist/cli/main.js receive copy.volume --json < three.stream`,
  );
  t.match(moved, { status: 1, out: /"code":"volume-moved-on"/ });
  t.match(
    await line(world, 'shadowfs receive --force copy.volume < three.stream'),
    /received snapshot three from two .*\nits own changes are kept as undo-/,
  );
  await world.mount(['--no-base', '--volume', world.path('copy.volume'), 'copy']);
  await world.sh('same_tree base copy; test ! -e copy/mine');
});

asUser(t, 'directories of a base that go, and come back by a restore', async (t, world) => {
  await world.sh(`mkdir -p base/x/y/z other; for i in 1 2 3; do
      echo $i > base/x/f$i; echo $i > base/x/y/g$i; echo $i > base/x/y/z/h$i; done
    ln base/x/y/g1 base/x/y/z/g1`);
  await world.mount(['base', 'mnt']);
  await world.on(['save', 'whole']);
  await world.sh('mv mnt/x/y/z mnt/z; rm -r mnt/x; mkdir mnt/x; echo new > mnt/x/f1');
  await world.on(['save', 'gone']);
  await world.on(['restore', 'whole']);
  await world.sh('rm mnt/x/f2; mv mnt/x/y/g2 mnt/');
  await world.on(['save', 'back']);
  await line(
    world,
    `shadowfs send whole -C mnt | shadowfs receive copy.volume
     shadowfs send -i whole gone -C mnt | shadowfs receive copy.volume
     shadowfs send -i gone back -C mnt | shadowfs receive copy.volume`,
  );
  await world.mount(['--no-base', '--volume', world.path('copy.volume'), 'other']);
  for (const name of ['whole', 'gone', 'back'])
    await world.sh(`same_tree mnt/.snapshots/${name} other/.snapshots/${name}`);
  t.pass('all three are the same');
});

asUser(t, 'times of a base that a volume does not hold', async (t, world) => {
  // tmpfs keeps any time; ext4 does not.
  const base = fs.mkdtempSync('/dev/shm/shadowfs-');
  t.teardown(() => fs.rmSync(base, { recursive: true, force: true }));
  if (process.getuid?.() === 0) fs.chownSync(base, world.identity.uid, world.identity.uid);
  await world.sh(`ln -s ${base} base; mkdir copy; echo text > base/late; : > base/early
    touch -d @4611686018427387904 base/late; touch -d @-4611686018427387904 base/early`);
  t.equal(await world.sh('stat -c %Y base/late'), '4611686018427387904\n', 'the base holds it');
  await world.mount([base, 'mnt']);
  const times = async (dir: string): Promise<string> =>
    await world.sh(`cd ${dir}; stat -c '%n %.1X %.1Y' early late`);
  const end = '9007199254740991.0';
  t.equal(await times('mnt'), `early -${end} -${end}\nlate ${end} ${end}\n`);
  await world.sh('chmod 600 mnt/late; echo more >> mnt/early');
  await world.on(['save', 'one']);
  await line(world, 'shadowfs send one -C mnt | shadowfs receive copy.volume');
  await world.mount(['--no-base', '--volume', world.path('copy.volume'), 'copy']);
  await world.sh('same_tree mnt copy');
  t.match(await times('copy'), `late ${end} ${end}`);
  t.equal(await world.sh('cat copy/late'), 'text\n');
});

asUser(t, 'interrupted, damaged, not a stream', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  await world.sh('cd "$MNT"; for i in $(seq 40); do head -c 100000 /dev/urandom > f$i; done');
  await world.on(['save', 'one']);
  await world.sh('manifest "$MNT" > before');
  const { volumePath } = await world.on(['status']);
  await world.umount();
  await world.check(['--volume', String(volumePath)]);
  await line(world, `shadowfs send one --volume '${String(volumePath)}' > stream`);
  const cli = `node ${world.checkout}/dist/cli/main.js`;
  const cut = await world.trySh(`head -c 2500000 stream | ${cli} receive copy.volume --json`);
  t.match(cut, { status: 1, out: /"code":"stream-incomplete"/ });
  const { resumeToken: token } = JSON.parse(cut.out) as { resumeToken: string };
  t.equal((await world.shadowfs(['receive', '--token', 'copy.volume']))['resumeToken'], token);
  await world.check(['--volume', world.path('copy.volume')]);
  await line(
    world,
    `shadowfs send --resume ${token} --volume '${String(volumePath)}' > rest
     test $(stat -c %s rest) -lt 2200000; shadowfs receive copy.volume < rest`,
  );
  await world.sh('mkdir copy');
  await world.mount(['--no-base', '--volume', world.path('copy.volume'), 'copy']);
  await world.sh('same_manifest before copy');
  const flipped = await world.trySh(`cp stream bad; printf X | dd of=bad bs=1 seek=3000000 \
    conv=notrunc status=none; ${cli} receive other.volume --json < bad`);
  t.match(flipped, { status: 1, out: /"code":"stream-damaged"/ });
  const foreign = await world.trySh(`head -c 100000 /dev/urandom | ${cli} receive x.volume --json`);
  t.match(foreign, { status: 1, out: /"code":"not-a-stream"/ });
  await world.sh('test ! -e x.volume');
  const endless = await world.trySh(
    `(head -c 300000 stream; yes) | ${cli} receive y.volume --json`,
  );
  t.match(endless, { status: 1, out: /"code":"stream-damaged"/ });
  const closed = await world.trySh(
    `set -o pipefail; ${cli} send one --volume '${String(volumePath)}' | head -c 10 > few`,
  );
  t.match(closed, { status: 1, err: /nobody reads the stream/ });
});

asUser(t, 'a crash at each step leaves the state before or the state after', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  await world.sh('cd "$MNT"; mkdir d; echo one > d/f');
  await world.on(['save', 'one']);
  await world.sh('cd "$MNT"; echo two > d/f; mv d e');
  await world.on(['save', 'two']);
  await world.sh('manifest "$MNT" > after');
  await world.sh('manifest "$MNT/.snapshots/one" > before');
  await line(world, 'shadowfs send one -C mnt > one.stream');
  await line(world, 'shadowfs send -i one two -C mnt > two.stream');
  await world.sh('mkdir copy');
  for (const step of [
    'receive:stored',
    'receive:verified',
    'receive:adopted',
    'store:before-commit:2',
  ]) {
    await world.sh('rm -rf copy.volume');
    await line(world, 'shadowfs receive copy.volume < one.stream');
    const cli = `node ${world.checkout}/dist/cli/main.js`;
    const ran = await world.trySh(
      `SHADOWFS_FAILPOINT=${step} ${cli} receive copy.volume < two.stream; test $? -eq 137`,
    );
    t.equal(ran.status, 0, `killed at ${step}`);
    await world.check(['--volume', world.path('copy.volume')]);
    await world.mount(['--no-base', '--volume', world.path('copy.volume'), 'copy']);
    await world.sh(`same_manifest ${step === 'receive:adopted' ? 'after' : 'before'} copy`);
    await world.umount(world.path('copy'));
    await line(world, 'shadowfs receive copy.volume < two.stream');
    await world.mount(['--no-base', '--volume', world.path('copy.volume'), 'copy']);
    await world.sh('same_manifest after copy');
    await world.umount(world.path('copy'));
  }
});
