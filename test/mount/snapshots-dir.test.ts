/** `.snapshots` in every directory, and that nothing changes what is in it. */
import t from 'tap';
import { lacks } from './driver-exceptions.js';
import { eachSetting, type World } from './harness.js';

const MAKE = `
  mkdir -p base/dir/sub; cd base
  seq 20000 > file; seq 9000 > dir/inner; echo deep > dir/sub/deep; ln -s file link; mkdir other
`;

async function makeMounted(world: World): Promise<void> {
  await world.sh(MAKE);
  await world.mount(['base', 'mnt']);
}

eachSetting(t, 'snapshots are directories everywhere', async (t, world) => {
  await makeMounted(world);
  const look = (script: string): Promise<string> =>
    world.sh(`set +e +o pipefail; cd "$MNT"\n${script}`);
  t.equal(await look('ls .snapshots'), '', 'none yet');
  t.match((await world.trySh('ls "$MNT/.snapshots/latest"')).err, /No such file/);
  await world.on(['save', 'one']);
  await look(
    'echo new > dir/made; mv dir/sub dir/moved; mv dir renamed; echo x > renamed/moved/deep',
  );
  await world.on(['save', 'two']);

  t.equal(
    await look('ls -m .snapshots; ls -m renamed/.snapshots; ls -m renamed/moved/.snapshots'),
    'latest, one, two\n'.repeat(3),
  );
  t.equal(
    await look('ls -m .snapshots/one; ls -m .snapshots/one/dir; ls -m .snapshots/two/renamed'),
    'dir, file, link, other\ninner, sub\ninner, made, moved\n',
  );
  t.equal(
    await look('ls -m renamed/.snapshots/one; cat renamed/moved/.snapshots/one/deep'),
    'inner, sub\ndeep\n',
    'by inode, whatever its name was',
  );
  t.equal(
    await look(
      'mkdir late; ls late/.snapshots; ls -d late/.snapshots/one 2>&1 | grep -o "No such.*"',
    ),
    'No such file or directory\n',
    'a directory made later is in none',
  );
  t.equal(
    await look('cat .snapshots/one/dir/made renamed/.snapshots/one/made 2>&1 | grep -c "No such"'),
    '2\n',
  );
  t.equal(
    await look(
      'ls -A; find . | grep -c snapshots || true; tar -c . | tar -t | grep -c snapshots || true',
    ),
    'file\nlate\nlink\nother\nrenamed\n0\n0\n',
    'hidden',
  );
  t.equal(
    await look('rm -r renamed/moved; rmdir late; ls -m .snapshots/two/renamed'),
    'inner, made, moved\n',
  );
  t.equal(await look('readlink .snapshots/latest; readlink other/.snapshots/latest'), 'two\ntwo\n');
  t.equal(await look('cat .snapshots/one/link | wc -l'), '20000\n', 'a relative link stays inside');
  t.equal(
    await look('ls .snapshots/one/.snapshots 2>&1 | grep -o "No such.*"'),
    'No such file or directory\n',
  );

  for (let n = 0; n < 3; n++) {
    await look(`echo ${n} > file; mkdir .snapshots/made${n}`);
    t.equal(
      await look('readlink .snapshots/latest; cat .snapshots/latest/file'),
      `made${n}\n${n}\n`,
    );
  }
  await look('mv .snapshots/made0 .snapshots/again; rmdir other/.snapshots/made1');
  t.equal(
    await look('ls -m .snapshots; cat .snapshots/again/file'),
    'again, latest, made2, one, two\n0\n',
  );
  const names = (await world.tryShadowfs(['snapshots', '-C', world.mnt, '--json'])).out;
  t.same(
    names
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { name: string }).name),
    ['one', 'two', 'again', 'made2'],
  );
  const touch = lacks(t, 'both-times') ? 'touch' : 'touch -m';
  const errors = await look(`
    for c in 'mkdir .snapshots/one' 'mkdir .snapshots/latest' 'rmdir .snapshots/never' \
      'mv .snapshots/one .snapshots/two' 'touch .snapshots/x' 'touch .snapshots/one/x' 'rm .snapshots/one/file' \
      'chmod 777 .snapshots/one/file' 'mv .snapshots/one/file f' 'ln .snapshots/one/file f' 'rmdir .snapshots/one/other' \
      'truncate -s 0 .snapshots/one/file' 'mkdir .snapshots/one/d' '${touch} .snapshots/one/file' 'rmdir .snapshots' \
      'mv .snapshots s' 'setfattr -n user.x -v 1 .snapshots/one/file'; do
      $c 2>&1 | sed 's/.*: //' ; done`);
  const readOnly = 'Read-only file system';
  t.same(errors.trimEnd().split('\n'), [
    ...['File exists', 'File exists', 'No such file or directory', readOnly],
    ...['Operation not permitted', readOnly, readOnly, readOnly, readOnly],
    ...['Invalid cross-device link', readOnly, readOnly, readOnly, readOnly],
    ...['Operation not permitted', 'Operation not permitted', readOnly],
  ]);
});

eachSetting(t, 'what stat and getfattr say of a shadow inode', async (t, world) => {
  await makeMounted(world);
  await world.on(['save', 'one']);
  await world.sh('cd "$MNT"; printf changed | dd of=file bs=1 seek=40000 conv=notrunc status=none');
  await world.on(['save', 'two']);
  await world.sh('cd "$MNT"; echo more >> file; rm dir/inner');
  const inos = (
    await world.sh('cd "$MNT"; stat -c %i file .snapshots/one/file .snapshots/two/file')
  ).split('\n');
  t.equal(new Set(inos).size, 4, 'three inodes');
  const again = await world.sh(
    'cd "$MNT"; stat -c %i .snapshots/one/file dir/../.snapshots/one/file',
  );
  t.equal(again, `${inos[1]}\n${inos[1]}\n`, 'the same at each access');
  const stats = await world.sh(
    'cd "$MNT"; stat -c "%s %a %Y %h %F" .snapshots/one/file ../base/file',
  );
  const [shadow, base] = stats.split('\n');
  t.equal(shadow, base);
  const attribute = (name: string, snapshot: string): Promise<string> =>
    world.sh(
      `cd "$MNT"; getfattr --only-values -n user.shadowfs.${name} .snapshots/${snapshot}/file`,
    );
  t.equal(await attribute('snapshot', 'one'), 'one');
  t.ok(Number(await attribute('layer', 'one')) < Number(await attribute('layer', 'two')));
  const runs = [await attribute('runs', 'one'), await attribute('runs', 'two')];
  t.match(runs[0], /base/, runs.join(' / '));
  t.match(runs[1], /shared/);
  t.equal(
    await world.sh('cd "$MNT"; getfattr -d -m - .snapshots/one/file .snapshots/one/dir'),
    '',
    'not among the attributes that a copy takes along',
  );
});

eachSetting(t, 'a snapshot never changes', async (t, world) => {
  await makeMounted(world);
  await world.sh(`cd "$MNT"
    head -c 300000 /dev/urandom > big; cp big big2; cp big big3; cp big big4; echo own > own; mkdir full
    for i in $(seq 50); do echo $i > full/$i; done; truncate -s 1M holes; printf x | dd of=holes bs=1 seek=500000 conv=notrunc status=none`);
  await world.on(['save', 'kept']);
  await world.sh('cd "$MNT"; manifest .snapshots/kept > ../kept');
  const changes = [
    'echo appended >> file',
    'printf over | dd of=big bs=1 seek=70000 conv=notrunc status=none',
    'truncate -s 100000 big',
    'truncate -s 10 big2; truncate -s 400000 big2',
    'fallocate -p -o 32768 -l 100000 big3',
    'fallocate -p -o 5 -l 10 file',
    'fallocate -z -o 1000 -l 50000 big4',
    ': > own',
    'chmod 700 file dir',
    'touch -d 1999-01-01 file dir',
    'mv file moved',
    'setfattr -n user.a -v 1 own',
    'rm big4',
    'mv full/1 full/2',
    'ln own full/hard',
    'rm -r full',
    'mkdir full',
    'echo new > full/1',
    'rm link; ln -s elsewhere link',
    'mv dir full/dir',
    'rmdir other; echo file > other',
    'cp big3 holes',
    "python3 -c \"import mmap; f = open('big3', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[0:9] = b'mapped it'; m.flush()\"",
  ];
  const isWithout = lacks(t, 'no-fallocate');
  for (const change of changes) {
    if (isWithout && change.startsWith('fallocate')) continue;
    await world.sh(`cd "$MNT"; ${change}`);
    const same = await world.trySh('sync; same_manifest kept "$MNT/.snapshots/kept"');
    t.equal(same.status, 0, `${change}: ${same.out}`);
  }
  await world.on(['save', 'later']);
  await world.sh('rm -rf "$MNT"/*; same_manifest kept "$MNT/.snapshots/kept"');
  await world.on(['delete', 'later']);
  await world.sh('same_manifest kept "$MNT/.snapshots/kept"');
  await world.on(['restore', 'kept']);
  await world.umount();
  await world.mount(['base', 'mnt']);
  await world.sh('same_manifest kept "$MNT/.snapshots/kept"; same_manifest kept "$MNT"');
  t.pass('after a restore and a remount too');
});
