/** Soft locks and schedules on a mount: from the command line, shells, Python and `.snapshots`. */
import t from 'tap';
import { asUser, eachIdentity, pause, type World } from './harness.js';

type Json = Record<string, unknown>;

const lines = (text: string): Json[] =>
  text
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Json);

const inControl = (world: World, script: string): Promise<string> =>
  world.sh(`cd "$MNT/.control"\n${script}`);

async function says(world: World, words: string[]): Promise<string> {
  const ran = await world.tryShadowfs(words, { cwd: world.mnt });
  return `${ran.status} ${ran.out}${ran.err}`;
}

async function mounted(world: World): Promise<void> {
  await world.sh('mkdir base; echo one > base/f');
  await world.mount(['base', 'mnt']);
  await world.on(['save', 'monday']);
  await world.sh('echo two > "$MNT/f"');
  await world.on(['save', 'tuesday']);
}

eachIdentity(t, 'a locked snapshot stays until it is unlocked or forced', async (t, world) => {
  await mounted(world);
  t.match(await says(world, ['locks']), /^0 no snapshot is locked/);
  t.match(
    await says(world, ['lock', 'monday', 'the audit']),
    /^0 locked snapshot monday: the audit/,
  );
  t.match(
    await says(world, ['locks']),
    /\nmonday +owner +the audit +- +local +(just now|\d+ seconds? ago) +-\n/,
  );
  t.match(await says(world, ['snapshots']), /\nmonday +user, locked [\s\S]*\ntuesday +user {2}/);
  t.match(
    await says(world, ['delete', 'monday']),
    /^1 .*monday is locked:\n +locked by hand: the audit \(set .*\)\n--force/,
  );
  t.match(await world.refused(['delete', 'monday', '-C', world.mnt]), {
    code: 'snapshot-locked',
    errno: 'EBUSY',
    locks: [{ snapshot: 'monday', text: 'the audit', origin: 'local', type: 'owner' }],
  });
  t.match((await world.trySh('rmdir "$MNT/.snapshots/monday"')).err, /resource busy/);
  await world.sh('mv "$MNT/.snapshots/monday" "$MNT/.snapshots/montag"');
  t.match((await world.trySh('echo montag > "$MNT/.control/delete"')).err, /resource busy/);
  await world.umount();
  t.match(await says(world, ['locks', '-C', world.path('base')]), /\nmontag +owner +the audit/);
  await world.mount(['base', 'mnt']);
  await world.crash();
  await world.mount(['base', 'mnt']);
  t.equal(await world.sh('cat "$MNT/.snapshots/montag/f"'), 'one\n');
  t.match((await world.trySh('rmdir "$MNT/.snapshots/montag"')).err, /resource busy/);
  t.match(await says(world, ['unlock', 'tuesday']), /^1 .*tuesday is not locked/);
  t.match(await says(world, ['unlock', 'montag']), /^0 unlocked snapshot montag/);
  await world.sh('rmdir "$MNT/.snapshots/montag"');
  await world.on(['lock', 'latest', 'by its link']);
  t.match(await says(world, ['delete', '--force', 'tuesday']), /^0 deleted snapshot tuesday/);
  t.match(await says(world, ['history', '-n', '1']), /delete +tuesday.*deleted by force/);
  t.match(await says(world, ['locks']), /^0 no snapshot is locked/);
  t.match(await says(world, ['unlock']), /^2 .*name of a snapshot, or --from/);
  t.match(await says(world, ['unlock', '--from', 'nobody']), /^1 .*no origin/);
  await world.check();
});

asUser(t, 'locks from a shell and from Python', async (t, world) => {
  await mounted(world);
  await inControl(world, 'echo \'monday reason="why not"\' > lock; echo tuesday reason=x > lock');
  t.match(lines(await inControl(world, 'cat locks')), [
    { snapshot: 'monday', text: 'why not', type: 'owner', lastHeardMs: null, broken: false },
    { snapshot: 'tuesday', text: 'x' },
  ]);
  const answers = await world.sh(`python3 - <<'END'
import errno, json, os
control = os.environ['MNT'] + '/.control/'
with open(control + 'delete', 'r+b', buffering=0) as f:
    try:
        f.write(b'monday\\n')
    except OSError as error:
        assert error.errno == errno.EBUSY
    f.seek(0)
    print(f.read().decode(), end='')
with open(control + 'unlock', 'r+b', buffering=0) as f:
    f.write(b'tuesday reason=x\\n')
    f.seek(0)
    print(f.read().decode(), end='')
with open(control + 'delete', 'r+b', buffering=0) as f:
    f.write(b'monday force=yes\\n')
    f.seek(0)
    print(f.read().decode(), end='')
END`);
  t.match(lines(answers), [
    { ok: false, code: 'snapshot-locked', locks: [{ text: 'why not', sinceMs: Number }] },
    { ok: true, command: 'unlock', releasedCount: 1 },
    { ok: true, command: 'delete', forced: true, locks: [{ text: 'why not' }] },
  ]);
  t.equal(await inControl(world, 'cat locks'), '');
  for (const [file, line] of [
    ['lock', 'tuesday'],
    ['lock', 'reason=x'],
    ['lock', 'tuesday reason=x force=yes'],
    ['unlock', ''],
    ['unlock', 'tuesday from=x'],
    ['delete', 'tuesday force=maybe'],
    ['schedule', ''],
    ['schedule', 'often'],
    ['schedule', 'every 10m'],
  ]) {
    const script = `cd "$MNT/.control"; exec 3<>${file}; echo '${line}' >&3; cat <&3`;
    const ran = await world.trySh(script);
    t.match(ran.err, /Invalid argument/, `${file} ${line}`);
    t.match(lines(ran.out), [{ ok: false, errno: 'EINVAL', expected: String, example: String }]);
  }
  await world.check();
});

const autos = async (world: World): Promise<string[]> =>
  lines(await inControl(world, 'cat snapshots'))
    .filter(({ kind }) => kind === 'auto')
    .map(({ name }) => String(name));

/** Waits until it holds; the machine may be busy. */
async function until(holds: () => Promise<boolean>): Promise<boolean> {
  for (let n = 0; n < 100; n++) {
    if (await holds()) return true;
    await pause(200);
  }
  return false;
}

asUser(t, 'a schedule saves what has changed, and prunes', async (t, world) => {
  await mounted(world);
  t.match(await says(world, ['schedule']), /^0 no schedule/);
  t.match(await says(world, ['schedule', 'every', '1x']), /^2 .*s, m, h, d or w is expected/);
  t.match(
    await says(world, ['schedule', 'every 1 second, keep 2 newest']),
    /^0 from now on: every 1s, keep 2 all/,
  );
  await pause(2500);
  t.same(await autos(world), [], 'nothing has changed since tuesday');
  t.match(await says(world, ['schedule']), /^0 every 1s.*\nnext: .*\nlast: .*nothing had changed/);
  await world.sh('echo three > "$MNT/f"');
  t.ok(await until(async () => (await autos(world)).length === 1), 'saved');
  const [first = ''] = await autos(world);
  t.match(first, /^auto-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/);
  t.equal(await world.sh(`cat "$MNT/.snapshots/latest/f"`), 'three\n');
  await world.on(['lock', first, 'evidence']);
  const change = async (): Promise<boolean> => {
    await world.sh('date +%N > "$MNT/f"');
    const status = await world.on(['status']);
    const { lastRun } = status['schedule'] as { lastRun: { locked: string[] } };
    return lastRun.locked.includes(first);
  };
  t.ok(await until(change), 'status names the locked one');
  const history = lines(await inControl(world, 'cat history'));
  t.match(
    history.find(({ command }) => command === 'prune'),
    { source: 'schedule', details: { locked: [first] } },
    'so does the history',
  );
  t.match(
    history.find(({ name }) => name === first),
    { command: 'save', source: 'schedule' },
  );
  await world.umount();
  await world.mount(['base', 'mnt']);
  await world.on(['unlock', first]);
  await world.sh('echo more > "$MNT/f"');
  // What is not kept goes one by one.
  const pruned = async (): Promise<boolean> => {
    const left = await autos(world);
    return left.length <= 2 && !left.includes(first);
  };
  t.ok(await until(pruned), 'it goes on after a mount');
  await inControl(world, 'echo off > schedule');
  const left = await autos(world);
  await world.sh('echo last > "$MNT/f"');
  await pause(2500);
  t.same(await autos(world), left, 'off');
  await inControl(world, `echo '"every 1h, keep 2 daily"' > schedule`);
  t.match(await world.on(['status']), { schedule: { text: 'every 1h, keep 2 daily' } });
  const names = lines(await inControl(world, 'cat snapshots')).map(({ name }) => name);
  t.ok(names.includes('monday') && names.includes('tuesday'), 'what people saved is not touched');
  await world.check();
});
