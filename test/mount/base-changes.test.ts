/** Base files that others change underneath: noticed, told, never a crash and never a mix. */
import t from 'tap';
import { eachIdentity, identities, inWorld } from './harness.js';

interface Mismatch {
  path: string;
}

eachIdentity(t, 'a base that changes underneath', async (t, world) => {
  await world.sh(`
    mkdir -p base/d base/gone; cd base
    for name in rewritten replaced removed truncated partly untouched d/deep; do seq 30000 > $name; done
    echo x > gone/file
  `);
  await world.mount(['base', 'mnt']);
  // A first block of its own makes the volume hold a reference to each of them.
  await world.sh(`cd "$MNT"
    for name in rewritten replaced removed truncated partly d/deep; do
      printf OWN | dd of=$name bs=1 conv=notrunc status=none
    done; sync partly`);
  await world.on(['save', 's']);
  await world.sh('manifest "$MNT" > before');
  await world.sh(`cd base
    seq 5 30000 > rewritten; seq 7 40000 > fresh; mv fresh replaced; rm removed; : > truncated
    printf THEIRS | dd of=partly bs=1 seek=100000 conv=notrunc status=none
    rm -r gone; echo appeared > appeared; seq 3 30000 > untouched`);
  // The page cache still has what was read before: what matters is what the volume says.
  await world.umount();
  await world.mount(['base', 'mnt']);
  // Removed, or another file under the name: what was changed here stays, under its name.
  for (const name of ['rewritten', 'truncated', 'partly', 'replaced', 'removed']) {
    for (const place of ['', '.snapshots/s/']) {
      const ran = await world.trySh(`cat "$MNT/${place}${name}" > out`);
      t.match(ran, { status: 1, err: /Input\/output error/ }, `${place}${name}`);
    }
    const own = await world.trySh(`head -c 3 "$MNT/${name}"`);
    t.ok(
      own.out === 'OWN' || /Input\/output/.test(own.err),
      `the block of its own, or nothing: ${name}`,
    );
  }
  const status = await world.on(['status']);
  const noticed = (status['baseMismatches'] as Mismatch[]).map(({ path }) => path).sort();
  t.same(noticed, ['partly', 'removed', 'replaced', 'rewritten', 'truncated'], 'shown in status');
  t.equal(
    await world.sh(
      'cmp base/untouched "$MNT/untouched"; cat "$MNT/appeared"; cmp <(tail -c +4 base/d/deep) <(tail -c +4 "$MNT/d/deep")',
    ),
    'appeared\n',
    'what the volume knows nothing of is shown as it is',
  );
  t.match((await world.trySh('ls "$MNT/gone"')).err, /No such file|Stale/);

  await world.sh(
    'cd "$MNT"; rm rewritten; echo mine > rewritten; cat rewritten; echo whole > partly; cat partly',
  );
  await world.on(['restore', 's']);
  t.match((await world.trySh('cat "$MNT/rewritten"')).err, /Input\/output error/);
  await world.sh('find "$MNT" -type f | wc -l; ls -lR "$MNT" > /dev/null');
  t.notMatch(world.log(), /invariant|internal|TypeError/, 'nothing unexpected in the log');
});

eachIdentity(t, 'a base that changes while it is read', async (t, world) => {
  await world.sh(
    'mkdir base; for i in $(seq 30); do head -c 200000 /dev/zero | tr "\\0" a > base/f$i; done',
  );
  await world.mount(['base', 'mnt']);
  await world.sh(
    'cd "$MNT"; for i in $(seq 30); do printf O | dd of=f$i bs=1 conv=notrunc status=none; done; sync f1',
  );
  await world.on(['save', 's']);
  await world.umount();
  await world.mount(['base', 'mnt']);
  // One writes b over a, the others read: a file is all old, or an error, never some of both.
  const changing = world.trySh(
    'for i in $(seq 30); do head -c 200000 /dev/zero | tr "\\0" b > new; cat new > base/f$i; sleep 0.02; done',
  );
  const reader = (place: string): Promise<string> =>
    world.sh(`python3 -c "
import os, collections
seen = collections.Counter()
for turn in range(6):
    for i in range(1, 31):
        try: data = open('$MNT/${place}f%d' % i, 'rb').read()[1:]
        except OSError as e: seen['errno %d' % e.errno] += 1; continue
        seen[''.join(sorted(set(data.decode())))] += 1
print(dict(seen))"`);
  const seen = await Promise.all([reader(''), reader('.snapshots/s/')]);
  t.equal((await changing).status, 0);
  for (const text of seen) t.notMatch(text, /ab|'b'/, text);
  t.notMatch(world.log(), /invariant|internal|TypeError/);
});

const user = identities().at(-1);
if (user === undefined) throw new Error('nobody to be');

/** What the user of the mount may not look at: not so for root, who may. */
t.test('a base directory whose permission goes while others still write there', (t) =>
  inWorld(t, user, async (world) => {
    await world.sh('mkdir -p base/d/sub; echo one > base/d/f; echo s > base/d/sub/s');
    await world.mount(['base', 'mnt']);
    await world.on(['save', 'start']);
    await world.sh(`cd "$MNT"; ls -lR > /dev/null; cat d/f; echo new > d/new; echo t > d/sub/t`);
    await world.sh(`exec 3>> base/d/f; chmod 0 base/d/sub base/d
      echo two >&3; exec 3>&-; sleep 0.1; ls "$MNT" "$MNT/.snapshots"`);
    t.match(await world.on(['status']), { pid: Number }, 'it is served');
    // What a restore compares with lies in the closed directory.
    t.match(await world.on(['restore', 'start']), { ok: true });
    t.match((await world.trySh('cat "$MNT/d/f"')).err, /Permission denied/);
    await world.sh('chmod 755 base/d base/d/sub; sleep 0.1; ls -R "$MNT"');
    const seen = await world.sh('cd "$MNT/d"; cat f; echo * sub/*');
    t.equal(seen, 'one\ntwo\nf sub sub/s\n');
    t.notMatch(world.log(), /invariant|internal|TypeError|EACCES/);
  }),
);

eachIdentity(t, 'what was changed here outlives what others do to its name', async (t, world) => {
  await world.sh(`mkdir -p base/d/e base/far/away; cd base
    for name in f moved d/e/g far/away/h; do echo base > $name; done`);
  await world.mount(['base', 'mnt']);
  await world.sh(`cd "$MNT"; for name in f moved d/e/g; do echo mine > $name; done
    echo made > far/away/made; mkdir far/own; echo own > far/own/i`);
  await world.on(['save', 's']);
  await world.sh('cd base; rm -r d far; echo theirs > new; mv new f; mv moved elsewhere');
  const look = `for name in f moved d/e/g far/away/made far/own/i; do cat $name; done; ls far/away d/e`;
  const mine = 'mine\nmine\nmine\nmade\nown\nd/e:\ng\n\nfar/away:\nmade\n';
  t.equal(await world.sh(`cd "$MNT"; ${look}`), mine);
  await world.umount();
  await world.mount(['base', 'mnt']);
  t.equal(await world.sh(`cd "$MNT"; ${look}`), mine, 'after a new mount, too');
  t.equal(await world.sh(`cd "$MNT/.snapshots/s"; ${look}`), mine, 'and in the snapshot');
  await world.sh(
    'cd "$MNT"; rm f; ! cat f; rm -r d far; ls > "$WORLD/names"; ! grep -q "^f$" "$WORLD/names"',
  );
  await world.on(['restore', 's']);
  t.equal(await world.sh(`cd "$MNT"; ${look}`), mine);
  const refused = await world.refused(['apply', '-C', world.mnt]);
  t.match(refused, { code: 'apply-conflict' }, 'and nothing of theirs is overwritten');
});
