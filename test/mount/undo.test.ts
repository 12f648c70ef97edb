/** `undo` and the notes of snapshots, as a person meets them on a mount. */
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
  t.match(await says(world, 'undo'), /^0 went forward again to after "restore good"/);
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

t.test('a note is shown everywhere, and travels', (t) =>
  inWorld(t, NOBODY, (world) => noted(t, world)),
);
