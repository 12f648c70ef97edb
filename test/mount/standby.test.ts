/** A mounted standby: what arrives, what programs see of it, and what it refuses. */
import t from 'tap';
import { asUser, eachIdentity, isNative, type World } from './harness.js';

const SHADOWFS = 'shadowfs() { node "$CLI" "$@"; }';

function line(world: World, script: string): Promise<string> {
  return world.sh(`CLI=${world.checkout}/dist/cli/main.js\n${SHADOWFS}\n${script}`);
}

/** `mnt` is the primary, `copy` its standby; both mounted. */
async function pair(world: World): Promise<void> {
  await world.sh('mkdir copy');
  await world.mount(['--no-base', '--volume', world.path('a.volume'), 'mnt']);
  await world.mount(['--no-base', '--volume', world.path('b.volume'), 'copy']);
  await world.shadowfs(['demote', '-C', world.path('copy')]);
}

eachIdentity(t, 'every change is refused, commands are not', async (t, world) => {
  await pair(world);
  await world.sh(`cd mnt; mkdir d; echo one > d/f; ln -s f d/link; echo g > g
    setfattr -n user.a -v b g`);
  await world.on(['save', 'one']);
  await line(world, 'shadowfs send one -C mnt | shadowfs receive copy');
  await world.sh('same_tree mnt copy');
  const refused = [
    'echo x > copy/new',
    'echo x >> copy/g',
    ': > copy/g',
    'mkdir copy/x',
    'mkfifo copy/x',
    'ln -s x copy/x',
    'ln copy/g copy/x',
    'rm copy/g',
    'rm copy/d/link',
    'mv copy/g copy/h',
    'mv copy/d copy/e',
    'rmdir copy/d',
    'chmod 600 copy/g',
    'touch copy/g',
    'touch -a copy/g',
    'truncate -s 5 copy/g',
    ...(isNative ? [] : ['fallocate -l 100000 copy/g']),
    'setfattr -n user.a -v c copy/g',
    'setfattr -x user.a copy/g',
    'mkdir copy/d/.x',
  ];
  for (const command of refused) {
    const ran = await world.trySh(command);
    t.not(ran.status, 0, command);
    t.match(ran.err, /[Rr]ead-only file system/, command);
  }
  t.match(await world.trySh('shadowfs() { :; }; cp mnt/g copy/other'), { status: 1 });
  await world.sh('same_tree mnt copy; cat copy/g copy/d/link');
  const copy = world.path('copy');
  t.match(await world.refused(['restore', 'one', '-C', copy]), { code: 'standby', errno: 'EROFS' });
  await world.sh('mkdir copy/.snapshots/mine');
  await world.shadowfs(['save', 'local', '-C', copy]);
  await world.shadowfs(['delete', 'local', '-C', copy]);
  await world.sh('echo two > mnt/d/f');
  await world.on(['save', 'two']);
  t.match(
    await line(world, 'shadowfs send -i one two -C mnt | shadowfs receive copy'),
    /^received snapshot two from one/,
    'own snapshots, and those who touch it, are not in the way',
  );
  await world.sh('same_tree mnt copy; test "$(cat copy/.snapshots/mine/d/f)" = one');
  t.match(await world.shadowfs(['role', '-C', copy]), { role: 'standby', epoch: 0 });
  t.match(JSON.parse(await world.sh('cat copy/.control/role')), { role: 'standby', epoch: 0 });
  t.match(await world.shadowfs(['status', '-C', copy]), { role: 'standby', receiving: null });

  await world.umount(copy);
  await world.mount(['--no-base', '--volume', world.path('b.volume'), 'copy']);
  t.match(await world.trySh('echo x > copy/new'), { status: 1, err: /[Rr]ead-only/ }, 'it is kept');
});

asUser(t, 'programs see one whole snapshot after the other', async (t, world) => {
  await pair(world);
  // Every file of a round has the same number in it.
  await world.sh(`mkdir mnt/set mnt/set/deep; echo 0 > mnt/unchanged
    for i in $(seq 40); do echo 0 > mnt/set/f$i; echo 0 > mnt/set/deep/g$i; done`);
  await world.on(['save', 'r0']);
  await line(world, 'shadowfs send r0 -C mnt | shadowfs receive copy');
  const watcher = world.start([
    'python3',
    world.fixture('standby_watcher.py'),
    world.path('copy'),
    world.path('stop'),
  ]);
  let said = '';
  watcher.stdout?.on('data', (data: Buffer) => {
    said += data.toString();
  });
  watcher.stderr?.on('data', (data: Buffer) => {
    said += data.toString();
  });
  const ended = new Promise<number | null>((resolve) => watcher.once('exit', resolve));
  for (let round = 1; round <= 6; round++) {
    await world.sh(`cd mnt/set; for i in $(seq 40); do echo ${round} > f$i
      rm deep/g$i; echo ${round} > deep/g$i; done`);
    await world.on(['save', `r${round}`]);
    await line(
      world,
      `shadowfs send -i r${round - 1} r${round} -C mnt | shadowfs receive copy
       test "$(cat copy/set/f* copy/set/deep/g* | sort -u)" = ${round}`,
    );
  }
  await world.sh('touch stop');
  t.equal(await ended, 0, said);
  await world.sh('same_tree mnt copy');
});

asUser(t, 'a stream that ends early, is damaged, or has a rival', async (t, world) => {
  await pair(world);
  await world.sh('cd mnt; for i in $(seq 60); do head -c 100000 /dev/urandom > f$i; done');
  await world.on(['save', 'one']);
  await line(world, 'shadowfs send one -C mnt > one.stream');
  const cli = `node ${world.checkout}/dist/cli/main.js`;
  const flipped = await world.trySh(`cp one.stream bad
    printf X | dd of=bad bs=1 seek=5000000 conv=notrunc status=none; ${cli} receive copy --json < bad`);
  t.match(flipped, { status: 1, out: /"code":"stream-damaged".*"resumeToken":/ });
  await world.sh('test -z "$(ls copy)"; test -z "$(ls copy/.snapshots)"');
  const cut = await world.trySh(`head -c 3500000 one.stream | ${cli} receive copy --json`);
  t.match(cut, { status: 1, out: /"code":"stream-incomplete"/ });
  const { resumeToken: token } = JSON.parse(cut.out) as { resumeToken: string };
  t.equal((await world.shadowfs(['receive', '--token', 'copy']))['resumeToken'], token);
  t.match(await world.trySh(`head -c 100000 /dev/urandom | ${cli} receive copy --json`), {
    status: 1,
    out: /"code":"not-a-stream"/,
  });
  const busy = await world.trySh(`set -o pipefail
    (head -c 2000000 one.stream; while test ! -e go; do sleep 0.1; done) |
      ${cli} receive copy --json > first 2>&1 & first=$!
    until ${cli} status -C copy --json | grep -q '"receiving":{'; do sleep 0.1; done
    ${cli} receive copy --json < one.stream; status=$?
    touch go; wait $first; exit $status`);
  t.match(busy, { status: 1, out: /"code":"receive-busy","errno":"EBUSY"/ });
  const later = (await world.shadowfs(['receive', '--token', 'copy']))['resumeToken'];
  await line(
    world,
    `shadowfs send --resume ${String(later)} -C mnt > rest
     test $(stat -c %s rest) -lt 5000000; shadowfs receive copy < rest`,
  );
  await world.sh('same_tree mnt copy');
});

asUser(t, 'the process of the standby is killed in the middle', async (t, world) => {
  await pair(world);
  await world.sh('cd mnt; for i in $(seq 60); do head -c 100000 /dev/urandom > f$i; done');
  await world.on(['save', 'one']);
  await line(world, 'shadowfs send one -C mnt > one.stream');
  const cli = `node ${world.checkout}/dist/cli/main.js`;
  const pid = await world.daemonPid(world.path('copy'));
  await world.trySh(`(head -c 5000000 one.stream; while test ! -e go; do sleep 0.1; done) |
      ${cli} receive copy --json > first 2>&1 & first=$!
    until ${cli} status -C copy --json | grep -qE '"receivedBytes":[3-9][0-9]{6}'; do sleep 0.1; done
    sleep 1; kill -9 ${pid}; touch go; wait $first`);
  await world.mount(['--no-base', '--volume', world.path('b.volume'), 'copy']);
  await world.sh('test -z "$(ls copy)"');
  const { resumeToken: token } = await world.shadowfs(['receive', '--token', 'copy']);
  await line(
    world,
    `shadowfs send --resume ${String(token)} -C mnt > rest
     test $(stat -c %s rest) -lt 5900000; shadowfs receive copy < rest`,
  );
  await world.sh('same_tree mnt copy');
  t.match(await world.shadowfs(['role', '-C', world.path('copy')]), { role: 'standby' });
});
