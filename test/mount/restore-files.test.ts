/** `restore NAME PATH…`: some paths as they were, by ordinary changes, and only those. */
import t from 'tap';
import { asRoot } from '../as-root.js';
import {
  eachIdentity,
  type Identity,
  identities,
  inWorld,
  ROOT,
  testSeed,
  type World,
} from './harness.js';

const user = identities().at(-1) as Identity;

async function says(world: World, words: string[], cwd = world.mnt): Promise<string> {
  const ran = await world.tryShadowfs(words, { cwd });
  return `${ran.status} ${ran.out}${ran.err}`;
}

const SNAPSHOT = '"$MNT/.snapshots/one"';

eachIdentity(t, 'a directory is exactly what it was; nothing else changes', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  await world.sh(`cd mnt; mkdir -p src/deep/er src/empty docs; seq 1000 > src/a; echo b > src/deep/b
    echo c > src/deep/er/c; ln src/a src/a2; ln -s a src/link; mkfifo src/fifo; chmod 500 src/deep/er
    truncate -s 1M src/holes; printf x | dd of=src/holes bs=1 seek=500000 conv=notrunc 2> /dev/null
    echo ro > src/ro; chmod 400 src/ro; echo doc > docs/d; echo m > src/moved; mkdir src/dir; echo x > src/dir/x
    touch -d 2001-02-03T04:05:06.789012345 src/a src/deep src; printf 'old' > $'src/raw\\xff'
    setfattr -n user.note -v old src/a || :`);
  await world.on(['save', 'one']);
  const inodes = 'stat -c "%n %i" src/a src/link src/ro src/moved src/dir src/dir/x';
  const before = await world.sh(`cd mnt; ${inodes}`);
  await world.sh(`cd mnt; sed -i s/500/x/ src/a2; printf z | dd of=src/holes bs=1 seek=100 conv=notrunc 2> /dev/null
    chmod u+w src/ro src/deep/er; echo more >> src/ro; rm -r src/deep src/fifo src/empty; echo file > src/deep
    ln -sfn nowhere src/other; mkdir src/new; echo n > src/new/n; mv src/moved src/new/moved2
    mv src/dir src/new/dir2; echo y > src/new/dir2/y; rm $'src/raw\\xff'; echo changed > docs/d; echo free > docs/n
    setfattr -n user.note -v new src/a || :; chmod 700 src/a
    manifest docs > ../docs; manifest . > ../wreck`);
  t.match(
    await says(world, ['restore', 'one', '-n', 'src']),
    /^0 (.*\n)*R src\/new\/dir2 -> src\/dir\n/,
  );
  await world.sh('same_manifest wreck "$MNT"');
  const answer = await world.on(['restore', 'one', 'src']);
  t.match(answer, { ok: true, name: 'one', undo: /^undo-/, failures: [] });
  await world.sh(`same_tree ${SNAPSHOT}/src "$MNT/src"; same_manifest docs "$MNT/docs"`);
  t.equal(await world.sh(`cd mnt; ${inodes}`), before, 'what was still there is the same file');
  t.ok(Number(await world.sh('stat -c %b mnt/src/holes')) < 1000, 'holes are holes');
  t.equal(await world.sh('ls -A mnt'), 'docs\nsrc\n', 'nothing is left behind');
  t.match(await says(world, ['restore', 'one', 'src']), /^0 nothing differs from one\n$/);
  t.match(await says(world, ['log', 'src/a']), / restore +one /);
  await world.on(['restore', String(answer['undo'])]);
  await world.sh('same_manifest wreck "$MNT"');
  t.pass('and it can be taken back');
});

t.test('paths count from where one stands; what is missing is said', (t) =>
  inWorld(t, user, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    await world.sh('cd mnt; mkdir -p src/deep; echo 1 > src/deep/f; echo 1 > src/g; echo k > keep');
    await world.on(['save', 'early']);
    await world.sh('cd mnt; rm -r src/deep; echo 2 > src/g; echo new > src/new; echo 2 > keep');
    await world.on(['save', 'late']);
    const restore = (cwd: string, ...words: string[]): Promise<string> =>
      says(world, ['restore', ...words], world.path('mnt', cwd));
    t.match(await restore('src', 'early', 'deep/f'), /^0 restored 1 name .*: 1 came back\n/);
    t.equal(
      await world.sh('cat mnt/src/deep/f; cat mnt/src/g mnt/src/new mnt/keep'),
      '1\n2\nnew\n2\n',
    );
    t.match(
      await restore('src/.snapshots/early', 'early', 'g'),
      /^0 restored 1 name .*: 1 changed\n/,
    );
    t.equal(await world.sh('cat mnt/src/g; ls mnt/src'), '1\ndeep\ng\nnew\n');
    t.match(await restore('', 'early', 'src/new'), /^1 .*early has no src\/new: it is in late/);
    t.match(await restore('', 'early', 'none'), /^1 .*no snapshot has it/);
    t.match(await restore('', 'erly', 'src'), /^1 .*no snapshot "erly".*early/);
    t.match(await restore('', 'early', '../x'), /^1 .*does not lie in/);
    t.match(await restore('', 'early', '.snapshots'), /^1 .*is where the snapshots are/);
    t.match(await restore('', 'latest', 'keep'), /^0 nothing differs from late/);
    t.equal(await world.sh('cat mnt/src/g mnt/src/new'), '1\nnew\n', 'a refusal does nothing');
    await world.sh('cd mnt; rm -r src; echo file > src');
    t.match(await restore('', 'early', 'src/g'), /^1 .*src is no directory now/s);

    t.match(
      await restore('', 'early', 'src', 'keep', '--to', '../out'),
      /^0 copied 5 names from early/,
    );
    await world.sh(`same_tree "$MNT/.snapshots/early/src" out/src; cat out/keep; cat mnt/src`);
    t.match(
      await restore('', 'early', 'keep', '--to', '../out'),
      /^1 .*out\/keep is there already/,
    );
    t.match(await restore('', 'early', 'keep', '--to', '.snapshots/early'), /^1 /);
    t.match(await restore('', 'early', '--to', '../out'), /^2 /);
    await world.umount();
    await world.mount(['--ro', '--no-base', 'mnt']);
    t.match(await restore('', 'early', 'keep'), /^1 .*read-only/);
    t.match(await restore('', 'early', 'src/g', '--to', '../ro'), /^0 copied 1 name/);
  }),
);

t.test('any changes are taken back at some paths, and nowhere else', (t) =>
  inWorld(t, user, async (world) => {
    const seed = testSeed(t);
    await world.mount(['--no-base', 'mnt']);
    for (let round = 0; round < 4; round++) {
      await world.sh(
        `python3 - ${seed}${round} <<'END'
import os, random, shutil, sys
r = random.Random(sys.argv[1])
os.chdir(os.environ['MNT'])

names = ['a', 'b', 'a/x', 'a/y', 'b/x', 'a/x/p', 'a/x/q', 'a/y/p', 'b/x/p', 'a/x/p/1', 'a/y/p/2']
def clear(p):
    if os.path.isdir(p) and not os.path.islink(p): shutil.rmtree(p)
    elif os.path.lexists(p): os.unlink(p)
for top in os.listdir('.'): clear(top)
def work(count):
    for _ in range(count):
        p, q = r.choice(names), r.choice(names)
        try:
            k = r.randrange(9)
            if k < 2: os.makedirs(p, exist_ok=True)
            elif k < 4: open(p + '.' + str(r.randrange(3)), 'a').write(str(r.random()) * r.randrange(1, 900))
            elif k == 4: clear(r.choice([p, p + '.1']))
            elif k == 5: os.rename(p, q)
            elif k == 6: os.rename(p + '.1', q + '.' + str(r.randrange(3)))
            elif k == 7: os.chmod(r.choice([p, p + '.0']), r.choice([0o700, 0o750]))
            elif p[0] == q[0]: os.link(p + '.0', q + '.2')
        except OSError: pass
work(60)
os.makedirs('a', exist_ok=True); os.makedirs('b', exist_ok=True)
os.spawnlp(os.P_WAIT, 'sh', 'sh', '-c', 'echo s' + sys.argv[1] + ' > .control/save')
work(40)
END
        { test ! -d mnt/b || manifest mnt/b; } | sed '/^|/d' > outside`,
      );
      const name = `s${seed}${round}`;
      const answer = await world.on(['restore', name, 'a']);
      t.same(answer['failures'], [], 'nothing failed');
      await world.sh(`same_tree "$MNT/.snapshots/${name}/a" "$MNT/a"
        { test ! -d mnt/b || manifest mnt/b; } | sed '/^|/d' | diff outside -`);
    }
  }),
);

t.test('Ctrl-C ends it between two files, and nothing lies about', (t) =>
  inWorld(t, user, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    await world.sh(
      'cd mnt; mkdir d e; for i in $(seq 400); do echo $i > d/f$i; done; echo m > e/m',
    );
    await world.on(['save', 'one']);
    await world.sh('cd mnt; rm d/*; mv e/m e/n');
    const ran = await world.trySh(
      `cd mnt; node ${world.checkout}/dist/cli/main.js restore one . > ../out 2> ../err & pid=$!
       wait_for test -e d/f1; kill -INT $pid; wait $pid`,
    );
    const err = await world.sh('cat err');
    if (ran.status === 0) t.comment('it was done before the signal came');
    else {
      t.match(err, /interrupted before d\/f.*the rest was not restored; shadowfs restore undo-/);
      const name = /restore (undo-\S+)/.exec(err)?.[1] ?? '';
      t.equal(await world.sh('ls -A mnt; ls mnt/e'), 'd\ne\nm\n', 'what was moved is in its place');
      await world.on(['restore', name]);
      t.equal(await world.sh('ls mnt/e; ls mnt/d | wc -l'), 'n\n0\n');
    }
  }),
);

asRoot(t, 'owners, devices, ACLs; a full volume', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.mount(['--no-base', '-o', 'quota=64M', 'mnt']);
    await world.sh(`cd mnt; mkdir d; mknod d/null c 1 3; echo x > d/f; chown 1234:99 d/f d
      setfacl -m u:77:r d/f; setfacl -d -m g:88:rx d; head -c 30M /dev/urandom > big`);
    await world.on(['save', 'one']);
    await world.sh('cd mnt; rm -r d; rm big');
    await world.on(['restore', 'one', 'd']);
    await world.sh(`same_tree ${SNAPSHOT}/d mnt/d; acls mnt/d > now
      cd mnt/.snapshots/one; acls d | sed 's,^# file: ,&mnt/,' | diff - ../../../now`);
    await world.sh('head -c 20M /dev/urandom > mnt/fill; sync -f mnt');
    const refused = await world.refused(['restore', 'one', 'big', '-C', world.mnt]);
    t.match(refused, { code: 'restore-incomplete', errno: /ENOSPC|EDQUOT/, undo: /^undo-/ });
    t.equal(await world.sh('ls -A mnt'), 'd\nfill\n', 'no half file is left');
  }),
);
