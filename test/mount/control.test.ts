/** The control files, as shells, Python and careless writers use them. */
import t from 'tap';
import { unless } from './driver-exceptions.js';
import { asUser, eachIdentity, type World } from './harness.js';

type Json = Record<string, unknown>;

async function mounted(world: World): Promise<void> {
  await world.sh('mkdir base; echo one > base/f');
  await world.mount(['base', 'mnt']);
}

const inControl = (world: World, script: string): Promise<string> =>
  world.sh(`cd "$MNT/.control"\n${script}`);

const lines = (text: string): Json[] =>
  text
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Json);

eachIdentity(t, 'commands and their answers from a shell', async (t, world) => {
  await mounted(world);
  const names = await inControl(world, 'ls; stat -c %a . save status');
  t.equal(
    names.replaceAll('\n', ' '),
    'apply branch branch-delete branch-rename branches check compact delete demote diff events freeze freeze-stop group-save history lag layers lock locks log merge mount options peer-invite peer-join peer-remove ' +
      'peers promote prune receive rename restore restore-files result revert role save schedule snapshots space stats status switch switchover sync trace undo unlock versions ' +
      '700 600 400 ',
  );
  t.equal(await inControl(world, 'cat result'), '', 'no command yet');
  await inControl(world, 'echo first > save');
  t.match(lines(await inControl(world, 'cat result'))[0], {
    ok: true,
    command: 'save',
    name: 'first',
    timings: { quiesceMs: Number, switchMs: Number, commitMs: Number },
  });
  const both = lines(
    await inControl(world, 'exec 3<>save; echo a >&3; cat <&3; echo b >&3; cat <&3'),
  );
  t.match(both, [
    { ok: true, name: 'a' },
    { ok: true, name: 'b' },
  ]);
  await inControl(
    world,
    'echo second >> save; printf third > save; { printf fo; echo urth; } > save',
  );
  await inControl(
    world,
    'echo \'"with a space"\' > save; echo a to=renamed > rename; echo b > delete',
  );
  const listed = lines(await inControl(world, 'cat snapshots')).map(({ name }) => name);
  t.same(listed, ['first', 'renamed', 'second', 'third', 'fourth', 'with a space']);
  t.equal(
    await world.sh('ls "$MNT/.snapshots"'),
    'first\nfourth\nlatest\nrenamed\nsecond\nthird\nwith a space\n',
  );
  await inControl(world, 'echo auto=yes > save');
  t.match(lines(await inControl(world, 'cat result'))[0], { ok: true, name: /^\d{4}-\d\d-\d\dT/ });
  const history = lines(await inControl(world, 'cat history'));
  t.match(history.at(0), { command: 'save', name: 'first', source: 'control' }, 'oldest first');
  t.match(lines(await inControl(world, 'cat layers')).at(-1), { state: 'open' });
  const status = JSON.parse(await inControl(world, 'cat status')) as Json;
  t.match(status, { mountpoint: world.mnt, base: world.path('base'), readOnly: false });
});

eachIdentity(
  t,
  'what a command can not do is the errno of write, or of close',
  async (t, world) => {
    await mounted(world);
    const fails = async (script: string, message: RegExp, answer: Json): Promise<void> => {
      const ran = await world.trySh(`cd "$MNT/.control"; ${script}`);
      t.not(ran.status, 0, script);
      t.match(ran.err, message, script);
      t.match(lines(await inControl(world, 'cat result'))[0] ?? {}, answer, `${script}: result`);
    };
    await inControl(world, 'echo before > save');
    await fails('echo before > save', /File exists/, { ok: false, code: 'snapshot-exists' });
    await fails('echo befor > restore', /No such file/, {
      code: 'no-such-snapshot',
      near: ['before'],
    });
    await fails('echo nothing > delete', /No such file/, { code: 'no-such-snapshot' });
    // What is refused before it becomes a command is answered on its descriptor only.
    const refused = async (words: string, message = /Invalid argument/): Promise<Json> => {
      const ran = await world.trySh(`cd "$MNT/.control"; exec 3<>save; ${words} >&3; cat <&3`);
      t.match(ran.err, message, words);
      return lines(ran.out)[0] ?? {};
    };
    t.match(await refused('echo'), { ok: false, expected: String, example: String });
    t.match(await refused('echo frobnicate now'), { code: 'bad-command-line' });
    t.match(await refused('echo x colour=red'), { message: /unknown option "colour"/ });
    t.match(await refused('echo a/b'), { code: 'bad-snapshot-name' });
    t.match(await refused('echo latest'), { code: 'bad-snapshot-name' });
    t.match(await refused('echo undo-mine'), { code: 'bad-snapshot-name' });
    t.match(await refused(`printf 'a\\tb\\x01\\n'`), { code: 'bad-command-line' });
    t.match(await refused(`printf '"a\\x01b"\\n'`), { code: 'bad-snapshot-name' });
    t.match(await refused(`echo $(printf %300s | tr ' ' x)`), { code: 'bad-snapshot-name' });
    t.match(await refused('head -c 1000000 /dev/zero', /list too long/), { code: 'line-too-long' });
    const started = Date.now();
    await world.trySh('cd "$MNT/.control"; head -c 1048576 /dev/urandom > save');
    await world.trySh('cd "$MNT/.control"; dd if=/dev/zero of=restore bs=1M count=1');
    t.ok(Date.now() - started < 5000, '1 MiB of garbage is refused quickly');
    const others = [
      'echo x > status',
      'rm save',
      'touch new',
      'mkdir new',
      'mv save saved',
      'ln save l',
      'chmod 666 save',
      'echo > status/x',
    ];
    for (const other of others) {
      const ran = await world.trySh(`cd "$MNT/.control"; ${other}`);
      t.not(ran.status, 0, other);
    }
    t.equal(lines(await inControl(world, 'cat snapshots')).length, 1, 'nothing else was saved');
  },
);

eachIdentity(t, 'Python and C see the same', async (t, world) => {
  await mounted(world);
  const out = await inControl(
    world,
    `python3 - <<'END'
import errno, os
with open('save', 'r+') as f:
    f.write('py\\n'); f.flush(); f.seek(0); print(f.read(), end='')
with open('save', 'r+') as f:
    f.write('py2\\n'); f.flush(); print(f.read(), end='')
fd = os.open('restore', os.O_RDWR)
try:
    os.write(fd, b'nope\\n')
except OSError as e:
    print('{"write": "%s"}' % errno.errorcode[e.errno])
print(os.pread(fd, 10000, 0).decode(), end='')
os.write(fd, b'p'); os.write(fd, b'y\\n')
print(os.pread(fd, 10000, 0).decode(), end='')
os.close(fd)
fd = os.open('save', os.O_WRONLY)
os.write(fd, b'py')
try:
    os.close(fd)
except OSError as e:
    print('{"close": "%s"}' % errno.errorcode[e.errno])
fd = os.open('save', os.O_WRONLY)
os.write(fd, b'never')
os.ftruncate(fd, 0)
os.close(fd)
END`,
  );
  t.match(lines(out), [
    { ok: true, name: 'py' },
    { ok: true, name: 'py2' },
    { write: 'ENOENT' },
    { ok: false, code: 'no-such-snapshot' },
    { ok: true, command: 'restore', name: 'py' },
    { close: 'EEXIST' },
  ]);
  const names = lines(await inControl(world, 'cat snapshots')).map(({ name }) => name);
  t.notOk(names.includes('never'), 'what was truncated away is not run');
});

asUser(t, 'eight processes save and restore at once', async (t, world) => {
  await mounted(world);
  await inControl(world, 'echo start > save');
  await world.sh(
    `
    cd "$MNT"
    for p in 1 2 3 4 5 6 7 8; do
      (
        for i in 1 2 3; do
          echo p$p-$i > .control/save
          echo $p $i > file$p || :
          echo start > .control/restore
        done
      ) &
      pids="$pids $!"
    done 2> "$WORLD/errors"
    for pid in $pids; do wait $pid; done`.replace('cd "$MNT"', 'pids=; cd "$MNT"'),
  );
  const snapshots = lines(await inControl(world, 'cat snapshots'));
  t.equal(snapshots.filter(({ kind }) => kind === 'user').length, 25, 'each save was done');
  await inControl(world, 'echo start > restore');
  t.equal(await world.sh('cat "$MNT/f"; ls "$MNT"'), 'one\nf\n', 'and the last restore');
});

unless('no-events', eachIdentity)(
  t,
  'events: what commands did, as it happens',
  async (t, world) => {
    await mounted(world);
    const reader = world.trySh('exec timeout -s INT 60 cat "$MNT/.control/events" > events');
    await world.sh('wait_for test -e events; sleep 0.5');
    await inControl(world, 'echo a > save; echo changed > "$MNT/f"; ! echo nope > restore');
    await world.on(['restore', 'a']);
    await inControl(world, 'echo a to=b > rename; echo b > delete; cat status > /dev/null');
    await world.sh('wait_for grep -q delete events');
    t.match(lines(await world.sh('cat events')), [
      { command: 'save', name: 'a', timeMs: Number },
      { command: 'restore', name: 'a', undo: /^undo-/ },
      { command: 'rename' },
      { command: 'delete' },
    ]);
    // A reader that waits can be interrupted, and does not hold an unmount up.
    const first = await inControl(world, 'timeout -s INT 0.3 head -n 1 events || echo $?');
    t.equal(first, '124\n');
    await world.umount();
    await reader;
  },
);

unless('no-events', eachIdentity)(
  t,
  'events: who reads late and little gets whole lines and the number of those that were lost',
  async (t, world) => {
    await world.mount(['--no-base', world.mnt]);
    // More than a reader may leave unread (UNREAD_LINES_MAX), after 10 bytes of the first.
    const got = await world.sh(
      `python3 - <<'END'
import json, os
control = os.environ['MNT'] + '/.control/'
def command(name, line):
    fd = os.open(control + name, os.O_WRONLY)
    os.write(fd, line.encode())
    os.close(fd)
events = os.open(control + 'events', os.O_RDONLY)
command('save', 's0\\n')
text = os.read(events, 10)
for n in range(1005): command('rename', f's{n} to=s{n + 1}\\n')
while b'"newName":"s1005"' not in text or not text.endswith(b'\\n'): text += os.read(events, 70)
lines = [json.loads(line) for line in text.splitlines()]
lost = sum(line.get('lostCount', 0) for line in lines)
print(lines[0]['command'], lost, lost + len([line for line in lines if 'lostCount' not in line]))
END`,
      { timeoutMs: 120_000 },
    );
    t.equal(got, 'save 1000 1006\n');
  },
);
