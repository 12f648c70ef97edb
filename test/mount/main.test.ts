/** The main job: save, wreck, look, restore, and what running programs see of it. */
import t from 'tap';
import { lacks, unless } from './driver-exceptions.js';
import { eachSetting, type World } from './harness.js';
import { Holder, Shell } from './puppets.js';

const O_RDONLY = 0;
const O_RDWR = 2;
const GONE = /No such file|Stale file handle/;

/** A base with all that a tree can hold; contents follow from their names. */
const MAKE_BASE = `
  mkdir -p base/src/deep/er base/empty base/docs
  cd base
  for i in $(seq 200); do seq $i $((i * 40)) > src/f$i; done
  for i in $(seq 30); do echo "doc $i" > docs/d$i; done
  seq 1 400000 > big
  head -c 100000 /dev/zero > zeros
  : > nothing
  ln -s src/f1 link; ln -s /nowhere/at/all dangling; ln -s . docs/self
  ln src/f2 docs/hard; ln src/f2 src/deep/hard
  mkfifo pipe
  chmod 4755 src/f3; chmod 000 src/f4; chmod 600 src/f5; chmod 1777 empty
  touch -d '2001-02-03 04:05:06.789012345' src/f6 docs
  printf x > $'with\\nnewline'; printf x > $'\\xff\\xfe'; printf x > ' '
  setfattr -n user.colour -v red src/f7
  truncate -s 5000000 sparse; printf end | dd of=sparse bs=1 seek=4000000 conv=notrunc status=none
  seq 100000 > src/deep/er/unchanged; seq 200000 > src/deep/er/changed
`;

const WRECK = `
  cd "$MNT"
  rm -rf docs empty
  rm src/f1 src/f2; echo edited > src/f10; echo more >> src/f11; truncate -s 3 src/f12
  printf middle | dd of=big bs=1 seek=100000 conv=notrunc status=none
  sed -i s/1/2/ src/f13; mv src/f14 src/f15; mv src/deep/er moved; echo changed >> moved/changed
  head -c 100000000 /dev/urandom > junk; cp big big2; mkdir -p new/dir; ln -s junk new/link
  chmod 777 src/f5; touch -d 2020-01-01 src/f6; setfattr -n user.colour -v blue src/f7
  rm link; echo file > link; rm src/f16; mkdir src/f16; ln src/f17 src/second
`;

async function makeMounted(world: World, hasUtf8Names = false): Promise<void> {
  // A file of mode 000 can be read by root only: others get a base they can read.
  const base = hasUtf8Names ? MAKE_BASE.replace(/printf x > \$'\\xff.*?;/, '') : MAKE_BASE;
  await world.sh(`${base}\n${world.identity.uid === 0 ? '' : 'chmod 400 src/f4'}`);
  await world.sh('manifest base > original');
  await world.mount(['base', 'mnt']);
}

eachSetting(t, 'save, wreck, look, restore, and back', async (t, world) => {
  await makeMounted(world, lacks(t, 'utf8-names'));
  await world.sh('same_tree base "$MNT"; manifest "$MNT" > mounted');
  t.equal(await world.sh('diff <(grep -v "|d|" original) <(grep -v "|d|" mounted)'), '', 'a view');
  const saved = await world.on(['save', 'before']);
  t.match(saved, { ok: true, name: 'before' });

  await world.sh(`${WRECK}
    cd "$WORLD"; manifest "$MNT" > wrecked`);
  await world.sh('same_manifest mounted "$MNT/.snapshots/before"');
  t.pass('the snapshot equals the original by checksum');
  await world.sh('same_tree base "$MNT/.snapshots/before"');
  await world.sh('same_manifest original base');
  t.pass('the base was not touched');

  const restored = await world.on(['restore', 'before']);
  t.match(restored, { ok: true, name: 'before', undo: /^undo-/ });
  await world.sh('same_manifest mounted "$MNT"');
  await world.sh('same_tree base "$MNT"');
  t.pass('the live tree equals the original by checksum');

  const undo = String(restored['undo']);
  await world.sh(`same_manifest wrecked "$MNT/.snapshots/${undo}"`);
  const again = await world.on(['restore', 'before']);
  t.equal(again['undo'], undefined, 'restored twice in a row: nothing to undo');
  await world.sh('same_manifest mounted "$MNT"');
  await world.on(['restore', undo]);
  await world.sh('same_manifest wrecked "$MNT"');
  t.pass('the undo snapshot brings the wreck back');
  await world.on(['restore', 'latest']);
  await world.sh('same_manifest mounted "$MNT"');

  await world.umount();
  await world.mount(['base', 'mnt']);
  await world.sh('same_manifest mounted "$MNT"; same_manifest mounted "$MNT/.snapshots/before"');
  await world.sh(`same_manifest wrecked "$MNT/.snapshots/${undo}"`);
  t.pass('all the same after a remount');
});

unless('no-old-versions', eachSetting)(t, 'a restore under running programs', async (t, world) => {
  await makeMounted(world);
  const holder = new Holder(world, { cwd: world.mnt });
  const shell = new Shell(world, { cwd: `${world.mnt}/src` });
  await world.on(['save', 'before']);

  // In the wreck: one file changed in its blocks, one replaced, one new, one never touched.
  await world.sh(
    'cd "$MNT"; echo wreck > src/f10; printf WRECK | dd of=big bs=1 conv=notrunc status=none',
  );
  await world.sh('cd "$MNT"; echo new > src/new; mkdir -p fresh/dir; echo x > fresh/dir/x');
  const changed = await holder.open('src/f10', O_RDWR);
  const big = await holder.open('big', O_RDWR);
  const fresh = await holder.open('src/new', O_RDWR);
  const same = await holder.open('src/deep/er/unchanged', O_RDWR);
  const mapped = await holder.open('big', O_RDONLY);
  await holder.mmap(mapped, 4096);
  t.equal(await holder.mread(mapped, 0, 5), 'WRECK');
  t.equal(await holder.pread(changed, 0, 6), 'wreck\n');
  t.equal(await shell.run('cat f10'), 'wreck ');
  const lost = new Shell(world, { cwd: `${world.mnt}/fresh/dir` });
  t.equal(await lost.run('cat x'), 'x ');

  // Page cache of a file that no restore changes, and of one that it does.
  await world.sh('cat "$MNT/src/deep/er/unchanged" "$MNT/big" > /dev/null');
  const resident = (): Promise<string> =>
    world.sh('fincore -n -b -o PAGES "$MNT/src/deep/er/unchanged" | tr -d " \\n"');
  const { length } = await world.sh('cat base/src/deep/er/unchanged');
  await holder.mmap(same, length, true);
  await holder.mlock(same);
  const before = await resident();
  t.ok(Number(before) > 100, `${before} pages are cached`);

  const answer = await world.on(['restore', 'before']);
  t.equal(await resident(), before, 'what did not change keeps its page cache');
  const holders = (answer['holders'] as { path: string }[]).map(({ path }) => path);
  t.ok(
    holders.some((path) => path.endsWith('/big')),
    'restore names who holds changed files',
  );

  t.equal(await shell.run('cat f10 | head -n 2'), '10 11 ', 'a shell goes on');
  t.equal(await shell.run('pwd'), `${world.mnt}/src `);
  t.equal(await shell.do('cd deep/er && cd ../..'), '0');
  t.equal(await shell.run('echo made > made && cat made && ls | wc -l'), 'made 202 ');
  t.match(await shell.run('ls new'), /No such file/);
  t.match(await lost.run('ls; cat x'), GONE, 'a directory that is no more');
  t.match(await lost.run('touch y'), GONE);

  t.equal(await holder.pread(changed, 0, 6), 'wreck\n', 'an open file reads its old content');
  t.equal(await holder.pread(big, 0, 5), 'WRECK');
  t.equal(
    await holder.pread(big, 2_000_000, 10),
    await world.sh('dd if=base/big bs=1 skip=2000000 count=10 status=none'),
  );
  t.equal(await holder.pread(fresh, 0, 4), 'new\n');
  t.equal(await holder.mread(mapped, 0, 5), 'WRECK', 'and so does a map');
  for (const fd of [changed, big, fresh]) {
    await t.rejects(holder.pwrite(fd, 0, 'lost'), { message: 'ESTALE' }, 'but takes no write');
  }
  await t.rejects(holder.ftruncate(big, 0), { message: 'ESTALE' });
  t.equal(await world.sh('cmp base/big "$MNT/big"; sed -n 1p "$MNT/src/f10"'), '10\n');

  t.equal(await holder.pwrite(same, 0, 'goes on'), 7, 'an unchanged file goes on');
  await holder.fsync(same);
  t.equal(await world.sh('head -c 7 "$MNT/src/deep/er/unchanged"'), 'goes on');
  await holder.close(changed);
  const reopened = await holder.open('src/f10', O_RDWR);
  t.equal(await holder.pread(reopened, 0, 3), '10\n', 'opened again it is the restored file');
  t.equal(await holder.pwrite(reopened, 0, '99'), 2);
  t.equal(await world.sh('head -n 1 "$MNT/src/f10"'), '99\n');
  // Two restores while the same files are open.
  await world.on(['restore', String(answer['undo'])]);
  t.equal(await holder.pread(reopened, 0, 3), '99\n');
  t.equal(await world.sh('cat "$MNT/src/f10"; head -c 5 "$MNT/big"'), 'wreck\nWRECK');
  t.equal(await holder.pread(big, 0, 5), 'WRECK');
  await t.rejects(holder.pwrite(reopened, 0, 'x'), { message: 'ESTALE' });
  t.equal(await shell.run('cat f10'), 'wreck ');
  await holder.end();
  await shell.end();
  await lost.end();
});

unless('no-old-versions', eachSetting)(
  t,
  'an old version with names that nobody looked up',
  async (t, world) => {
    await world.sh('mkdir base; seq 1000 > base/one; ln base/one base/other');
    await world.mount(['base', 'mnt']);
    const holder = new Holder(world, { cwd: world.mnt });
    const file = await holder.open('one', O_RDWR);
    await world.on(['save', 's']);
    await world.sh('echo wreck > "$MNT/one"');
    await world.on(['restore', 's']);
    t.equal(await holder.pread(file, 0, 100_000), 'wreck\n', 'is read to its end');
    await t.rejects(holder.pwrite(file, 0, 'lost'), { message: 'ESTALE' });
    await world.sh('cd "$MNT"; seq 1000 | cmp - one; cmp one other');
    t.equal(
      await holder.pread(file, 0, 100_000),
      'wreck\n',
      'also after the new one was looked at',
    );
    await holder.end();
  },
);

eachSetting(t, 'times that programs saw are the times that are stored', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  await world.sh(`
    cd "$MNT"
    for i in $(seq 150); do echo first > f$i; echo second > f$i; done
    for i in $(seq 150); do echo first > g$i; echo more >> g$i; done
    python3 -c "
import mmap, os
for i in range(50):
    f = os.open('m%d' % i, os.O_RDWR | os.O_CREAT); os.ftruncate(f, 8192)
    m = mmap.mmap(f, 8192); m[0:4] = b'map1'; m.flush(); m[0:4] = b'map2'; m.close()
    os.pwrite(f, b'x', 5000); os.utime(f, ns=(1, 123456789))
"
    manifest . > ../seen
  `);
  await world.on(['save', 's']);
  await world.sh('same_manifest seen "$MNT/.snapshots/s"; same_manifest seen "$MNT"');
  t.pass('stored');
});

unless('whole-milliseconds', eachSetting)(
  t,
  'times beyond the range become its ends',
  async (t, world) => {
    await world.mount(['--no-base', 'mnt']);
    // touch takes 64-bit seconds.
    await world.sh(`cd "$MNT"; mkdir d
    touch -d @9007199254740990.5 in; touch -d @-9007199254740989.5 before
    touch -d @9007199254740991.5 end; touch -d @9007199254740992 over d
    touch -d @9223372036854775807.9 last; touch -d @-9223372036854775808 first`);
    await world.on(['save', 's']);
    await world.umount();
    await world.mount(['--no-base', 'mnt']);
    for (const where of ['', '/.snapshots/s']) {
      const seen = await world.sh(`cd "$MNT${where}"; stat -c '%n %.1X %.1Y' *`);
      const far = '9007199254740991.0 9007199254740991.0';
      t.same(seen.trim().split('\n').sort(), [
        'before -9007199254740989.5 -9007199254740989.5',
        `d ${far}`,
        `end ${far}`,
        'first -9007199254740991.0 -9007199254740991.0',
        'in 9007199254740990.5 9007199254740990.5',
        `last ${far}`,
        `over ${far}`,
      ]);
    }
  },
);

unless('no-old-versions', eachSetting)(
  t,
  'stores through an old map are lost, and said to be',
  async (t, world) => {
    await makeMounted(world);
    await world.on(['save', 'before']);
    await world.sh('cd "$MNT"; echo changed >> big; seq 50000 > fresh');
    const holder = new Holder(world, { cwd: world.mnt });
    const big = await holder.open('big', O_RDWR);
    const fresh = await holder.open('fresh', O_RDWR);
    for (const fd of [big, fresh]) await holder.mmap(fd, 100_000, true);
    await holder.mwrite(big, 10, 'stored before the restore');
    const undo = String((await world.on(['restore', 'before']))['undo']);
    for (const fd of [big, fresh]) {
      await holder.mwrite(fd, 50_000, 'lost');
      await t.rejects(holder.msync(fd), 'msync tells');
      await t.rejects(holder.fsync(fd), 'and so does fsync');
    }
    await world.sh('cmp base/big "$MNT/big"; test ! -e "$MNT/fresh"');
    // What can't be written out is in nobody's way.
    await holder.mwrite(big, 70_000, 'lost');
    await world.on(['save', 'after']);
    await world.on(['restore', undo]);
    t.equal(
      await world.sh('dd if="$MNT/big" bs=1 skip=10 count=25 status=none; tail -n 1 "$MNT/big"'),
      'stored before the restorechanged\n',
    );
    await world.sh('cmp <(seq 50000) "$MNT/fresh"; cmp base/big "$MNT/.snapshots/after/big"');
    await holder.end();
  },
);
