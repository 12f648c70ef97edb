/** `space` as a user meets it: the figures, and the disk that a deletion gives back. */
import t from 'tap';
import { type Answer, asUser, pause, type World } from './harness.js';

const MIB = 1024 * 1024;
const COLLECT_MAX_MS = 15_000;

async function says(world: World, ...words: string[]): Promise<string> {
  const { status, out, err } = await world.tryShadowfs([...words, '-C', world.mnt]);
  return `${status} ${out}${err}`;
}

/** The figures, when nothing is left to be freed. */
async function settled(world: World): Promise<Answer> {
  for (let leftMs = COLLECT_MAX_MS; ; leftMs -= 100) {
    const answer = await world.on(['space']);
    if (answer['pendingBytes'] === 0 || leftMs <= 0) return answer;
    await pause(100);
  }
}

function figureOf(answer: Answer, list: string, name: string, figure: string): number {
  const lines = answer[list] as Record<string, unknown>[];
  return Number(lines.find((line) => line['name'] === name)?.[figure]);
}

asUser(t, 'space says what a deletion gives back', async (t, world) => {
  await world.mount(['--no-base', '--volume', 'volume', 'mnt']);
  await world.sh('cd "$MNT"; mkdir d; for i in 1 2 3; do head -c 1M /dev/urandom > d/f$i; done');
  await world.on(['save', 'one']);
  await world.sh('cd "$MNT"; rm d/f1; mv d e; head -c 1M /dev/urandom > e/f2');
  await world.on(['save', 'two']);
  await world.on(['save', 'three']);
  await world.sh('cd "$MNT"; rm e/f2; echo live > now');
  await world.on(['branch', 'side']);
  const before = await settled(world);
  const only = (name: string): number => figureOf(before, 'bySnapshot', name, 'onlyBytes');
  t.ok(only('one') > 2 * MIB && only('one') < 2.4 * MIB, `only in one: ${only('one')}`);
  t.ok(only('two') < 10_000 && only('three') < 10_000, 'two and three hold f2 together');
  t.ok(figureOf(before, 'bySnapshot', 'two', 'sharedBytes') > MIB);
  t.ok(figureOf(before, 'bySnapshot', 'one', 'referencedBytes') > 3 * MIB);
  const sum = Object.entries(before)
    .filter(([name]) => /^(live|branch|snapshot|kept|incoming|pending|index)Bytes$/.test(name))
    .reduce((total, [, bytes]) => total + Number(bytes), 0);
  t.equal(sum, before['usedBytes'], 'the whole adds up');

  const listed = await says(world, 'snapshots', '--space');
  t.match(listed, /^0 NAME .* AGE +ONLY IT +LAYER .*\none .* ago +2\.\dM +\d+ /);
  t.match(await world.on(['snapshots', '--space', 'one']), { onlyBytes: only('one') });
  t.match(await says(world, 'branches', '--space'), /WRITTEN SINCE +ONLY IT .*\nside .* \d/s);

  const both = (await world.on(['space', 'two..three']))['together'] as Answer;
  t.ok(Number(both['freedBytes']) > MIB, 'more than the sum');
  t.same(both['snapshots'], ['two', 'three']);
  const files = await world.on(['space', '--files', '-n', '2', 'one']);
  t.match(files['largestFiles'], [{ path: /^d\/f[12]$/, snapshot: 'one' }, {}]);
  const table = await says(world, 'space', 't*', 'side');
  t.match(
    table,
    /^0 NAME +KIND +AGE +ONLY IT +SHARED +REFERENCED\ntwo +user .*\nthree .*\nside +branch/,
  );
  t.match(table, /deleting 2 snapshots and 1 branch gives back 1\.\dM \(\d+ bytes\)\nthe undo-…/);
  t.match(
    await says(world, 'space', 'main'),
    /\nnothing but main holds [\d.]+\w? \(\d+ bytes\)\n$/,
    'nobody can delete that one',
  );
  await world.on(['lock', 'two', 'needed']);
  t.match(await says(world, 'space', '*'), /two +user, locked .*1 snapshot of them locked/s);
  await world.on(['unlock', 'two']);

  // Asked while it is being deleted, then when it has gone.
  const freed = Number(
    ((await world.on(['space', 'one', 'two', 'three']))['together'] as Answer)['freedBytes'],
  );
  await world.on(['delete', 'one', 'two', 'three']);
  t.match(await world.on(['space']), { ok: true, bySnapshot: [] });
  const after = await settled(world);
  const given = Number(before['usedBytes']) - Number(after['usedBytes']);
  t.ok(Math.abs(given - freed) < 128 * 1024, `${given} bytes came free, ${freed} were promised`);
});

asUser(t, 'space by the control file, unmounted, and what it refuses', async (t, world) => {
  await world.sh('mkdir base; echo base > base/file');
  await world.mount(['base', 'mnt']);
  await world.sh('head -c 100000 /dev/urandom > "$MNT/file"');
  await world.on(['save', 'first save']);
  await world.on(['branch', 'side']);
  await world.sh('rm "$MNT/file"');
  const script = `exec 3<>.control/space; echo '"first save" files=1' >&3; cat <&3`;
  const answer = JSON.parse(await world.sh(`cd "$MNT"; ${script}`)) as Answer;
  t.match(answer, {
    ok: true,
    command: 'space',
    together: { snapshots: ['first save'], branches: [] },
    largestFiles: [],
  });
  t.equal(figureOf(answer, 'bySnapshot', 'first save', 'onlyBytes'), 0, 'the branch has it, too');
  t.match(await world.on(['space', '--files', 'first save', 'side']), {
    together: { branches: ['side'] },
    largestFiles: [{ path: 'file' }],
  });
  t.match(
    await says(world, 'space', 'first sav'),
    /^1 .*no snapshot or branch "first sav"; did you/,
  );
  t.match(await says(world, 'space', 'no*'), /^1 .*no snapshot matches "no\*"/);
  t.match(await says(world, 'space', '--branch', 'sid'), /^1 .*no branch "sid".*side/);
  t.match(await says(world, 'space', '--files'), /^2 .*--files: the names/);
  t.match(await says(world, 'space', '-n', '3'), /^2 .*-n goes with --files/);
  t.match(await world.refused(['space', 'x', '-C', world.mnt]), { code: 'no-such-snapshot' });
  const mounted = await world.on(['space']);
  await world.umount();
  const { timings: _none, ...unmounted } = await world.shadowfs(['space', 'base']);
  t.match(unmounted, { ok: true, command: 'space', liveBranch: 'main', isExact: true });
  for (const name of ['snapshotBytes', 'branchBytes', 'liveBytes', 'bySnapshot', 'byBranch']) {
    t.same(unmounted[name], mounted[name], name);
  }
  t.match(await world.refused(['space', 'nope', '-C', world.path('base')]), {
    code: 'no-such-snapshot',
  });
  await world.mount(['base', 'mnt']);
});
