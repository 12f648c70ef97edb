/** Merges as a person meets them on a mount (format.md, rules M1–M7). */
import t from 'tap';
import { asUser, eachIdentity, isNative, pause, type World } from './harness.js';

/** The exit code, and what a person reads. */
async function says(world: World, ...words: string[]): Promise<string> {
  const { status, out, err } = await world.tryShadowfs(words, { cwd: world.mnt });
  return `${status} ${out}${err}`;
}

const LOOK = `cd "$MNT"; find . -type f | LC_ALL=C sort | xargs grep -H .`;

/** A branch \`try\` and the tree have each changed something; the file \`both\` at different ends. */
async function part(world: World, name = 'base', options: string[] = []): Promise<void> {
  await world.sh(`mkdir -p ${name}/d; cd ${name}; seq 8 > both; seq 3 > there; echo x > gone
    echo y > d/y`);
  await world.mount([...options, '--volume', `${name}.volume`, name, 'mnt']);
  await world.sh(`cd "$MNT"; echo try > .control/branch; echo try > .control/switch
    sed -i 's/8/8 there/' both; echo more >> there; rm gone; mkdir new; echo n > new/n; mv d/y moved
    echo main > .control/switch
    sed -i 's/1/1 here/' both; echo own > own; echo 'y here' > d/y`);
}

eachIdentity(t, 'a branch comes into the tree, and goes again', async (t, world) => {
  await part(world);
  const before = await world.sh(LOOK);
  const plan = await says(world, 'merge', '-n', 'try');
  t.match(plan, /^1 - gone +2\n.*d\/y -> moved.*\n\+ new\/\n.*conflict: both: content/s);
  const refused = await says(world, 'merge', 'try');
  t.match(refused, /^1 .*1 file is in conflict with branch try; nothing was changed:\n/);
  t.equal(await world.sh(LOOK), before);
  const [, theirs = ''] = /both: both changed its content \(theirs: (.*)\)/.exec(refused) ?? [];
  t.match(await world.sh(`cat "$MNT/${theirs}"`), /^1\n.*8 there\n$/s, 'a path that can be opened');
  t.match(await says(world, 'merge', '--text', 'try'), /^0 merged try: .*\n.*shadowfs undo/);
  const merged = await world.sh(LOOK);
  t.match(
    merged,
    /^\.\/both:1 here\n.*both:8 there\n.*moved:y here\n.*new\/n:n\n.*own:own\n.*there:more\n$/s,
  );
  t.notMatch(merged, /gone/);
  t.match(await says(world, 'branches'), /\ntry .* into main /);
  t.match(await says(world, 'merge', 'try'), /^0 everything that try has done is here/);
  t.match(await says(world, 'undo'), /^0 took back "merge try"/);
  t.equal(await world.sh(LOOK), before);
  t.equal(await world.sh(`echo forward > "$MNT/.control/undo"; ${LOOK}`), merged);
  t.equal(await world.sh(`echo back > "$MNT/.control/undo"; ${LOOK}`), before);
  const answer = await world.on(['merge', '--theirs', 'try']);
  t.match(answer, { ok: true, outcome: 'merged', conflictCount: 1 });
  t.match(await world.sh('cat "$MNT/both"'), /^1\n.*8 there\n$/s);
  await world.on(['restore', String(answer['undo'])]);
  t.equal(await world.sh(LOOK), before, 'and one restore takes it back, too');
  t.match(await world.sh('cd "$MNT"; echo try ours=yes > .control/merge; cat both own'), /1 here/);
  t.match(await says(world, 'merge', 'tri'), /^1 .*no branch "tri"; did you mean try/);
  t.match(await says(world, 'merge', 'main'), /^1 .*this mount shows main itself/);
  t.match(await says(world, 'merge', '--ours', '--theirs', 'try'), /^2 /);
  await world.check();
});

asUser(t, 'open and mapped files, and those that go, across a merge', async (t, world) => {
  await part(world);
  const seen = await world.sh(`cd "$MNT"; python3 - <<'END'
import mmap, os, subprocess
there, gone, own = open('there'), open('gone'), open('own', 'r+')
mapped = mmap.mmap(there.fileno(), 0, prot=mmap.PROT_READ)
before = mapped[:]
hidden = open('hidden', 'w+')
os.unlink('hidden')
hidden.write('kept'); hidden.flush()
subprocess.run('echo try ours=yes > .control/merge', shell=True, check=True)
assert mapped[:] == before, 'the old version stays whole'
assert gone.read() == 'x\\n'
assert not os.path.exists('gone') and os.path.exists('new/n')
hidden.write(' on'); hidden.flush(); hidden.seek(0)
assert hidden.read() == 'kept on'
own.write('more'); own.flush()
END
tail -n 1 there; cat own`);
  t.equal(seen, 'more\nmore');
  await world.check();
});

asUser(t, 'what programs write during a merge is neither lost nor mixed up', async (t, world) => {
  await world.mount(['--volume', 'volume', 'mnt']);
  await world.sh(`cd "$MNT"; seq 2000 > f; echo try > .control/branch; echo try > .control/switch
    mkdir many; cd many; seq 300 | split -a 4 -l 1 -; cd ..
    echo main > .control/switch; echo own > own`);
  const writers = [1, 2].map((n) =>
    world.sh(`cd "$MNT"; i=0
      while [ ! -e "$WORLD/stop" ]; do echo $i >> log${n}; i=$((i+1)); done; echo $i > "$WORLD/count${n}"`),
  );
  await pause(200);
  const answer = await world.on(['merge', 'try']);
  await pause(100);
  await world.sh('touch stop');
  await Promise.all(writers);
  t.match(answer, { ok: true, summary: { added: 301 } });
  t.equal(await world.sh('ls "$MNT/many" | wc -l'), '300\n');
  for (const n of [1, 2]) {
    const wanted = await world.sh(
      `seq 0 $(($(cat count${n}) - 1)) | cmp - "$MNT/log${n}" && echo same`,
    );
    t.equal(wanted, 'same\n', 'every line, in order');
  }
  t.match(await world.on(['undo']), { ok: true });
  t.equal(await world.sh('ls "$MNT"'), 'f\nlog1\nlog2\nown\n');
  await world.check();
});

asUser(t, 'without git, lines are merged by diff3, or by nobody', async (t, world) => {
  await world.sh(`for tool in diff3 none; do mkdir bin-$tool
    for d in $(echo $PATH | tr : ' '); do ln -s $d/* bin-$tool 2> /dev/null || true; done
    for other in git diff3; do [ $other = $tool ] || rm -f bin-$tool/$other; done; done`);
  for (const tool of ['diff3', 'none']) {
    await part(world, tool);
    await world.umount();
    await world.mount([tool, 'mnt'], { env: { PATH: world.path(`bin-${tool}`) } });
    const said = await says(world, 'merge', '--text', 'try');
    if (tool === 'none') t.match(said, /^1 .*git or by diff3/s);
    else t.match(await world.sh('cat "$MNT/both"'), /^1 here\n.*8 there\n$/s, tool);
    await world.umount();
  }
});

const STEPS = ['sealed', 'names', 'staged', 'adopted'];

asUser(t, 'cut off at any step, a merge is done wholly or not at all', async (t, world) => {
  await part(world);
  const before = await world.sh(LOOK);
  await world.umount();
  for (const step of STEPS) {
    await world.mount(['base', 'mnt'], { env: { SHADOWFS_FAILPOINT: `merge:${step}` } });
    t.equal(await world.sh(LOOK), before, `before ${step}`);
    const { status } = await world.trySh('cd "$MNT"; echo try ours=yes > .control/merge');
    t.not(status, 0, step);
  }
  await world.sh('manifest base > before');
  // Between the two halves: the merge is there, and undo takes it back.
  await world.mount(['base', 'mnt'], { env: { SHADOWFS_FAILPOINT: 'apply:stored' } });
  t.equal(await world.sh(LOOK), before);
  t.notMatch(await says(world, 'merge', '--apply', '--text', 'try'), /^0/);
  await world.mount(['base', 'mnt']);
  await world.sh('same_manifest before base');
  t.match(await world.sh(LOOK), /new\/n:n/);
  t.match(await says(world, 'undo'), /^0 took back "merge try"/);
  t.equal(await world.sh(LOOK), before);
  t.match(await world.on(['merge', '--text', '--apply', 'try']), { ok: true });
  const merged = await world.sh(LOOK);
  await world.sh('manifest base > applied');
  await world.check();
  await world.umount();
  await world.mount(['base', 'mnt'], { env: { SHADOWFS_FAILPOINT: 'apply:step' } });
  // The undo of both: the base is what it was, and undo goes on from there.
  t.notMatch(await says(world, 'undo'), /^0/);
  await world.mount(['base', 'mnt']);
  await world.sh('same_manifest before base');
  t.equal(await world.sh(LOOK), merged);
  t.match(await says(world, 'undo'), /^0 did "apply .* again/);
  await world.sh('same_manifest applied base');
  t.match(await says(world, 'undo'), /^0 took back "apply .*"merge try"/);
  await world.sh('same_manifest before base');
  t.equal(await world.sh(LOOK), before);
});

asUser(t, 'a branch is applied to the base while the mount shows another', async (t, world) => {
  await part(world);
  await world.sh('manifest base > before');
  await world.on(['save', 'start']);
  const tree = await world.sh(LOOK);
  t.match(await says(world, 'apply', '-n', '--branch', 'try'), /^0 .*both.*- gone/s);
  t.match(await says(world, 'apply', '--branch', 'tri'), /^1 .*did you mean try/);
  t.match(await says(world, 'apply', '--branch', 'try', '--theirs'), /^2 /);
  t.match(await says(world, 'apply', '--branch', 'try'), /^0 applied: /);
  t.equal(await world.sh(LOOK), tree, 'the tree of the mount is what it was');
  t.match(await world.sh('cat base/both base/new/n base/moved'), /8 there\nn\ny\n$/);
  await world.sh('test ! -e base/gone; cmp "$MNT/.snapshots/start/gone" "$MNT/gone"');
  await says(world, 'switch', 'try');
  await world.sh('same_tree base "$MNT"');
  await says(world, 'switch', 'main');
  t.match(await says(world, 'undo'), /^0 took back/);
  await world.sh('same_manifest before base');
  t.equal(await world.sh(LOOK), tree);
  await world.check();
});

asUser(t, 'a merge and its apply are one command, and one undo', async (t, world) => {
  await part(world);
  await world.sh('manifest base > before; echo mine > "$MNT/unapplied"');
  const tree = await world.sh(LOOK);
  const said = await says(world, 'merge', '--apply', '--text', 'try');
  t.match(said, /^0 merged try: .*\napplied: /);
  t.match(await world.sh('cat base/both base/new/n base/moved'), /8 there\nn\ny here\n$/);
  await world.sh('test ! -e base/gone; test ! -e base/unapplied');
  const merged = await world.sh(LOOK);
  t.match(await says(world, 'undo'), /^0 took back/);
  await world.sh('same_manifest before base');
  t.equal(await world.sh(LOOK), tree, 'one undo takes back both');
  t.match(await says(world, 'undo'), /^0 /);
  t.equal(await world.sh(LOOK), merged);
  t.match(await world.sh('cat base/new/n'), /^n$/m, 'and forward again');
  await says(world, 'undo');
  await world.sh('echo others > base/there; manifest base > before');
  t.match(await says(world, 'merge', '--apply', '--text', 'try'), /^1 .*there/s);
  await world.sh('same_manifest before base');
  t.equal(await world.sh(LOOK), tree, 'what can not be applied is not merged');
  await world.check();
});

asUser(t, 'a mount that takes no changes refuses', async (t, world) => {
  await part(world);
  await world.umount();
  await world.mount(['--ro', 'base', 'mnt']);
  t.match(await says(world, 'merge', 'try'), /^1 .*read-only/);
  t.match(await says(world, 'merge', '-n', 'try'), /^1 - gone/, 'but says what it would do');
});

if (!isNative) {
  asUser(t, 'the other driver merges, too', async (t, world) => {
    await part(world, 'base', ['--driver', 'fuse-native']);
    t.match(await says(world, 'merge', '--text', 'try'), /^0 merged try/);
    t.match(await world.sh(LOOK), /both:1 here\n.*both:8 there\n.*new\/n:n/s);
    t.match(await says(world, 'undo'), /^0 took back/);
    await world.check();
  });
}
