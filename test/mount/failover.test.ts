/** A failover and the way back, on real mounts, the first volume over a base. */
import t from 'tap';
import { asUser, eachIdentity, pause, type World } from './harness.js';

const SHADOWFS = 'shadowfs() { node "$CLI" "$@"; }';

function line(world: World, script: string): Promise<string> {
  return world.sh(`CLI=${world.checkout}/dist/cli/main.js\n${SHADOWFS}\n${script}`);
}

eachIdentity(t, 'a base, its standby takes over, and back again', async (t, world) => {
  await world.sh(`mkdir -p base/src/deep base/gone copy; cd base
    for i in $(seq 20); do seq $i 3000 > src/f$i; seq $i > src/deep/g$i; echo $i > gone/h$i; done
    ln src/f1 hard; ln -s src/f2 link; setfattr -n user.color -v blue src/f3`);
  await world.mount(['base', 'mnt']);
  await world.mount(['--no-base', '--volume', world.path('b.volume'), 'copy']);
  const copy = world.path('copy');
  await world.on(['promote']);
  await world.shadowfs(['demote', '-C', copy]);
  await world.sh('echo first >> mnt/src/f4');
  await world.on(['save', 'one']);
  await line(world, 'shadowfs send one -C mnt | shadowfs receive copy');
  await world.sh('same_tree mnt copy');

  // The first is cut off, and goes on writing; the second takes over.
  await world.sh('echo unsent > mnt/unsent; echo unsent >> mnt/src/f5; echo same >> mnt/src/f20');
  t.match(await world.shadowfs(['promote', '-C', copy]), { role: 'primary', epoch: 1 });
  await world.sh(`cd copy; echo there >> src/f6; truncate -s 100 src/f7; mv src/deep moved
    echo below >> moved/g3; rm -r gone; ln src/f8 again; rm hard; echo new > new
    setfattr -x user.color src/f3; chmod 600 src/f9; mv src/f10 moved/`);
  await world.shadowfs(['save', 'two', '-C', copy]);

  // A writer, a reader and a working directory on the first.
  const writer = await world.start([
    'bash',
    '-c',
    `cd "$MNT/src"; exec 5>> f20; exec 6< f20
    touch ../../ready; until test -e ../../demoted; do sleep 0.1; done
    echo late 2> ../../said >&5; echo $? > ../../status; tail -n1 <&6 > ../../old; pwd > ../../cwd
    ls f1 > ../../listed; exec 5>&-; touch ../../over`,
  ]);
  writer.stderr?.resume();
  await world.sh('until test -e ready; do sleep 0.1; done');
  const demoted = await world.on(['demote', '--to', 'one']);
  t.match(demoted, { role: 'standby', snapshot: 'one', diverged: 'diverged-1' });
  await world.sh('touch demoted; until test -e over; do sleep 0.1; done');
  await world.sh(`test "$(cat status)" = 1; grep -qE 'Stale|Read-only|rror' said
    test "$(cat old)" = same; test "$(cat cwd)" = "$MNT/src"; test "$(cat listed)" = f1`);
  await world.sh(`test ! -e mnt/unsent; test "$(tail -n1 mnt/src/f5)" = 3000
    test "$(cat mnt/.snapshots/diverged-1/unsent)" = unsent`);
  t.match(await world.trySh('echo x > mnt/x'), { status: 1, err: /Read-only/ });
  await line(world, 'shadowfs send -i one two -C copy | shadowfs receive mnt');
  await world.sh('same_tree copy mnt');

  // And back.
  await world.shadowfs(['demote', '-C', copy]);
  t.match(await world.on(['promote', '--epoch', '2']), { role: 'primary', epoch: 2 });
  await world.sh('echo again > mnt/home; echo more >> mnt/moved/g3; rm mnt/src/f11');
  await world.on(['save', 'three']);
  await line(world, 'shadowfs send -i two three -C mnt | shadowfs receive copy');
  await world.sh('same_tree mnt copy; test "$(cat mnt/.snapshots/diverged-1/unsent)" = unsent');
});

/** Until the process that serves the mount has ended. */
async function untilGone(world: World): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await world.trySh('ls mnt/.')).status !== 0) return;
    await pause(50);
  }
}

asUser(t, 'a crash at each step of a change of role', async (t, world) => {
  const before = (command: string): string => (command === 'promote' ? 'standby' : 'primary');
  const after = (command: string): string => (command === 'promote' ? 'primary' : 'standby');
  await world.mount(['--no-base', '--volume', world.path('v'), 'mnt']);
  await world.on(['promote']);
  await world.sh('echo sent > mnt/f');
  await world.on(['save', 'one']);
  for (const command of ['demote', 'promote']) {
    for (const step of ['role:switched', 'role:stored']) {
      if (command === 'demote') await world.sh('echo unsent > mnt/f');
      await world.umount();
      world.env = { SHADOWFS_FAILPOINT: step };
      await world.mount(['--no-base', '--volume', world.path('v'), 'mnt']);
      world.env = {};
      await world.tryShadowfs([command, '-C', world.mnt]);
      await untilGone(world);
      await world.mount(['--no-base', '--volume', world.path('v'), 'mnt']);
      const role = (await world.on(['role']))['role'];
      const isDone = step === 'role:stored';
      t.equal(role, isDone ? after(command) : before(command), `${command}, killed at ${step}`);
      await world.check();
      if (command === 'demote') {
        const shown = await world.sh('cat mnt/f');
        t.equal(shown, isDone ? 'sent\n' : 'unsent\n');
      }
      await world.on([command]);
      t.equal((await world.on(['role']))['role'], after(command), 'given again');
      if (command === 'demote') t.equal(await world.sh('cat mnt/f'), 'sent\n');
      await world.on([command === 'demote' ? 'promote' : 'demote']);
    }
    if (command === 'demote') await world.on(['demote']);
  }
});
