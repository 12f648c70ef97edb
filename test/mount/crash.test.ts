/**
 * What is there after the serving process was killed: everything that was
 * fsynced, a consistent earlier state of the rest, every command wholly or not
 * at all. The dead mount is cleaned up by the next one.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import t, { type Test } from 'tap';
import {
  eachSetting,
  inWorld,
  isNative,
  identities,
  NOBODY,
  pause,
  testSeed,
  type World,
} from './harness.js';

const as = identities()[0] ?? NOBODY;
const SEED = testSeed(t);

interface Record {
  kind: 'fsynced' | 'closed' | 'gone' | 'moved';
  path: string;
  sha: string;
}

/** What a file of recorder.py holds when it was cut at `length`. */
function expectedContent(path: string, length: number): Buffer {
  const unit = `${path}\n`;
  return Buffer.from(unit.repeat(Math.floor(length / unit.length) + 1)).subarray(0, length);
}

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

/** Compares a copy of what survived with what a worker was promised. */
function compare(t: Test, copy: string, records: Record[]): void {
  // What was done to a path later may or may not have survived.
  const later = new Set(
    records.filter((r) => r.kind === 'gone' || r.kind === 'moved').map((r) => r.path),
  );
  const lastSync = records.findLastIndex(({ kind }) => kind === 'fsynced');
  const missing: string[] = [];
  const strange: string[] = [];
  let promised = 0;
  for (const { kind, path, sha } of records.slice(0, lastSync + 1)) {
    if (kind === 'gone') {
      if (fs.existsSync(`${copy}/${path}`)) strange.push(`${path} came back`);
      continue;
    }
    // Closed before a later fsync: it reached the filesystem first.
    if (kind === 'moved' || later.has(path)) continue;
    promised++;
    const file = `${copy}/${path}`;
    if (!fs.existsSync(file)) missing.push(`${kind} ${path}`);
    else if (sha256(fs.readFileSync(file)) !== sha) strange.push(`${kind} ${path} has other bytes`);
  }
  for (const name of fs.readdirSync(copy, { recursive: true, encoding: 'utf8' })) {
    const file = `${copy}/${name}`;
    if (!fs.statSync(file).isFile() || !/\/f\d+(\.moved)?$/.test(name)) continue;
    const data = fs.readFileSync(file);
    const wanted = expectedContent(name.replace('.moved', ''), data.length);
    if (!data.equals(wanted))
      strange.push(`${name}: ${data.length} bytes, not all of them its own`);
  }
  t.same(
    { missing, strange },
    { missing: [], strange: [] },
    `${records.length} records, ${promised} promised files are there`,
  );
}

function parseRecords(text: string): Record[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' '))
    .filter(([kind]) => kind !== 'stopped')
    .map(([kind, path, sha]) => ({
      kind: kind as Record['kind'],
      path: path ?? '',
      sha: sha ?? '',
    }));
}

/** Works with two workers, kills the daemon when each has told of `work` things, remounts, compares. */
async function crashOnce(t: Test, world: World, round: number, work: number): Promise<void> {
  const names = ['a', 'b'].map((name) => `${name}${round}`);
  const recorder = world.fixture('recorder.py');
  const workers = names.map((name) =>
    world.trySh(`python3 ${recorder} ${SEED} ${name} > "$WORLD/${name}.out"`, { cwd: world.mnt }),
  );
  const told = (name: string): string => {
    const path = world.path(`${name}.out`);
    return fs.existsSync(path) ? fs.readFileSync(path, 'utf8') : '';
  };
  let hasEnded = false;
  for (const worker of workers) void worker.then(() => (hasEnded = true));
  while (names.some((name) => told(name).split('\n').length < work)) {
    if (hasEnded) throw new Error(`a worker ended too early: ${names.map(told).join('\n')}`);
    await pause(5);
  }
  await world.crash();
  await Promise.all(workers);
  const outputs = names.map(told);
  await world.mount(['base', 'mnt']);
  await world.sh('rm -rf copy; cp -r "$MNT" copy; chmod -R a+rX copy');
  for (const text of outputs) {
    const records = parseRecords(text);
    compare(t, world.path('copy'), records);
  }
  await world.check();
}

eachSetting(t, 'kill -9 in the middle of work', async (t, world) => {
  await world.sh('mkdir base; seq 50000 > base/untouched');
  await world.mount(['base', 'mnt']);
  for (const [round, work] of (isNative ? [8, 60] : [8, 60, 200]).entries()) {
    await crashOnce(t, world, round, work);
  }
  await world.sh('cmp base/untouched "$MNT/untouched"');
});

t.test('kill -9 while git, sqlite and tar work', (t) =>
  inWorld(t, as, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    const work = world.trySh(`
      cd "$MNT"; git init -q .; git config user.name a; git config user.email a@b; git config core.fsync all
      sqlite3 db 'create table t (n integer)'
      # Only "extra" syncs the directory after it took its journal away, which
      # is the commit: without that no filesystem promises the last row.
      ( tar -C /usr/include -cf - . | tar -xf - ) &
      for i in $(seq 1000); do
        sqlite3 db "pragma synchronous = extra; insert into t values ($i)" && echo "row $i" >> "$WORLD/promised"
        echo $i > file$i; git add file$i && git commit -q -m "$i" && head=$(git rev-parse HEAD) && echo $head > "$WORLD/head" || exit
      done
    `);
    const head = world.path('head');
    while (!fs.existsSync(head)) await pause(20);
    await pause(2000);
    await world.crash();
    await work;
    await world.mount(['--no-base', 'mnt']);
    const rows = await world.sh(
      'tail -n 1 promised; sqlite3 "$MNT/db" "pragma integrity_check; select max(n) from t"',
    );
    const [, promised, , stored] = /^row (\d+)\n(ok)\n(\d+)\n$/.exec(rows) ?? [];
    t.ok(Number(stored) >= Number(promised), `row ${promised} promised, ${stored} stored: ${rows}`);
    await world.sh(
      'cd "$MNT"; rm -f .git/index.lock .git/*.lock; git fsck --full --strict; git cat-file -e "$(cat ../head)"; git log --oneline > /dev/null',
    );
    t.pass('git is whole');
  }),
);

t.test('a dead mount is cleaned up', (t) =>
  inWorld(t, as, async (world) => {
    await world.sh('mkdir base; echo 1 > base/f');
    await world.mount(['base', 'mnt']);
    await world.on(['save', 's']);
    await world.crash();
    t.match(
      (await world.trySh('ls "$MNT"')).err,
      /not connected|connection abort/,
      'nobody serves it',
    );
    const status = await world.refused(['save', '-C', world.mnt, 'x']);
    t.match(status, { ok: false });
    await world.mount(['base', 'mnt']);
    t.equal(
      await world.sh(
        'cat "$MNT/f"; ls "$MNT/.snapshots"; cut -d " " -f 5 /proc/self/mountinfo | grep -cx "$MNT"',
      ),
      '1\nlatest\ns\n1\n',
    );
    await world.crash();
    t.match(await world.refused(['umount', world.mnt]), { code: 'store-failed' });
    t.equal(
      await world.sh('ls -A "$MNT"; ! grep " $WORLD" /proc/self/mountinfo'),
      '',
      'umount of a dead mount',
    );
    await world.mount(['base', 'mnt']);
  }),
);

t.test('kill -9 after a file was cut: what the log puts twice is no damage', (t) =>
  inWorld(t, as, async (world) => {
    const words = ['--no-base', '--volume', world.path('volume'), 'mnt'];
    await world.mount(words);
    await world.sh(`cd "$MNT"
      for i in 1 2 3; do echo $i > warm; sync warm; done
      head -c 32768 /dev/zero | tr '\\0' a > f; sync f; truncate -s 1000 f; sync f`);
    await world.crash();
    await world.mount(words);
    t.equal(await world.sh('cat "$MNT/f"'), 'a'.repeat(1000));
    await world.check();
    await world.umount();
    await world.check(['--volume', world.path('volume')]);
  }),
);

/** The names of the steps at which a process can be told to die. */
function failpointNames(): string[] {
  const names = new Set<string>();
  for (const name of fs.readdirSync('src', { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    const text = fs.readFileSync(`src/${name}`, 'utf8');
    for (const [, step] of text.matchAll(/\bfailpoint\('([a-z-]+:[a-z-]+)'\)/g))
      names.add(step ?? '');
  }
  // These have tests of their own: apply (apply.test.ts), freeze (freeze.test.ts), group saves (group-mounts.test.ts), the
  // intent log (intent-log.test.ts), streams (send-receive.test.ts), roles (failover.test.ts), the
  // start of a mount (ending.test.ts), upgrades (upgrade.test.ts), moved volumes
  // (volume-places.test.ts) and the writer (writer-death.test.ts).
  return [...names]
    .filter(
      (name) =>
        !/^(apply|freeze|group|log|merge|mount|receive|role|spawn|upgrade|volume|writer):/.test(
          name,
        ),
    )
    .sort();
}

/** A command and, after it, changes to the tree; each line is one state that a crash may leave. */
const WORK = [
  'echo one > .control/save',
  'echo 2 > f; echo new > g; rm -r d; sync f',
  'echo one > .control/restore',
  'echo 3 > f; sync f',
  'echo back > .control/undo',
  'echo forward > .control/undo',
  'echo one to=two > .control/rename',
  'echo try > .control/branch',
  'echo try > .control/switch',
  'echo 4 > f; sync f',
  'echo main > .control/switch',
  'echo try > .control/branch-delete',
  'echo three > .control/save',
  'echo 5 > f; sync f',
  'echo two > .control/delete',
  'echo six > f; sync f',
];

/** Everything a user can see of the volume: the tree, and the snapshots with theirs. */
const LOOK = `
  cd "$MNT"; sed -n 's/.*"name":"\\([^"]*\\)".*/branch \\1/p' .control/branches
  for s in . $(ls .snapshots | grep -v latest); do
    [ $s = . ] && dir=. || dir=.snapshots/$s
    echo "== \${s%%-*}"; ( cd $dir && find . -type f | LC_ALL=C sort | xargs grep -H . )
  done`;

t.test('every command is done wholly or not at all', async (t) => {
  const steps = failpointNames();
  t.ok(steps.length >= 2, steps.join(' '));
  await inWorld(t, as, async (world) => {
    const mount = async (name: string): Promise<void> => {
      await world.sh(
        `mkdir -p ${name}/base/d; echo 1 > ${name}/base/f; echo deep > ${name}/base/d/x`,
      );
      await world.mount(['--volume', `${name}/volume`, `${name}/base`, 'mnt']);
    };
    // The states that a run without a crash goes through.
    await mount('plain');
    const states = [await world.sh(LOOK)];
    for (const line of WORK) {
      await world.sh(`cd "$MNT"; ${line}`);
      states.push(await world.sh(LOOK));
    }
    await world.umount();

    let crashes = 0;
    // What is stored when does not depend on the driver.
    const hits = isNative ? [2, 6] : [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14];
    for (const [step, hit] of steps.flatMap((step) => hits.map((hit) => [step, hit] as const))) {
      const name = `${step.replace(':', '-')}-${hit}`;
      world.env = { SHADOWFS_FAILPOINT: `${step}:${hit}` };
      const made = await mount(name).then(
        () => true,
        () => false,
      );
      const steps = WORK.map(
        (line) => `{ ${line}; } 2> /dev/null || exit 1; echo done >> "$WORLD/${name}/done"`,
      );
      const ran = made ? await world.trySh(`cd "$MNT" || exit\n${steps.join('\n')}`) : undefined;
      world.env = {};
      // The step may also be met first by the last group, which umount commits.
      if (ran?.status === 0 && (await world.tryShadowfs(['umount', world.mnt])).status === 0)
        continue;
      crashes++;
      await mount(name);
      const done = Number(await world.sh(`touch ${name}/done; wc -l < ${name}/done`));
      const seen = await world.sh(LOOK);
      // Of several changes to the tree any first part may be there; of a command none.
      const isCommand = WORK[done]?.includes('.control') === true;
      const allowed = states.slice(done, done + 2);
      const what = `${name}: ${done} were done`;
      if (isCommand || done === WORK.length) {
        t.ok(allowed.includes(seen), what, { seen, allowed });
      } else t.ok(seen.startsWith('branch main\n'), what);
      await world.check();
      await world.umount();
    }
    t.ok(crashes >= (isNative ? 1 : 8), `${crashes} crashes`);
  });
});
