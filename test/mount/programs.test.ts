/**
 * Ordinary programs do the same work on a mount and on a plain directory; what
 * they leave is the same. The mount is a copy-free view of npm's own tree.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import t, { type Test } from 'tap';
import { unless } from './driver-exceptions.js';
import { isRoot } from '../as-root.js';
import { inWorld, NOBODY, identities, ROOT, type World } from './harness.js';

const globalRoot = spawnSync('npm', ['root', '-g'], { encoding: 'utf8' }).stdout.trim();
const NPM_TREE = path.join(globalRoot, 'npm');
const as = identities()[0] ?? NOBODY;
const LONG_MS = 180_000;

/** Runs the script in both directories; their output must be the same. */
async function both(t: Test, world: World, script: string): Promise<string> {
  const run = (dir: string): Promise<string> =>
    world.sh(`cd "${dir}"\n${script}`, { timeoutMs: LONG_MS });
  const plain = await run(world.path('plain'));
  const mounted = await run(world.mnt);
  t.equal(mounted, plain, 'the programs say the same');
  return mounted;
}

const test = (t: Test, title: string, body: (t: Test) => Promise<void>): void => {
  t.test(title, body);
};

/** Mounts an empty volume, next to an empty plain directory. */
async function mountEmpty(world: World): Promise<void> {
  await world.sh('mkdir plain');
  await world.mount(['--no-base', 'mnt']);
}

unless('both-times', test)(t, "git, tar, rsync, cp and find over npm's own tree", (t) =>
  inWorld(t, as, async (world) => {
    await world.sh(`cp -a ${NPM_TREE}/. plain`);
    // Who does not own that tree could change nothing in a view of it.
    if (!isRoot) await world.sh('cp -a plain base');
    await world.mount([isRoot ? NPM_TREE : 'base', 'mnt']);
    await world.sh('same_tree plain "$MNT"; diff -r --no-dereference plain "$MNT"');
    t.pass('the view');
    world.env = {
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@b',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@b',
      GIT_AUTHOR_DATE: '2020-01-01T00:00:00Z',
      GIT_COMMITTER_DATE: '2020-01-01T00:00:00Z',
    };
    await both(
      t,
      world,
      `
      git init -q -b main . && git add -A && git commit -q -m first
      echo changed >> README.md; git mv bin/npm bin/renamed; git rm -q -r man
      git commit -q -a -m second; git checkout -q HEAD~1; git checkout -q main
      git fsck --full --strict; git status --porcelain; git log --format='%H %s'; git ls-files -s | sha256sum
    `,
    );
    // The index holds inode numbers and times of its own.
    await world.sh('diff -r --no-dereference -x index plain "$MNT"');
    await world.sh('same_tree plain "$MNT" --no-times --exclude=.git/index');
    await both(
      t,
      world,
      `
      rm -rf .git; find . -exec touch -h -d '2001-02-03 04:05:06.789' {} +; mkdir out
      tar -cf out/a.tar --sort=name --exclude=./out --mtime=@0 .; sha256sum out/a.tar
      mkdir out/untar; tar -xf out/a.tar -C out/untar; rm out/a.tar
      rsync -aHX --exclude=/out ./ out/rsync/; cp -a lib out/cp; rsync -aHX --delete docs/ out/cp/
      chmod -R go-rwx out/rsync/lib; find out/untar -name '*.js' -newermt 1970-01-02 -delete
      find out/untar/node_modules -delete; ln out/rsync/package.json out/hard
      find . -type f | wc -l; find . -type d | LC_ALL=C sort | sha256sum
    `,
    );
    await world.sh('diff -r --no-dereference plain "$MNT"');
    await world.sh(
      'same_tree plain "$MNT" --no-times; same_tree plain/out/untar/lib "$MNT/out/untar/lib"',
    );
    await world.sh(
      'same_tree plain/out/cp "$MNT/out/cp"; same_tree plain/out/rsync "$MNT/out/rsync" --omit-dir-times',
    );
    await world.on(['save', 'all']);
    await both(t, world, 'find . -mindepth 1 -delete; ls -A');
    await world.sh(
      'same_tree plain "$MNT" --no-times; diff -r --no-dereference "$MNT/.snapshots/all/out/cp" "$MNT/.snapshots/latest/out/cp"',
    );
    t.match(
      await world.sh('find "$MNT/.snapshots/all" -type f | wc -l; ls -A "$MNT" | wc -l'),
      /^\d{4}\n0\n$/,
    );
  }),
);

t.test('sqlite in a thousand transactions', (t) =>
  inWorld(t, as, async (world) => {
    await mountEmpty(world);
    const statements = [...Array(1000).keys()].map(
      (n) =>
        `insert into t values (${n}, hex(zeroblob(${(n * 37) % 900}))); ${n % 7 === 0 ? `delete from t where id = ${n - 5};` : ''}`,
    );
    await world.sh(`cat > "$WORLD/work.sql" <<'END'
create table t (id integer primary key, data text); create index i on t (data, id);
${statements.map((text) => `begin; ${text} commit;`).join('\n')}
END`);
    await both(
      t,
      world,
      `
      sqlite3 -bail db < "$WORLD/work.sql"; sqlite3 db 'pragma integrity_check; select count(*), sum(length(data)) from t'
      sqlite3 db .dump | sha256sum; sqlite3 db 'pragma journal_mode=wal; begin; delete from t where id < 500; commit; vacuum; pragma integrity_check'
    `,
    );
    await world.sh('diff -r plain "$MNT"; same_tree plain "$MNT" --no-times');
    t.pass('the same database');
  }),
);

t.test('npm install of a package with many files', (t) =>
  inWorld(t, as, async (world) => {
    await mountEmpty(world);
    await world.sh(
      `
      mkdir pack; cd pack; npm pack --silent --ignore-scripts --offline ${NPM_TREE} > /dev/null; mv *.tgz ../package.tgz
    `,
      { timeoutMs: LONG_MS },
    );
    await both(
      t,
      world,
      `
      echo '{ "name": "user", "version": "1.0.0", "private": true }' > package.json
      npm install --offline --ignore-scripts --no-audit --no-fund --silent ../package.tgz
      find . | wc -l; node node_modules/npm/bin/npm-cli.js --version; ls -l node_modules/.bin | wc -l
    `,
    );
    await world.sh('diff -r --no-dereference plain "$MNT"; same_tree plain "$MNT" --no-times');
    await world.on(['save', 's']);
    await world.sh('rm -rf "$MNT/node_modules"');
    await world.on(['restore', 's']);
    await world.sh('same_tree plain "$MNT" --no-times');
    t.pass('the same tree');
  }),
);

if (as.uid === ROOT.uid) {
  unless('both-times', test)(t, 'an ordinary user untars and deletes', (t) =>
    inWorld(t, NOBODY, async (world) => {
      await mountEmpty(world);
      await world.sh(`tar -C ${NPM_TREE} --no-same-owner -cf a.tar .`);
      for (const dir of ['plain', 'mnt']) await world.sh(`tar -xf a.tar -C ${dir}`);
      await world.sh('same_tree plain "$MNT"');
      await world.sh(
        'rm -rf "$MNT/lib"; rsync -a plain/ "$MNT/"; same_tree plain "$MNT"; find "$MNT" -mindepth 1 -delete',
      );
      t.equal(await world.sh('ls -A "$MNT"'), '');
    }),
  );
}
