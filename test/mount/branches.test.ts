/** Branches as a person meets them on a mount: forked, shown in turn, deleted, remembered. */
import t from 'tap';
import { asUser, eachIdentity, pause, type World } from './harness.js';

/** The exit code, and what a person reads. */
async function says(world: World, ...words: string[]): Promise<string> {
  const { status, out, err } = await world.tryShadowfs(words, { cwd: world.mnt });
  return `${status} ${out}${err}`;
}

eachIdentity(t, 'a branch is tried, left, come back to and dropped', async (t, world) => {
  await world.sh('mkdir -p base/d; echo one > base/f; manifest base > before');
  await world.mount(['--volume', 'volume', 'base', 'mnt']);
  await world.on(['save', 'start']);
  await world.sh('echo two > "$MNT/f"');
  t.match(await says(world, 'branch', 'try'), /^0 made branch try of the tree of main/);
  t.match(await says(world, 'branch', 'old', 'start'), /^0 made branch old of snapshot start/);
  await world.sh('echo three > "$MNT/f"');
  t.match(await says(world, 'switch', 'try'), /^0 .*mnt shows branch try now.*\nto go back: /);
  t.equal(await world.sh('cat "$MNT/f"'), 'two\n', 'frozen at the fork');
  await world.sh('echo tried > "$MNT/f"; rm -r "$MNT/d"; echo new > "$MNT/new"');
  t.equal(
    await says(world, 'diff', '--branch', 'try'),
    '0 - d/\nM f (content, times)\n+ new\n',
    'what main wrote later is not among it',
  );
  t.match(await says(world, 'save', 'tried'), /^0 saved/);
  t.match(await says(world, 'status'), /^0 mount: .*, branch try\nbased on: +tried/);
  t.match(
    await says(world, 'branches'),
    /\nmain .*\nold +snapshot start .*0 files.*\ntry +the tree of main .*\d files.*mnt\n/,
  );
  t.match(await says(world, 'snapshots'), /\nstart .* main .*\ntried .* try /);
  await says(world, 'switch', 'main');
  t.equal(
    await world.sh('cd "$MNT"; cat f; ls; readlink .snapshots/latest'),
    'three\nd\nf\nstart\n',
  );
  t.equal(
    await world.sh('cat "$MNT/.snapshots/tried/new"'),
    'new\n',
    'snapshots are of the volume',
  );
  t.match(await says(world, 'restore', 'tried'), /^0 restored/);
  t.equal(await world.sh('cat "$MNT/f"'), 'tried\n', 'and can be restored on any branch');
  t.match(await says(world, 'undo'), /^0 took back/);
  await says(world, 'switch', 'old');
  await world.sh('same_manifest before "$MNT"; echo unsaved > "$MNT/f"');
  const patch = await says(world, 'diff', '-p', '--branch', 'try', 'f', 'new');
  t.match(patch, /^0 .*\n-two\n\+tried\n.*\n\+new\n$/s, 'of a branch that no mount shows');
  t.match(await says(world, 'diff', '--stat', '--branch', 'old', 'f'), /^0 {2}f +\| 2 \+-\n/);
  t.match(await says(world, 'diff', '--branch', 'main'), /^2 .*main is forked from nothing/);
  await world.umount();
  const last = await world.shadowfs(['branches', '--volume', world.path('volume')]);
  t.match(
    last,
    { name: 'try', forkedFrom: { branch: 'main' }, mountpoint: null },
    'without a mount, too',
  );
  await world.mount(['base', 'mnt']);
  t.equal(await world.sh('cat "$MNT/f"'), 'unsaved\n', 'the mount shows the branch it showed last');
  await world.umount();
  await world.mount(['--branch', 'main', 'base', 'mnt']);
  t.equal(await world.sh('cat "$MNT/f"'), 'three\n');
  const dropped = await says(world, 'branch', '--delete', 'old');
  t.match(dropped, /^0 deleted branch old\nwhat it held is kept as undo-/);
  t.equal(await world.sh('cat "$MNT"/.snapshots/undo-*/f | tail -n 1'), 'unsaved\n');
  t.match(await says(world, 'branch', '--rename', 'try', 'kept'), /^0 renamed branch try to kept/);
  t.match(await says(world, 'snapshots', 'tried'), /\ntried .* kept /);
  await world.sh('same_manifest before base');
});

asUser(
  t,
  'what a mount is asked about its tree is about the branch that it shows',
  async (t, world) => {
    await world.sh('mkdir base; echo base > base/f');
    await world.mount(['--volume', 'volume', 'base', 'mnt']);
    await world.sh('echo one > "$MNT/f"');
    await world.on(['save', 'start']);
    await says(world, 'branch', 'try');
    await world.sh('echo main > "$MNT/f"; echo main > "$MNT/of-main"');
    await world.on(['save', 'on-main']);
    await says(world, 'switch', 'try');
    await world.sh('echo tried > "$MNT/f"');
    await world.on(['save', 'on-try']);
    await world.sh('echo more >> "$MNT/f"; echo new > "$MNT/of-try"');
    const fields = async (list: string, name: string, ...words: string[]): Promise<unknown[]> => {
      const answer = await world.shadowfs([...words, '-C', world.mnt]);
      return (answer[list] as Record<string, unknown>[]).map((line) => line[name]);
    };
    t.same(await fields('changes', 'path', 'diff', 'start'), ['f', 'of-try']);
    t.same(await fields('items', 'path', 'apply', '-n'), ['f', 'of-try']);
    t.same(await fields('entries', 'name', 'log', 'f'), ['start', 'on-try', null]);
    t.same(
      await fields('versions', 'isLive', 'versions', 'f'),
      [true, false, false, false],
      'newest first',
    );
    t.match(await says(world, 'log', 'of-main'), /^1 .*neither the tree nor a snapshot/);
    await says(world, 'switch', 'main');
    t.same(await fields('entries', 'name', 'log', 'f'), ['start', 'on-main']);
    t.same(await fields('changes', 'path', 'diff', 'start'), ['f', 'of-main']);
    await says(world, 'switch', 'try');
    await world.umount();
    const offline = await world.shadowfs(['status', '--volume', world.path('volume')]);
    t.match(offline, { branch: 'try', latest: 'on-try' });
  },
);

asUser(t, 'what is not possible says why and changes nothing', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  await world.on(['save', 'both']);
  await world.on(['branch', 'both']);
  const code = async (...words: string[]): Promise<string> => {
    const { code } = (await world.refused([...words, '-C', world.mnt])) as { code: string };
    return code;
  };
  t.equal(await code('branch', 'both'), 'branch-exists');
  t.equal(await code('branch', 'a/b'), 'bad-branch-name');
  t.equal(await code('branch', 'x', 'both'), 'ambiguous-name');
  t.equal(await code('branch', 'x', 'nope'), 'no-such-snapshot');
  t.equal(await code('switch', 'nope'), 'no-such-branch');
  t.equal(await code('switch', 'main'), 'branch-in-use');
  t.equal(await code('branch', '--delete', 'main'), 'branch-in-use');
  t.match(await says(world, 'switch', 'botj'), /^1 .*did you mean both\?/);
  t.match(await says(world, 'branch', '--rename', 'both'), /^2 /);
  t.match(await says(world, 'branch', 'x', 'both', '--snapshot', 'both'), /^2 /);
  t.match(await says(world, 'branch', 'x', '--snapshot', 'both'), /^0 /);
  await world.umount();
  const refused = await world.tryShadowfs(['mount', '--no-base', '--branch', 'nope', world.mnt]);
  t.match(refused.err, /no branch "nope"/);
  const fresh = ['mount', '--no-base', '--branch', 'b', '--volume', world.path('new'), world.mnt];
  t.match((await world.tryShadowfs(fresh)).err, /no branch b: the volume is new/);
  t.equal(await world.sh('ls -d new 2> /dev/null || true'), '', 'and none is made');
});

asUser(t, 'programs keep their place through a switch', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  await world.sh('mkdir "$MNT/d"; echo one > "$MNT/d/f"; seq 100000 > "$MNT/same"');
  await world.on(['branch', 'dev']);
  await world.sh('echo changed > "$MNT/d/f"');
  const read = await world.sh(`
    cd "$MNT/d"; exec 3< f 4< ../same
    echo dev > ../.control/switch
    cat f; cat <&3; pwd | sed 's,.*/,,'; wc -l <&4
    echo main > ../.control/switch; cat f`);
  t.equal(read, 'one\nchanged\nd\n100000\nchanged\n');
});

const MB = 1_000_000;

asUser(t, 'dropping nine branches of ten gives their space back', async (t, world) => {
  const used = async (): Promise<number> => {
    for (;;) {
      const { usedBytes, openGroupBytes, isWriting } = await world.shadowfs(['status', 'mnt']);
      if (openGroupBytes === 0 && isWriting === false) return Number(usedBytes);
      await pause(100);
    }
  };
  await world.mount(['--no-base', 'mnt']);
  await world.sh('head -c 3000000 /dev/urandom > "$MNT/all"');
  const before = await used();
  await world.sh(`cd "$MNT"
    for n in $(seq 10); do
      echo b$n > .control/branch; echo b$n > .control/switch
      head -c 2000000 /dev/urandom > own; head -c 500000 /dev/urandom | dd of=all conv=notrunc status=none
      sha256sum all own > ../sums.$n
      echo main > .control/switch
    done`);
  const own = (await used()) - before;
  t.ok(own > 25 * MB && own < 30 * MB, `${own} bytes for ten times 2.5 MB`);
  for (const n of [1, 2, 3, 4, 5, 6, 7, 9, 10]) await world.on(['branch', '--delete', `b${n}`]);
  t.ok((await used()) > before + 25 * MB, 'what they held stays as snapshots');
  await world.on(['delete', 'undo-*', '--yes']);
  let left = 0;
  for (let waited = 0; waited < 100; waited++) {
    left = (await used()) - before;
    if (left < 3.2 * MB) break;
    await pause(100);
  }
  t.ok(left > 2.4 * MB && left < 3.2 * MB, `${left} bytes are left`);
  await world.on(['switch', 'b8']);
  await world.sh('cd "$MNT"; sha256sum --quiet -c ../sums.8');
});
