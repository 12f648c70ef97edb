/** What can't be done is refused with a clear message, and everything stays as it was. */
import fs from 'node:fs';
import t, { type Test } from 'tap';
import { type Answer, eachIdentity, type World } from './harness.js';

async function refusedWith(
  t: Test,
  world: World,
  words: string[],
  code: string,
  message: RegExp,
): Promise<Answer> {
  const answer = await world.refused(words);
  t.match(answer, { ok: false, code, errno: /^E/ }, words.join(' '));
  t.match(answer.message, message, `${words.join(' ')}: the message`);
  return answer;
}

eachIdentity(t, 'mountpoints and bases', async (t, world) => {
  await world.sh(
    'mkdir -p base/in other/deep taken; echo hi > base/f; echo x > file; ln -s base link',
  );
  await world.sh('manifest base > before');
  const refuse = (words: string[], code: string, message: RegExp): Promise<Answer> =>
    refusedWith(t, world, ['mount', ...words], code, message);
  await refuse(['base', 'nowhere'], 'mountpoint-missing', /nowhere does not exist/);
  await refuse(['nowhere'], 'mountpoint-missing', /nowhere does not exist/);
  await refuse(['nowhere', 'mnt'], 'base-missing', /nowhere does not exist/);
  await refuse(['base', 'file'], 'mountpoint-not-directory', /file is not a directory/);
  await refuse(['base', 'file/x'], 'mountpoint-not-directory', /not a directory/);
  await refuse(['file', 'mnt'], 'base-not-directory', /file is not a directory/);
  await refuse(
    ['other/deep', 'other'],
    'base-inside-mountpoint',
    /deep lies inside the mountpoint/,
  );
  await refuse(['--no-base', '--volume', 'mnt/v', 'mnt'], 'volume-inside-mount', /--volume PATH/);
  await refuse(['--volume', 'base/v', 'base'], 'volume-inside-mount', /inside its own mount/);
  await refuse(
    ['-o', 'colour=red', 'base'],
    'bad-option',
    /unknown option colour; known: block-size/,
  );
  await refuse(['--block-size', '3000', 'base'], 'bad-option', /power of two/);
  await refuse(['--quota', 'lots', 'base'], 'bad-option', /quota=lots/);
  await refuse(['--snapshots-name', 'a/b', 'base'], 'bad-option', /file name/);
  await refuse(
    ['--driver', 'magic', 'base'],
    'wrong-usage',
    /--driver.*magic.*Expected kernel, fuse-native or auto/,
  );
  if (world.identity.uid !== 0) {
    await world.sh('mkdir closed; chmod 0 closed');
    await refuse(['closed', 'mnt'], 'base-unreadable', /closed can't be read/);
    await world.sh('rmdir closed');
  }

  await world.mount(['base', 'mnt']);
  await refuse(['base', 'mnt'], 'mountpoint-in-use', /mounted already/);
  await refuse(['mnt'], 'mountpoint-in-use', /mounted already/);
  const inUse = await refuse(['base', 'taken'], 'volume-in-use', /in use by process \d+/);
  t.match(
    inUse.message,
    new RegExp(`process ${await world.daemonPid()} .*mounted on ${world.mnt}`),
  );
  await refuse(['base'], 'volume-in-use', /mounted on/);
  await world.sh('same_manifest before base; test -z "$(ls -A taken)"');
  t.pass('everything is as it was');
});

eachIdentity(t, 'a base whose mountpoint lies inside it', async (t, world) => {
  await world.sh('mkdir -p base/sub/point; echo hi > base/f; echo covered > base/sub/point/c');
  await world.mount(['base', 'base/sub/point']);
  const point = world.path('base/sub/point');
  t.equal(await world.sh(`cat ${point}/f ${point}/sub/point/c`), 'hi\ncovered\n');
  await world.sh(`find ${point} > /dev/null; echo new > ${point}/sub/point/n`);
  await world.shadowfs(['save', 's', '-C', point]);
});

eachIdentity(t, 'volumes', async (t, world) => {
  await world.sh('mkdir base base2 empty full; echo hi > base/f; echo x > full/x; echo x > file');
  const vol = world.path('vol');
  await world.mount(['--volume', vol, 'base', 'mnt']);
  await world.on(['save', 'kept']);
  await world.umount();
  const refuse = (words: string[], code: string, message: RegExp): Promise<Answer> =>
    refusedWith(t, world, words, code, message);
  await refuse(
    ['mount', '--volume', 'vol', 'base2', 'mnt'],
    'base-mismatch',
    /was made over .*base,/,
  );
  await refuse(['mount', '--volume', 'vol', '--no-base', 'mnt'], 'base-mismatch', /belongs over/);
  await refuse(['mount', '--volume', 'full', '--no-base', 'mnt'], 'not-a-volume', /not empty/);
  await refuse(['mount', '--volume', 'file', '--no-base', 'mnt'], 'volume-unusable', /file/);
  await refuse(['snapshots', '--volume', 'empty'], 'volume-missing', /no volume at/);
  await refuse(['snapshots', '-C', world.path('full')], 'not-under-history', /shadowfs mount DIR/);
  await refuse(['save', '-C', world.path('nowhere')], 'directory-missing', /does not exist/);
  await refuse(['save', '--volume', 'vol'], 'not-mounted', /not mounted/);

  const copy = async (name: string, damage: string): Promise<void> => {
    await world.sh(`cp -r vol ${name}; ${damage}`);
  };
  await copy('short', 'truncate -s 6000 short/data.mdb');
  await refuse(['mount', '--volume', 'short', 'base', 'mnt'], 'volume-damaged', /data\.mdb/);
  await copy('none', ': > none/data.mdb');
  await refuse(['mount', '--volume', 'none', 'base', 'mnt'], 'volume-damaged', /it is empty/);
  await copy('junk', 'head -c 100000 /dev/urandom > junk/data.mdb');
  await refuse(['mount', '--volume', 'junk', 'base', 'mnt'], 'volume-damaged', /data\.mdb/);
  await world.mount(['--volume', vol, 'base', 'mnt']);
  t.equal(await world.sh('cat "$MNT/.snapshots/kept/f"'), 'hi\n', 'the good one is as it was');
});

eachIdentity(t, 'snapshot names', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  await world.on(['save', 'one']);
  const refuse = (words: string[], code: string, message: RegExp): Promise<Answer> =>
    refusedWith(t, world, [...words, '-C', world.mnt], code, message);
  await refuse(['save', ''], 'bad-snapshot-name', /empty/);
  await refuse(['save', 'x'.repeat(256)], 'bad-snapshot-name', /longer than 255/);
  await refuse(['save', 'a/b'], 'bad-snapshot-name', /slash/);
  await refuse(['save', 'a\x07b'], 'bad-snapshot-name', /control character/);
  await refuse(['save', 'a\nb'], 'bad-snapshot-name', /control character/);
  await refuse(['save', '..'], 'bad-snapshot-name', /"\.\." can't be .*: it names a directory/);
  await refuse(['save', 'latest'], 'bad-snapshot-name', /newest/);
  await refuse(['save', 'one'], 'snapshot-exists', /one exists already/);
  await refuse(['rename', 'one', 'one'], 'snapshot-exists', /exists/);
  const near = await refuse(['restore', 'onee'], 'no-such-snapshot', /did you mean one\?/);
  t.same(near['near'], ['one']);
  await refuse(['delete', 'two'], 'no-such-snapshot', /no snapshot "two"/);
  for (const odd of ['Größe', 'a=b', '-x', '"quoted" \\ name', '  ', 'a\tb']) {
    const words = ['save', '-C', world.mnt, '--', odd];
    const ran = await world.tryShadowfs(words);
    const taken = ran.status === 0;
    t.equal(taken, !/^\s|\t/.test(odd), JSON.stringify(odd));
    if (taken)
      t.equal(
        await world.sh(`ls -d "$MNT/.snapshots/$NAME" | wc -l`, { env: { NAME: odd } }),
        '1\n',
      );
  }
  t.equal((await world.sh('ls "$MNT/.snapshots"')).split('\n').length, 7, 'nothing else was made');
});

eachIdentity(t, 'a base that changes underneath', async (t, world) => {
  await world.sh('mkdir base; seq 10000 > base/big; echo one > base/small; echo gone > base/gone');
  await world.mount(['base', 'mnt']);
  // A stored reference to base bytes: the first block of the file is written here.
  await world.sh('printf X | dd of="$MNT/big" conv=notrunc status=none; sync "$MNT/big"');
  await world.on(['save', 's']);
  await world.umount();
  await world.sh(
    'sleep 0.05; seq 20000 > base/big; echo two > base/small; rm base/gone; echo n > base/new',
  );
  await world.mount(['base', 'mnt']);
  const ran = await world.trySh('cat "$MNT/big" > /dev/null; cat "$MNT/small" "$MNT/new"');
  t.match(ran.err, /big: Input\/output error/, 'never a mix of old and new');
  t.equal(ran.out, 'two\nn\n');
  t.match((await world.on(['status']))['baseMismatches'], Array);
  t.ok(((await world.on(['status']))['baseMismatches'] as unknown[]).length > 0, 'status tells');
  await world.on(['save', 'after']);
  t.ok(fs.existsSync(world.path('base/new')));
});
