/** Single files: what differs at some paths, in lines and in numbers, and their log. */
import t from 'tap';
import { type Identity, identities, inWorld, type World } from './harness.js';

const user = identities().at(-1) as Identity;

/** The exit code, and what a person reads. */
async function says(world: World, words: string, cwd = world.mnt): Promise<string> {
  const ran = await world.tryShadowfs(words.split(' '), { cwd });
  return `${ran.status} ${ran.out}${ran.err}`;
}

t.test('diff of paths: names, a patch that git applies, numbers of lines', (t) =>
  inWorld(t, user, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    await world.sh(`cd mnt; mkdir -p src/deep docs; seq 100 > src/a; echo doc > docs/d
      printf 'x\\0y' > src/bin; echo moved > src/old; ln -s a src/link; echo gone > src/deep/gone`);
    await world.on(['save', 'one']);
    await world.sh(`cd mnt; sed -i s/^50$/fifty/ src/a; printf 'x\\0z' > src/bin; mv src/old src/new
      chmod +x src/new; ln -sfn old src/link; rm -r src/deep; mkdir -p more/sub
      seq 3 > more/sub/n; seq 2 > more/m; echo other >> docs/d`);
    const all = await says(world, 'diff one');
    t.match(all, /^\+ more\/ \(and 3 names below\)$/m, 'a new directory is one line');
    t.match(all, /^- src\/deep\/ \(and 1 name below\)$/m, 'and one that is gone');
    t.match(await says(world, 'diff one -v'), /^\+ more\/sub\/n$/m);
    t.equal(await says(world, 'diff one a', world.path('mnt/src')), '0 M src/a (content, times)\n');
    const inside = world.path('mnt/src/.snapshots/one');
    t.match(await says(world, 'diff one -- a', inside), /^0 M src\/a /, 'from inside a snapshot');
    t.equal(await says(world, 'diff one latest -- src/a'), '0 ', 'two snapshots and a path');
    t.equal(
      await says(world, 'diff one --name-only -- src'),
      '0 src/a\nsrc/bin\nsrc/deep\nsrc/deep/gone\nsrc/link\nsrc/new\n',
    );
    const zeros = await says(world, 'diff one --name-only -z -- src/a docs');
    t.equal(zeros, '0 docs/d\0src/a\0');
    const stat = await says(world, 'diff one --stat');
    t.match(stat, /^ src\/a +\| +2 \+-$/m);
    t.match(stat, /^ src\/bin +\| Bin 3 -> 3 bytes$/m);
    t.match(stat, /^ more +\| new directory, 3 names below$/m);
    t.match(stat, /^ src\/old => src\/new +\| mode$/m);
    t.match(stat, /^ 7 names changed, 2 insertions\(\+\), 1 deletion\(-\)$/m);

    await world.sh(`shadowfs="node ${world.checkout}/dist/cli/main.js"
      cp -r mnt/.snapshots/one plain; chmod -R u+w plain; cd plain; git init -q .
      (cd ../mnt; $shadowfs diff one -p -- src/a src/old src/link src/deep more docs) > ../patch
      git apply ../patch
      for f in src/a src/new docs/d more/m more/sub/n; do cmp $f ../mnt/$f; done
      test -x src/new; test $(readlink src/link) = old; test ! -e src/old; test ! -e src/deep/gone`);
    t.pass('git applies the patch');
    t.match(await says(world, 'diff one -p src/bin'), /^Binary files a\/src\/bin and b\/src\/bin/m);

    t.match(await says(world, 'diff one -- none'), /^1 .*neither one nor the tree has none/);
    t.match(await says(world, 'diff one ../base'), /^1 .*neither a snapshot nor a path/);
    t.match(await says(world, 'diff one -- ../x'), /^1 .*does not lie in/);
    t.match(await says(world, 'diff one -- .snapshots'), /^1 .*is where the snapshots are/);
    t.match(await says(world, 'diff one --stat -p'), /^2 /);
    t.match(await says(world, 'diff one -z'), /^2 /);
    t.match(await says(world, 'diff on'), /^1 .*no snapshot "on".*one/);
  }),
);

t.test('a terminal gets a pager and colours', (t) =>
  inWorld(t, user, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    await world.sh('echo one > mnt/f');
    await world.on(['save', 'one']);
    await world.sh('echo two > mnt/f');
    const line = `node ${world.checkout}/dist/cli/main.js diff one -p`;
    const typed = (env: string, options = ''): Promise<string> =>
      world.sh(`cd mnt; TERM=xterm ${env} script -qec '${line}${options}' /dev/null`);
    t.match(await typed("PAGER='sed s/^/paged:/'"), /paged:.*\[32m\+two/);
    t.notMatch(await typed("PAGER='sed s/^/paged:/'", ' --no-pager'), /paged:/);
    t.notMatch(await typed('PAGER=cat NO_COLOR=1'), /\[32m/);
    t.match(await typed('PAGER=true'), /^$/, 'a pager that reads nothing');
  }),
);

t.test('log: the commands that touched a file', (t) =>
  inWorld(t, user, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    await world.sh('mkdir mnt/src; echo one > mnt/src/f');
    await world.on(['save', 'a']);
    await world.sh('echo more >> mnt/src/f');
    await world.on(['save', 'b']);
    await world.sh('echo x > mnt/other');
    await world.on(['save', 'c']);
    await world.on(['restore', 'a']);
    await world.sh('mv mnt/src/f mnt/src/g');
    const log = (await says(world, 'log g', world.path('mnt/src'))).split('\n');
    t.match(log[1], /^now +\(not saved\) +- +renamed +4 +src\/f -> src\/g$/);
    t.match(log[2], /^\d{4}-.* restore +a +changed \(content, times\) +4 +src\/f$/);
    t.match(log[3], / save +b +changed \(content, times\) +9 +src\/f$/);
    t.match(log[4], / save +a +added +4 +src\/f$/);
    t.equal(log.length, 6);
    t.match(await says(world, 'log -n 1 src/g'), /^0 TIME.*\nnow .*\n$/);
    const answer = await world.shadowfs(['log', 'src/g'], { cwd: world.mnt });
    t.match(answer, {
      entries: [{ change: 'added', sizeBytes: 4, name: 'a', timeMs: Number }, {}, {}, {}],
    });
    t.match(await world.refused(['log', 'none'], { cwd: world.mnt }), { code: 'no-such-file' });
    const { volumePath } = await world.on(['status']);
    await world.umount();
    t.match(
      await says(world, `log --volume ${volumePath} src/g`, '/'),
      /save +a +added/,
      'unmounted',
    );
    t.match(await says(world, `diff -p --volume ${volumePath} a`, '/'), /^1 .*is not mounted/);
  }),
);
