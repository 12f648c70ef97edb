/** The command line: mounting, finding the mount, each command, ending. */
import fs from 'node:fs';
import t from 'tap';
import { eachDriver, unless } from './driver-exceptions.js';
import { asRoot } from '../as-root.js';
import { eachIdentity, NOBODY, inWorld, pause, processGone, type World } from './harness.js';

/** The exit code, and what a person reads. */
async function says(world: World, words: string[], cwd?: string): Promise<string> {
  const ran = await world.tryShadowfs(words, cwd === undefined ? {} : { cwd });
  return `${ran.status} ${ran.out}${ran.err}`;
}

const mountCount = (world: World): Promise<string> =>
  world.sh('grep fuse.shadowfs /proc/self/mountinfo | grep -c "$WORLD" || :');

eachIdentity(t, 'in place: the original reappears untouched', async (t, world) => {
  await world.sh('mkdir -p project/sub; echo one > project/f; echo two > project/sub/g');
  await world.sh('manifest project > before');
  t.match(await says(world, ['mount', 'project']), /^0 mounted .*project in place \(volume/);
  const project = world.path('project');
  t.match(await says(world, ['save', 'start'], `${project}/sub`), /^0 saved .*project as start in/);
  await world.sh('rm -r project/sub; echo changed > project/f; echo new > project/n');
  const restored = await says(world, ['restore', 'latest', '-C', project]);
  t.match(
    restored,
    /^0 restored .*project to start in .*\nto undo this: shadowfs undo \(or shadowfs restore undo-/,
  );
  await world.sh('cat project/sub/g; test ! -e project/n');
  await world.sh('echo again > project/f');
  const undo = /undo-[^\s)]+/.exec(restored)?.[0] ?? '';
  t.match(await says(world, ['restore', undo], project), /^0 restored/);
  t.equal(await world.sh('cat project/f project/n'), 'changed\nnew\n', 'the wreck is back');
  t.match(await says(world, ['umount', project]), /^0 unmounted .*; everything is stored/);
  await world.sh('same_manifest before project');
  t.pass('the original is as it was');
  t.equal(await mountCount(world), '0\n', 'no control mount is left');
  t.match(await says(world, ['snapshots', '-C', project]), /start +user.*\n(.*undo.*\n)+/);
  const unmounted = await says(world, ['status', '-C', project]);
  t.match(
    unmounted,
    /^0 mount: +not mounted, volume .*\nbased on: +undo-/,
    'known without a mount',
  );
  await world.mount(['project']);
  t.equal(await world.sh('cat project/f project/n'), 'changed\nnew\n', 'found again by its base');
  await world.umount(project);
});

eachIdentity(t, 'every command answers people and programs', async (t, world) => {
  await world.sh('mkdir base; echo one > base/f');
  await world.mount(['base', 'mnt']);
  t.match(await says(world, ['snapshots'], world.mnt), /^0 no snapshots yet/);
  t.match(await world.on(['save']), { ok: true, name: /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/ });
  await world.on(['save', 'with space']);
  await world.on(['save', 'b']);
  t.match(await says(world, ['rename', 'b', 'c'], world.mnt), /^0 renamed snapshot b to c/);
  t.match(await says(world, ['delete', 'with space'], world.mnt), /^0 deleted snapshot with space/);
  const table = (await says(world, ['snapshots'], world.mnt)).split('\n');
  t.match(table[0], /^0 NAME +KIND +CREATED +AGE +LAYER +BY +NOTE$/);
  t.match(table[2], /^c +user +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} +.* +\d+ +cli$/);
  t.match(await says(world, ['history', '-n', '1'], world.mnt), /delete +with space.*deleted\n$/);
  t.match(await world.on(['status']), { pid: Number, snapshotCount: 2, base: world.path('base') });
  t.match(await says(world, ['restore', 'C'], world.mnt), /^1 shadowfs: no snapshot "C".*\bc\b/);
  t.match(await world.refused(['restore', 'C', '-C', world.mnt]), {
    ok: false,
    code: 'no-such-snapshot',
    near: ['c'],
  });
  for (const command of [
    'mount umount save restore snapshots delete rename history status diff log versions check lock unlock locks schedule',
  ].flatMap((names) => names.split(' '))) {
    t.match(
      await says(world, [command, '--help']),
      /^0 Usage: [\s\S]*Examples?:\n +shadowfs/,
      command,
    );
  }
  t.match(await says(world, ['frobnicate']), /^2 .*unknown command/);
  t.match(await says(world, ['rollback']), /^2 .*unknown command[\s\S]*did you mean restore/);
  t.match(await says(world, ['peer', 'lsit']), /^2 .*unknown command[\s\S]*did you mean list/);
  t.match(await says(world, ['save', '--nope']), /^2 .*unknown option/);
  t.match(await says(world, ['restore']), /^2 .*missing required argument/);
  t.match(await says(world, ['mount', 'a', 'b', 'c']), /^2 .*expected DIR/);
  t.match(await world.refused(['restore']), { code: 'wrong-usage', message: /missing required/ });
  const bad: [string, RegExp][] = [
    ['history -n 0', /whole number from 1/],
    ['history -n x', /whole number from 1/],
    ['history -n 1e3', /whole number from 1/],
    ['stats -i 0', /number above 0/],
    ['trace --count 0', /whole number from 1/],
    ['trace --slow soon', /number above 0/],
    ['promote --epoch -1', /whole number from 1/],
    ['demote --epoch 1.5', /whole number from 0/],
    ['peer invite --valid 1', /length of time.*15m/],
    ['mount --driver kernle x', /Expected kernel, fuse-native or auto \(did you mean kernel\?\)/],
    ['mount --quota lots x', /quota=lots/],
    ['sync every', /every/],
    ['sync nwo', /did you mean now/],
    ['schedule sometimes', /every/],
    ['send', /which snapshot/],
    ['unlock', /name of a snapshot/],
  ];
  for (const [words, message] of bad) {
    const refusal = await says(world, words.split(' '), world.mnt);
    t.match(refusal, /^2 shadowfs: /, words);
    t.match(refusal, message, words);
  }
  t.match(await says(world, ['--version']), /^0 \d+\.\d+\.\d+\n$/);
  const fromBase = await says(world, ['save', 'x'], world.path('base'));
  t.match(fromBase, /^0 saved .*mnt as x/, 'a base leads to where it is mounted');
});

eachIdentity(t, 'a command acts where it is told to', async (t, world) => {
  await world.sh('mkdir -p base/sub/deep; echo one > base/sub/f; ln -s "$MNT/sub" link');
  await world.mount(['-C', world.dir, 'base', 'mnt'], { cwd: '/' });
  const status = async (...words: string[]): Promise<unknown> =>
    (await world.shadowfs(words, { cwd: '/' }))['mountpoint'];
  const here = world.mnt;
  t.equal(await status('-C', here, 'status'), here, 'before the command');
  t.equal(await status('status', '-C', `${here}/sub`), here, 'after it');
  t.equal(await status('-C', world.dir, '-C', 'mnt', 'status', '-C', 'sub/deep'), here, 'several');
  t.equal(await status('-C', here, '-C', '', 'status'), here, 'an empty one changes nothing');
  t.equal(await status('-C', world.path('link'), 'status', 'deep'), here, 'through a link');
  t.equal(await status('status', here), here, 'as the last word');
  t.equal(
    await status('status', '--volume', String((await world.on(['status']))['volumePath'])),
    here,
  );
  await world.on(['save', 's']);
  const at = (words: string): Promise<string> => says(world, words.split(' '), '/');
  for (const command of ['snapshots', 'history -n 1', 'locks', 'stats', 'check', 'role', 'sync']) {
    t.match(await at(`${command} ${here}`), /^0 /, command);
  }
  t.match(await at(`peer -C ${here} list`), /^0 no peers/);
  t.match(
    await world.sh(
      `cd /; '${process.execPath}' '${world.checkout}/dist/cli/main.js' -C "$MNT/sub" versions f`,
    ),
    /sub\/f/,
    'paths count from there',
  );
  t.match(await at(`-C ${here}/nowhere status`), /^1 .*nowhere does not exist/);
  t.match(await at(`-C ${here}/sub/f status`), /^1 .*f is not a directory/);
  t.match(await at('-C'), /^2 .*argument missing/);
  t.match(
    await at(`umount -C ${here}/sub`),
    /^0 unmounted/,
    'umount does not stand in its own way',
  );
  t.match(await at(`-C ${here} save x`), /^1 .*not in a shadowfs mount|not mounted/);
  const volume = String((await world.shadowfs(['status', 'base', '-C', world.dir]))['volumePath']);
  t.equal(await status('status', volume), null, 'a volume that is not mounted');
  await world.mount(['base', 'mnt']);
});

eachIdentity(t, 'what changed, and the versions of a file', async (t, world) => {
  await world.sh('mkdir -p base/dir base/gone/deep; echo one > base/f; echo a > base/dir/a');
  await world.mount(['base', 'mnt']);
  await world.on(['save', 'one']);
  await world.sh('cd "$MNT"; mv f g; rm -r gone; echo b > dir/a; echo c > $\'dir/new\\nline\'');
  const gone = 'gone/ (and 1 name below)';
  const told = [`- ${gone}`, 'R f -> g', 'M dir/a (content, times)', '+ "dir/new\\x0aline"'];
  const expected = told.sort();
  const diff = async (...names: string[]): Promise<string[]> =>
    (await says(world, ['diff', ...names], `${world.mnt}/dir`)).slice(2).trim().split('\n').sort();
  t.same(await diff('one'), expected, 'to the tree as it is now');
  await world.on(['save', 'two']);
  await world.sh('cd "$MNT"; echo later >> g; sed -i s/b/z/ dir/a');
  t.same(await diff('one', 'two'), expected, 'between two snapshots');
  const back = await diff('two', 'one');
  t.ok(back.includes('R g -> f') && back.includes(`+ ${gone}`), 'and backwards');
  t.same(await diff('two', 'latest'), ['']);
  const { versions } = await world.shadowfs(['versions', 'g'], { cwd: world.mnt });
  t.match(versions, [
    { isLive: true, path: 'g', sizeBytes: 10, snapshots: [] },
    { isLive: false, path: 'g', sizeBytes: 4, snapshots: ['two'] },
    { isLive: false, path: 'f', sizeBytes: 4, snapshots: ['one'] },
  ]);
  const replaced = await world.shadowfs(['versions', 'a'], { cwd: `${world.mnt}/dir` });
  t.equal((replaced['versions'] as unknown[]).length, 3, 'a file that was written anew each time');
  t.match(await says(world, ['versions', 'gone'], world.mnt), /one\n$/, 'of what is gone');
  t.match(await world.refused(['versions', 'nope'], { cwd: world.mnt }), { code: 'no-such-file' });
  t.match(await world.refused(['diff', 'on', '-C', world.mnt]), { near: ['one'] });
  await world.umount();
  const base = world.path('base');
  t.match(await says(world, ['diff', 'one', 'two', '-C', base]), /^0 .*R f -> g/s, 'unmounted');
  t.match(await says(world, ['versions', 'g', '-C', base]), /f +one\n$/);
  await world.mount(['base', 'mnt']);
});

unless('no-holders', eachIdentity)(
  t,
  'restore names the programs that hold changed files',
  async (t, world) => {
    await world.sh('mkdir base; seq 1000 > base/changed; seq 1000 > base/same');
    await world.mount(['base', 'mnt']);
    await world.on(['save', 's']);
    const holder = world.start(
      ['bash', '-c', 'echo x >> changed; exec 5>>changed 6<same; echo ready; sleep 60'],
      { cwd: world.mnt },
    );
    await new Promise((resolve) => holder.stdout?.once('data', resolve));
    const answer = await world.on(['restore', 's']);
    t.match(answer['holders'], [{ pid: holder.pid, how: 'open file' }]);
    t.equal((answer['holders'] as unknown[]).length, 1, 'the unchanged file does not count');
    const busy = await world.refused(['umount', world.mnt]);
    t.match(busy, { code: 'mount-busy', errno: 'EBUSY' });
    t.match(busy.message, new RegExp(`\\w+ \\(pid ${holder.pid}\\): working directory`));
    process.kill(-(holder.pid ?? 0), 'SIGKILL');
    await processGone(holder.pid ?? 0);
  },
);

eachIdentity(t, 'over nothing, with options of its own', async (t, world) => {
  await world.mount([
    ...['--no-base', '--volume', world.path('vol'), '--block-size', '4K'],
    ...['-o', 'keep-undo=2,snapshots-name=.past,control-name=.ctl', 'mnt'],
  ]);
  await world.sh('cd "$MNT"; echo hi > f; echo one > .ctl/save; ls .past; test ! -e .snapshots');
  for (let i = 0; i < 4; i++) await world.sh('cd "$MNT"; echo x >> f; echo one > .ctl/restore');
  const names = (await world.sh('ls "$MNT/.past"')).split('\n').filter((n) => n.startsWith('undo'));
  t.equal(names.length, 2, 'as many undo snapshots are kept as asked for');
  t.match(await world.on(['status']), {
    base: null,
    options: { blockSizeBytes: 4096, keepUndoCount: 2 },
  });
  await world.umount();
  t.match(
    await world.refused(['mount', '--no-base', '--volume', 'vol', '-o', 'block-size=8K', 'mnt']),
    {
      code: 'option-mismatch',
    },
  );
  await world.mount(['--no-base', '--ro', '--volume', world.path('vol'), 'mnt']);
  t.equal(await world.sh('cat "$MNT/f" "$MNT/.past/one/f"'), 'hi\nhi\n');
  const ran = await world.trySh('echo no > "$MNT/f"');
  t.match(ran.err, /Read-only file system/);
  t.match(await world.refused(['save', 'x', '-C', world.mnt]), {
    code: 'read-only',
    errno: 'EROFS',
  });
});

eachDriver(t, 'the mounts say that reads change no access times', async (t, world) => {
  for (const asked of ['atime', 'relatime', 'strictatime', 'diratime']) {
    const refused = await says(world, ['mount', '--no-base', '-o', asked, 'mnt']);
    t.match(refused, new RegExp(`^2 .* ${asked}: reads never change access times`));
  }
  await world.mount(['--no-base', 'mnt']);
  const shown = await world.sh('grep "$WORLD" /proc/self/mountinfo | grep fuse.shadowfs');
  const flags = shown
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[5] ?? '');
  t.equal(flags.length, 2, 'the files and the control files');
  for (const each of flags) {
    t.match(each, /\bnoatime\b/);
    t.notMatch(each, /relatime/);
  }
  const read = 'touch -d 2001-01-01 f; cat f; ls; ls -A .; stat -c %X f';
  t.match(await world.sh(`cd "$MNT"; echo text > f; ${read}`), /^978\d{6}$/m, 'and so it is');
});

eachIdentity(t, 'signals: SIGUSR2 saves, SIGTERM unmounts', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  const pid = await world.daemonPid();
  await world.sh('echo hi > "$MNT/f"');
  process.kill(pid, 'SIGUSR2');
  await world.sh('wait_for ls "$MNT/.snapshots/latest/f"');
  t.match((await world.on(['snapshots']))['source'], 'signal');
  process.kill(pid, 'SIGTERM');
  t.ok(await processGone(pid), 'the process ends');
  t.equal(await mountCount(world), '0\n');
  t.match(world.log(), /SIGTERM: unmounting[\s\S]*everything is stored/);
  await world.mount(['--no-base', 'mnt']);
  t.equal(await world.sh('cat "$MNT/f"'), 'hi\n');

  const user = world.start(['sleep', '60'], { cwd: world.mnt });
  const again = await world.daemonPid();
  await world.sh('echo busy > "$MNT/g"');
  process.kill(again, 'SIGTERM');
  t.ok(await processGone(again), 'a program inside does not stop it');
  t.match(world.log(), new RegExp(`in use by sleep \\(pid ${user.pid}\\)`));
  process.kill(-(user.pid ?? 0), 'SIGKILL');
  await world.mount(['--no-base', 'mnt']);
  t.equal(await world.sh('cat "$MNT/g"'), 'busy\n', 'nothing is lost');
});

eachIdentity(t, 'other ways to end: a plain umount, a lazy one, kill -9', async (t, world) => {
  const unmountTool = world.identity.uid === 0 ? 'umount' : 'fusermount3 -u';
  await world.mount(['--no-base', 'mnt']);
  let pid = await world.daemonPid();
  await world.sh(`echo hi > "$MNT/f"; ${unmountTool} "$MNT"`);
  t.ok(await processGone(pid), 'the process stores everything and ends');
  t.equal(await mountCount(world), '0\n');

  await world.mount(['--no-base', 'mnt']);
  pid = await world.daemonPid();
  const user = world.start(['bash', '-c', 'read line; echo "$line" > late; cat f'], {
    cwd: world.mnt,
  });
  await pause(200);
  t.match(await says(world, ['umount', '-l', 'mnt']), /^0 detached/);
  t.notOk(await world.sh('ls "$MNT"'), 'gone from the tree');
  const out = new Promise<string>((resolve) =>
    user.stdout?.once('data', (data: Buffer) => resolve(data.toString())),
  );
  user.stdin?.end('written late\n');
  t.equal(await out, 'hi\n', 'who was inside goes on');
  t.ok(await processGone(pid), 'until the last one leaves');

  await world.mount(['--no-base', 'mnt']);
  t.equal(
    await world.sh('cat "$MNT/late"; echo synced > "$MNT/s"; sync "$MNT/s"'),
    'written late\n',
  );
  await world.crash();
  t.match((await world.trySh('ls "$MNT"')).err, /not connected|connection abort/);
  t.match(await world.refused(['save', '-C', world.mnt]), { code: 'mount-dead' });
  await world.mount(['--no-base', 'mnt']);
  t.equal(await world.sh('cat "$MNT/s"'), 'synced\n', 'the next mount cleans up');
  t.equal(await mountCount(world), '2\n', 'both mounts of the killed process are gone');
  // Its end can take a moment, in which the next mount asks whether it still answers.
  pid = await world.daemonPid();
  process.kill(pid, 'SIGSTOP');
  const next = world.tryShadowfs(['mount', '--no-base', 'mnt']);
  await pause(1500);
  process.kill(pid, 'SIGKILL');
  t.match(await next, { status: 0 }, 'a mount that meets a dying process waits for its end');
  await world.crash();
  t.match(await world.refused(['umount', world.mnt]), { code: 'store-failed' });
  t.equal(await mountCount(world), '0\n', 'umount cleans up as well');
  await world.mount(['--no-base', 'mnt']);
});

eachIdentity(t, 'in the foreground', async (t, world) => {
  const child = world.start([
    'node',
    `${world.checkout}/dist/cli/main.js`,
    'mount',
    '-f',
    '--no-base',
    'mnt',
  ]);
  const first = await new Promise<Buffer>((resolve) => child.stdout?.once('data', resolve));
  t.match(first.toString(), /^mounted /);
  await world.sh('echo hi > "$MNT/f"');
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGINT');
  t.equal(await ended, 0, 'an interrupt unmounts');
  t.equal(await mountCount(world), '0\n');
});

unless('no-other-users', asRoot)(t, 'the control files belong to the owner of the mount', (t) =>
  inWorld(t, { name: 'root', uid: 0 }, async (world) => {
    await world.sh('mkdir base; chmod 777 base; chmod 711 .');
    await world.mount(['--allow-other', 'base', 'mnt']);
    const as = { uid: NOBODY.uid };
    t.equal((await world.trySh('echo hi > "$MNT/mine"; cat "$MNT/mine"', as)).out, 'hi\n');
    const { err } = await world.trySh('echo x > "$MNT/.control/save"', as);
    t.match(err, /Permission denied/);
    const ran = await world.tryShadowfs(['save', '-C', world.mnt], as);
    t.equal(ran.status, 1);
    t.match(ran.err, /belong to uid \d+/);
    t.equal(fs.readdirSync(world.path('base')).length, 0, 'the base was not written to');
  }),
);
