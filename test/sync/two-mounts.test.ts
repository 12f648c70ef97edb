/**
 * Two paired mounts: a standby that follows, a failover, and the way back, step by step as in the
 * figures 15B, 15C and 15D; soft locks on the way.
 */
import t from 'tap';
import { Volume } from '../../src/volume/volume.js';
import { asUser, type Answer, pause, type World } from '../mount/harness.js';

const WAIT_MS = 30_000;

/** Asks until it is as wanted; the last answer is told when it never is. */
async function when<A>(
  what: string,
  ask: () => Promise<A>,
  isIt: (answer: A) => boolean,
): Promise<A> {
  let answer: A | undefined;
  for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += 100) {
    answer = await ask();
    if (isIt(answer)) return answer;
    await pause(100);
  }
  throw new Error(`${what}: ${JSON.stringify(answer)}`);
}

const on = (world: World, name: string, ...words: string[]): Promise<Answer> =>
  world.shadowfs([...words, '-C', world.path(name)]);

/** The state of the sync; its exit code says whether something is wrong. */
async function syncOf(world: World, name: string): Promise<Answer & { exit: number | null }> {
  const ran = await world.tryShadowfs(['sync', '--json', '-C', world.path(name)]);
  return { ...(JSON.parse(ran.out) as Answer), exit: ran.status };
}

const mount = (world: World, name: string): Promise<Answer> =>
  world.mount(['--no-base', '--volume', world.path(`v${name}`), world.path(name)]);

async function paired(world: World): Promise<void> {
  world.env = { SHADOWFS_PEER_PAUSE_MS: '1000' };
  await world.sh('mkdir a b');
  for (const name of ['a', 'b']) await mount(world, name);
  const words = ['peer', 'invite', world.path('a'), '--listen', '127.0.0.1:0', '--name', 'b'];
  const { token } = await world.shadowfs(words);
  await world.shadowfs(['peer', 'join', String(token), world.path('b'), '--name', 'a']);
  await roleIs(world, 'a', 'primary');
  await roleIs(world, 'b', 'standby');
}

const roleIs = (world: World, name: string, role: string): Promise<Answer> =>
  when(
    `${name} is ${role}`,
    () => on(world, name, 'role'),
    (answer) => answer['role'] === role,
  );

async function snapshotsOf(world: World, name: string): Promise<string[]> {
  const ran = await world.trySh(`ls ${name}/.snapshots`);
  return ran.out.split('\n').filter((line) => line !== '');
}

/** The standby has the snapshot, and shows it. */
async function arrived(world: World, name: string, snapshot: string): Promise<void> {
  await when(
    `${name} has ${snapshot}`,
    () => snapshotsOf(world, name),
    (names) => names.includes(snapshot),
  );
}

async function same(world: World): Promise<void> {
  await when(
    'the trees are equal',
    () => world.trySh('same_tree a b'),
    ({ status }) => status === 0,
  );
}

interface Lock {
  snapshot: string;
  type: string;
  text: string;
}

async function locksOf(world: World, name: string): Promise<Lock[]> {
  const ran = await world.tryShadowfs(['locks', '--json', '-C', world.path(name)]);
  return ran.out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Lock);
}

asUser(t, 'a standby follows, takes over, and gives back', async (t, world) => {
  await paired(world);

  // Fig 15B. A and B are initialised; A takes snapshot 0; B restores it and has it.
  await world.sh(
    'mkdir a/d; for i in 1 2 3 4 5 6 7 8 9; do echo $i > a/d/$i; done; ln a/d/1 a/hard',
  );
  await on(world, 'a', 'save', 'zero');
  await arrived(world, 'b', 'zero');
  await same(world);
  // A takes 1; the changes between 0 and 1 travel; B applies them and has 1.
  await world.sh(
    'echo more >> a/d/1; rm a/d/2; mv a/d/3 a/three; head -c 200000 /dev/urandom > a/big',
  );
  await on(world, 'a', 'save', 'one');
  await arrived(world, 'b', 'one');
  await same(world);
  t.not((await world.trySh('echo x > b/x')).status, 0, 'a standby is read-only');
  // What the next changes start from is kept for B on A, and B keeps it itself.
  const held = await when(
    'the lock of snapshot 1',
    () => locksOf(world, 'a'),
    (locks) => locks.length === 1 && locks[0]?.snapshot === 'one',
  );
  t.match(held, [{ type: 'destination' }]);
  t.match(await world.refused(['delete', 'one', '-C', world.path('a')]), {
    code: 'snapshot-locked',
  });
  t.match(await world.refused(['delete', 'one', '-C', world.path('b')]), {
    code: 'snapshot-locked',
  });
  await on(world, 'a', 'delete', 'zero');
  // Snapshots of its own, and reading, don't disturb the standby.
  await on(world, 'b', 'save', 'local');
  await on(world, 'b', 'save', 'named');
  await world.sh('echo named > a/named');
  await on(world, 'a', 'save', 'named');
  await same(world);
  const names = await snapshotsOf(world, 'b');
  t.strictSame(names, ['latest', 'local', 'named', 'named.local', 'one', 'zero']);
  t.equal(await world.sh('cat b/.snapshots/named/named'), 'named\n');
  await world.sh('cat b/d/* > /dev/null');

  // Fig 15C. A fails, with writes that B has not; B becomes primary, takes writes and a snapshot.
  await world.sh('echo unsent > a/unsent; sync a/unsent');
  await world.crash(world.path('a'));
  await on(world, 'b', 'promote');
  await world.sh('echo two > b/two');
  await on(world, 'b', 'save', 'two');
  // A comes back as what it was: both say that there are two, and nothing is merged.
  await mount(world, 'a');
  for (const name of ['a', 'b']) {
    await when(
      `${name} sees two primaries`,
      () => syncOf(world, name),
      (lag) => (lag['conflicts'] as unknown[]).length === 1,
    );
  }
  t.equal(await world.sh('cat a/unsent'), 'unsent\n');
  // It goes to the last common snapshot, is a standby, and receives B's changes.
  await on(world, 'a', 'demote', '--peer', 'b');
  await arrived(world, 'a', 'two');
  await same(world);
  t.equal(await world.sh('cat a/.snapshots/diverged-1/unsent'), 'unsent\n', 'nothing is lost');

  // Fig 15D. B takes 4; A receives and has it; B turns standby first; A is primary again.
  await world.sh('echo four > b/four');
  await on(world, 'b', 'save', 'four');
  await arrived(world, 'a', 'four');
  await world.sh('echo late > b/late; head -c 40000000 /dev/urandom > b/large; sync b/large');
  const reverted = world.sh('echo now > a/.control/switchover');
  // A second change of the role waits for its turn: when that comes, A is primary.
  t.match(await world.refused(['promote', '-C', world.path('a')]), { code: 'already-primary' });
  await reverted;
  const given = async (name: string): Promise<string[]> => {
    const { out } = await world.tryShadowfs(['history', '--json', '-C', world.path(name)]);
    const records = out.split('\n').filter((line) => line !== '');
    return records.map((line) => {
      const { command, source } = JSON.parse(line) as Answer;
      return `${String(command)} ${String(source)}`;
    });
  };
  const [atA, atB] = [await given('a'), await given('b')];
  for (const line of ['demote cli', 'receive peer:b', 'promote control']) {
    t.ok(atA.includes(line), `a: ${line}`);
  }
  for (const line of ['receive peer:a', 'promote cli', 'hand-over peer:a']) {
    t.ok(atB.includes(line), `b: ${line}`);
  }
  t.match((await world.tryShadowfs(['history', world.path('b')])).out, / hand-over .* peer a /);
  await roleIs(world, 'a', 'primary');
  await roleIs(world, 'b', 'standby');
  t.equal(await world.sh('cat a/late'), 'late\n', 'what was written until then has come along');
  await world.sh('echo five > a/five');
  await on(world, 'a', 'save', 'five');
  await arrived(world, 'b', 'five');
  await same(world);
  for (const name of ['a', 'b']) await world.check(['-C', world.path(name)]);
});

asUser(t, 'kills in the middle of a sync, and what is refused', async (t, world) => {
  await paired(world);
  t.match(await world.refused(['sync', 'now', '-C', world.path('a')]), {
    code: 'nothing-to-follow',
  });
  t.match(await world.refused(['demote', '--peer', 'nobody', '-C', world.path('a')]), {
    code: 'no-such-peer',
  });
  t.match(await world.refused(['promote', '-C', world.path('b')]), { code: 'primary-alive' });
  t.match(await world.refused(['demote', '--peer', 'b', '-C', world.path('a')]), {
    code: 'peer-cycle',
  });
  for (let round = 1; round <= 3; round++) {
    await world.sh(`head -c 8000000 /dev/urandom > a/big${round}; echo ${round} > a/round`);
    await on(world, 'a', 'save', `round-${round}`);
    await pause(50 * round);
    const victim = round === 2 ? 'a' : 'b';
    await world.crash(world.path(victim));
    await mount(world, victim);
    await arrived(world, 'b', `round-${round}`);
    await same(world);
  }
  // The way back is refused, before anything changes, when the other side is away.
  await world.umount(world.path('a'));
  t.match(await world.refused(['switchover', '-C', world.path('b')]), { code: 'peer-silent' });
  t.match(await on(world, 'b', 'role'), { role: 'standby' });
  await mount(world, 'a');
  // While it is paused, it is known how far it is behind.
  await on(world, 'b', 'sync', 'pause');
  const known = (lag: Answer): boolean => lag['level'] === true;
  const paused = await when('b has compared', () => syncOf(world, 'b'), known);
  t.match(paused, { isPaused: true, missingCount: 0, pendingBytes: 0, lagMs: 0, exit: 0 });
  for (const name of ['missed', 'missed too']) {
    await world.sh(`head -c 3000000 /dev/urandom > 'a/${name}'`);
    await on(world, 'a', 'save', name);
  }
  const behind = await when(
    'b knows what it is behind',
    () => syncOf(world, 'b'),
    (lag) => lag['pendingBytes'] !== null && lag['missingCount'] === 2,
  );
  const bytes = Number(behind['pendingBytes']);
  t.ok(bytes > 6_000_000 && bytes < 6_300_000, `${bytes} bytes are missing`);
  t.ok(Number(behind['lagMs']) > 0);
  const { out } = await world.tryShadowfs(['sync', '-C', world.path('b')]);
  t.match(out, /is 2 snapshots, [56]\.\dM and \d+ seconds? behind/);
  t.match(await on(world, 'b', 'status'), { lag: { missingCount: 2, pendingBytes: bytes } });
  await on(world, 'b', 'sync', 'resume');
  await arrived(world, 'b', 'missed too');
  const level = (lag: Answer): boolean => lag['missingCount'] === 0 && lag['level'] === true;
  await when('b is level', () => syncOf(world, 'b'), level);
  await same(world);
  // With a schedule of its own it fetches when that says so, or when it is asked, also after a restart.
  t.match(await world.refused(['sync', 'nwo', '-C', world.path('b')]), {
    code: 'wrong-usage',
    message: /did you mean now/,
  });
  for (const words of ['every 1x', 'every 1h keep 2 daily', 'every']) {
    const refused = await world.refused(['sync', ...words.split(' '), '-C', world.path('b')]);
    t.match(refused, { code: 'bad-schedule' }, words);
  }
  t.match(await on(world, 'b', 'sync', 'every', '60 minutes'), { ok: true, every: 'every 1h' });
  await when('b is level', () => syncOf(world, 'b'), level);
  await world.sh('echo scheduled > a/scheduled');
  await on(world, 'a', 'save', 'scheduled');
  await when(
    'b knows of it',
    () => syncOf(world, 'b'),
    (lag) => lag['missingCount'] === 1 && lag['every'] === 'every 1h',
  );
  t.notOk((await snapshotsOf(world, 'b')).includes('scheduled'));
  await world.umount(world.path('b'));
  await mount(world, 'b');
  await arrived(world, 'b', 'scheduled');
  await world.sh('echo again >> a/scheduled');
  await on(world, 'a', 'save', 'again');
  t.match(await on(world, 'b', 'sync', 'now'), { received: ['again'] });
  t.match(await on(world, 'b', 'sync', 'always'), { every: 'always' });
  await on(world, 'a', 'save', 'at once');
  await arrived(world, 'b', 'at once');
  await same(world);
  for (const name of ['a', 'b']) await world.check(['-C', world.path(name)]);
});

asUser(t, 'a primary in a role epoch that nobody can have counted to', async (t, world) => {
  await paired(world);
  await world.sh('echo one > a/one');
  await on(world, 'a', 'save', 'one');
  await arrived(world, 'b', 'one');
  // As something broken may have left it.
  await world.umount(world.path('a'));
  const volume = Volume.open({ path: world.path('va'), writer: { kind: 'inline' } });
  volume.catalog.putRole({ ...volume.roles.current, epoch: Number.MAX_SAFE_INTEGER });
  volume.flush();
  volume.close();
  await mount(world, 'a');
  const refused = { code: 'epoch-too-high', message: /^a says .* 9007199254740991/ };
  await when(
    'b says what is wrong with a',
    () => syncOf(world, 'b'),
    ({ error }) => refused.message.test(String(error)),
  );
  t.match(await world.refused(['promote', '-C', world.path('b')]), refused);
  t.match(await world.refused(['switchover', '-C', world.path('b')]), refused);
  t.match(await on(world, 'b', 'role'), { role: 'standby', epoch: 1 }, 'nothing of it is stored');
  t.match(await on(world, 'b', 'promote', '--force'), { role: 'primary', epoch: 2 });
  t.match(await world.refused(['promote', '--force', '-C', world.path('a')]), {
    code: 'epoch-exhausted',
  });
  t.match(await world.refused(['promote', '--epoch', '5000000', '-C', world.path('b')]), {
    code: 'epoch-too-high',
  });
  for (const name of ['a', 'b']) await world.check(['-C', world.path(name)]);
});
