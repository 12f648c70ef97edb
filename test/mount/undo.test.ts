/** `undo`, notes, and work on many snapshots, as a person meets them on a mount. */
import t, { type Test } from 'tap';
import { eachIdentity, inWorld, NOBODY, type World } from './harness.js';

/** The exit code, and what a person reads. */
async function says(world: World, ...words: string[]): Promise<string> {
  const { status, out, err } = await world.tryShadowfs(words, { cwd: world.mnt });
  return `${status} ${out}${err}`;
}

eachIdentity(t, 'undo takes a restore back, and again goes forward', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  const file = (): Promise<string> => world.sh('cat "$MNT/file"');
  t.match(await says(world, 'undo'), /^1 shadowfs: nothing to undo: no command has changed/);
  await world.sh('echo good > "$MNT/file"');
  await world.on(['save', 'good']);
  await world.sh('echo mine > "$MNT/file"');
  await world.on(['restore', 'good']);
  t.match(await says(world, 'undo', '-n'), /^0 would take back "restore good" of .* \(.*\):/);
  t.equal(await file(), 'good\n');
  const undone = await says(world, 'undo');
  t.match(undone, /^0 took back "restore good" .*\n.*kept as undo-.*\nshadowfs undo goes forward/);
  t.equal(await file(), 'mine\n');
  t.match(await says(world, 'undo'), /^0 did "restore good" .* again: .* is what it was after it/);
  t.equal(await file(), 'good\n');
  t.match(await world.on(['undo', '--back']), { direction: 'back', passed: [{ name: 'good' }] });
  t.match(await says(world, 'undo', '--list'), /restore good +taken back +undo-/);
  t.match(await world.refused(['undo', '--back', '-C', world.mnt]), { code: 'nothing-to-undo' });
  const open = 'cd "$MNT/.control"; exec 3<>undo; echo forward dry=yes >&3; cat <&3';
  t.match(JSON.parse(await world.sh(open)), { ok: true, dryRun: true, direction: 'forward' });
  t.match(await says(world, 'undo', '--back', '--forward'), /^2 /);

  await world.on(['delete', 'good']);
  t.match(await says(world, 'undo'), /^1 .*"delete good", which can't be taken back/);
  await world.on(['save', 'kept']);
  t.match(await says(world, 'restore', 'kept'), /^0 restored .*\nthe tree was kept already\n$/);
  await world.sh('echo scratch > "$MNT/file"');
  t.match(await says(world, 'restore', 'kept', '--no-undo'), /\nwhat it was until now is given up/);
  t.match(await world.refused(['undo', '-C', world.mnt]), { code: 'cannot-undo' });
});

const noted = async (t: Test, world: World): Promise<void> => {
  await world.mount(['--no-base', 'mnt']);
  await world.sh('echo one > "$MNT/file"');
  const note = 'before the "big" change,\n\tünicode = ja';
  t.match(await says(world, 'save', 'a', '-m', ` ${note}\n`), /^0 saved/);
  await world.sh('echo "b note=\\"in one line\\"" > "$MNT/.control/save"');
  t.match(await says(world, 'save', 'c', '-m', 'first', '-m', 'second'), /^0 saved/);
  t.match(
    await says(world, 'snapshots'),
    / before the "big" change, ⏎ ünicode = ja\n.*in one line/,
  );
  const shown = (await world.sh('cat "$MNT/.control/snapshots"')).trim().split('\n');
  t.same(
    shown.map((line) => (JSON.parse(line) as { note: string }).note),
    [note, 'in one line', 'first\n\nsecond'],
  );
  t.match(await says(world, 'history'), /save +a .*big/);
  t.match(await says(world, 'save', 'd', '-m', ' \n'), /^2 .*note can't be kept: it is empty/);
  t.match(await says(world, 'save', 'd', '-m', 'x'.repeat(5000)), /^2 .*longer than 4096 bytes/);
  const main = `node ${world.checkout}/dist/cli/main.js`;
  await world.sh(`${main} send a -C "$MNT" | ${main} receive copy.volume`);
  const copied = await world.shadowfs(['snapshots', '--volume', world.path('copy.volume')]);
  t.equal((copied as { note?: string }).note, note);
};

const several = async (t: Test, world: World): Promise<void> => {
  await world.sh('mkdir base; echo one > base/file');
  await world.mount(['base', 'mnt']);
  const five = await says(world, 'status');
  const [mount, based, changed, schedule, space, problems] = five.split('\n');
  t.match(mount, /^0 mount: .*mnt, over .*base, volume /);
  t.match(based, /^based on: +the base directory.*\(0 snapshots\)/);
  t.match([changed, schedule].join(), /changed: +no,schedule: +none$/);
  t.match(space, /^space: +\S+ used, \S+ more allocated ahead, room for \S+$/);
  // A test machine's disk may be full enough for a warning.
  t.match(problems, /^problems: +(none|1)$/);
  for (const name of ['a', 'b', 'c', 'old-1', 'old-2']) {
    await world.sh(`echo ${name} > "$MNT/file"`);
    await world.on(['save', name]);
  }
  await world.sh('echo mine > "$MNT/file"');
  t.match(await says(world, 'status'), /based on: +old-2 .*5 snapshots\)\nchanged: +yes, \d+ file/);
  t.match(await says(world, 'status', '--all'), /volumePath: /);
  t.match(await world.on(['status']), {
    basedOn: { name: 'old-2' },
    isChanged: true,
    problems: [],
  });
  await world.on(['restore', 'old-2']);
  const names = async (...words: string[]): Promise<string> =>
    [...(await says(world, 'snapshots', ...words)).matchAll(/^(?:\d )?(\S+) +user/gm)]
      .map(([, name]) => name)
      .join();
  t.equal(await names('a..c', '--since', '1h'), 'a,b,c');
  t.equal(await names('-n', '2', '.'), 'old-2', 'and an undo snapshot; the mountpoint last');
  t.match(await says(world, 'snapshots', '--since', '2000-01-01 12:00Z', 'old-*'), /old-1.*\+/s);
  t.match(await says(world, 'snapshots', '--since', 'soon'), /^2 .*[Ee]xpected a time/);
  t.match(await says(world, 'snapshots', 'x*'), /^1 .*no snapshot matches "x\*"/);

  await world.on(['lock', 'b', 'the audit']);
  const plan = await says(world, 'delete', '-n', 'a..c', 'none', 'old-*', '--older-than', '0s');
  t.match(plan, /^1 would delete a\nwould delete c\nwould delete old-1\n/);
  t.match(plan, /would refuse: no snapshot "none".*\nwould refuse: snapshot b is locked:\n.*audit/);
  t.match(plan, /nothing would be deleted: all of them are, or none\n$/);
  t.match(
    await says(world, 'delete', 'a..c', 'none'),
    /^1 .*nothing was deleted, since 2 of 4 can't be:\nno snapshot "none".*\nsnapshot b is locked:\n.*the audit/s,
  );
  t.match(await says(world, 'delete', 'c..a'), /^1 .*c is newer than a \(a\.\.c\)/s);
  t.equal(await names(), 'a,b,c,old-1,old-2', 'all of them or none');
  const asked = async (words: string): Promise<object> => {
    const line = `exec 3<>"$MNT/.control/delete"; echo ${words} >&3 || :; cat <&3`;
    return JSON.parse(await world.sh(`${line} 2>/dev/null`)) as object;
  };
  t.match(await asked('names=b/old-1'), {
    ok: false,
    code: 'not-all-deleted',
    errno: 'EBUSY',
    deleted: [],
    refused: [{ name: 'b', code: 'snapshot-locked', locks: [{ origin: 'local' }] }],
  });
  t.match(await asked("'match=[ac]/old-2..' dry=yes"), {
    dryRun: true,
    deleted: ['a', 'c', 'old-2'],
  });
  t.match(await asked("'match=old-*/z*'"), { code: 'not-all-deleted', errno: 'ENOENT' });
  t.match(await asked('a names=b'), { code: 'bad-command-line' });
  t.match(
    await says(world, 'delete', '-n', 'a', 'c'),
    /^0 would delete a\nwould delete c\n2 snapshots would be deleted; \S+ would come free\n$/,
  );
  t.match(await says(world, 'delete', 'a', 'c'), /^0 deleted .* a\n.* c\ndeleted 2 snapshots\n/);
  t.equal(await names(), 'b,old-1,old-2');
  t.match(await asked("'match=old-1..old-1'"), { ok: true, deleted: ['old-1'] });
  t.match(await says(world, 'delete', '*', '--older-than', '30d'), /^0 deleted 0 snapshots/);
  t.match(await says(world, 'delete'), /^2 .*which snapshots/);

  t.match(await says(world, 'prune', '-n'), /^1 .*there is no schedule: which are to be kept/s);
  const pruning = await says(world, 'prune', '-n', '--keep', '1 daily', '*');
  t.match(
    pruning,
    /^0 KEPT +CREATED +WHY\nb .* locked .*\nold-2 .* the newest of all; newest of \d{4}-\d\d-\d\d, daily\n/,
  );
  t.match(pruning, /\n0 snapshots would be deleted, 2 kept by "keep 1 daily"\n$/);
  await world.on(['unlock', 'b']);
  t.match(
    await says(world, 'prune', '--keep', '1', 'b', 'old-*'),
    /^0 deleted 1 snapshot, kept 1\n/,
  );
  t.match(await says(world, 'undo'), /^1 .*last command was "prune"/s);
  t.match(await says(world, 'prune', '--keep', 'some'), /^2 .*expected how many of the newest/s);
  t.match(await says(world, 'prune', '--keep', '1', 'x*'), /^1 .*no snapshot matches "x\*"/);
  t.match(
    await says(world, 'snapshots', '--kind', 'user', '--until', '2000-01-01'),
    /^0 no such snapshots/,
  );
  t.match(await says(world, 'snapshots', '--kind', 'users'), /^2 .*did you mean user/);
  await world.on(['save', 'last']);
  t.match(await says(world, 'delete', '*', '--force'), /^0 .*deleted 2 snapshots/s);
  t.match(
    await says(world, 'snapshots', 'undo-*'),
    /^0 NAME.*\nundo-\S+Z +undo .*before restore old-2/,
  );

  t.match(
    await says(world, 'schedule', 'daily', 'at', '03:00,', 'keep', '7', 'daily'),
    /^0 .*daily at/,
  );
  t.match(
    await says(world, 'status'),
    /schedule: +daily at 03:00, keep 7 daily; next .* 03:00:00 /,
  );
  t.match(await says(world, 'schedule', 'daily', 'at', '3pm'), /^2 .*time of day/);
};

t.test('a note is shown everywhere, and travels', (t) =>
  inWorld(t, NOBODY, (world) => noted(t, world)),
);

t.test('many snapshots: status, lists, deleting, times of day', (t) =>
  inWorld(t, NOBODY, (world) => several(t, world)),
);
