/**
 * Group saves of three mounts on this machine: at one point under writers, or
 * not at all when somebody is away, refuses, or is killed at any step.
 */
import t from 'tap';
import { asUser, type Answer, pause, type World } from '../mount/harness.js';

const NAMES = ['a', 'b', 'c'] as const;
const WAIT_MS = 60_000;
/** The machine may be busy; what may be parked at most is asserted as such. */
const PARKED_MAX_MS = 5_500;

const on = (world: World, name: string, ...words: string[]): Promise<Answer> =>
  world.shadowfs([...words, '-C', world.path(name)]);

const mount = (world: World, name: string, step?: string): Promise<Answer> =>
  world.mount(['--no-base', '--volume', world.path(`v${name}`), world.path(name)], {
    env: step === undefined ? {} : { SHADOWFS_FAILPOINT: step },
  });

async function remount(world: World, name: string, step?: string): Promise<void> {
  await world.umount(world.path(name));
  await mount(world, name, step);
  await connected(world);
}

/** All of a's peers are connected; `b` and `c` are no peers of each other. */
async function connected(world: World): Promise<void> {
  let found: unknown;
  for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += 200) {
    const ran = await world.tryShadowfs(['peer', 'list', '--json', '-C', world.path('a')]);
    found = ran.out;
    const lines = ran.out.split('\n').filter((line) => line !== '');
    const peers = lines.map((line) => JSON.parse(line) as { connected: boolean });
    if (peers.length === 2 && peers.every(({ connected }) => connected)) return;
    await pause(200);
  }
  throw new Error(`not connected: ${String(found)}`);
}

/** Three volumes of their own, each of which takes changes; `a` is everybody's peer. */
async function group(world: World): Promise<void> {
  // Those who dial try again soon after a kill.
  world.env['SHADOWFS_PEER_PAUSE_MS'] = '500';
  await world.sh('mkdir a b c');
  for (const name of NAMES) await mount(world, name);
  await world.sh('for m in a b c; do echo own > $m/own; sync $m/own; done');
  for (const name of ['b', 'c']) {
    const words = ['peer', 'invite', world.path('a'), '--listen', '127.0.0.1:0', '--name', name];
    const { token } = await world.shadowfs(words);
    await world.shadowfs(['peer', 'join', String(token), world.path(name), '--name', 'a']);
  }
  await connected(world);
}

async function snapshotsOf(world: World, name: string): Promise<string[]> {
  const out = await world.sh(`ls ${name}/.snapshots`);
  return out.split('\n').filter((line) => line !== '');
}

/** Everybody has it, or nobody; once what is in doubt has been asked for. */
async function agree(world: World, snapshot: string): Promise<boolean> {
  let have: boolean[] = [];
  for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += 200) {
    have = [];
    let isFree = true;
    for (const name of NAMES) {
      const has = (await snapshotsOf(world, name)).includes(snapshot);
      have.push(has);
      if (has) continue;
      // The name of a tentative snapshot is taken: nobody may be left with one.
      const ran = await world.tryShadowfs(['save', snapshot, '-C', world.path(name), '--json']);
      if (ran.status === 0) await on(world, name, 'delete', snapshot);
      else isFree = false;
    }
    if (isFree && have.every((has) => has === have[0])) return have[0] === true;
    await pause(200);
  }
  throw new Error(`${snapshot}: ${JSON.stringify(have)}`);
}

const nobodyParked = (world: World): Promise<string> =>
  world.sh('for m in a b c; do echo on > $m/on; rm $m/on; done', { timeoutMs: 15_000 });

/** Each k is on `a`, and synced, before it is written on `b`, and so on to `c`. */
const CHAIN = `
import os, sys
files = [os.open(m + '/counter', os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644) for m in 'abc']
k = 0
while not os.path.exists('stop'):
    k += 1
    for f in files:
        os.write(f, b'%08d\\n' % k)
        os.fsync(f)
`;

/** One process per mount, the next one told through a pipe. */
const PIPES = `
import os
r1, w1 = os.pipe(); r2, w2 = os.pipe()
def put(m):
    return os.open(m + '/told', os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
def follow(m, r, w):
    f = put(m)
    while True:
        k = os.read(r, 9)
        if len(k) < 9: break
        os.write(f, k); os.fsync(f)
        if w is not None: os.write(w, k)
    os._exit(0)
if os.fork() == 0:
    os.close(w1); os.close(r2); follow('b', r1, w2)
if os.fork() == 0:
    os.close(w1); os.close(w2); follow('c', r2, None)
os.close(r1); os.close(r2); os.close(w2)
f = put('a')
k = 0
while not os.path.exists('stop'):
    k += 1
    os.write(f, b'%08d\\n' % k); os.fsync(f)
    os.write(w1, b'%08d\\n' % k)
    os.close(os.open('a/touched', os.O_CREAT, 0o644))
os.close(w1)
os.wait(); os.wait()
`;

async function newest(world: World, member: string, snapshot: string, file: string) {
  const lines = await world.sh(`cat ${member}/.snapshots/${snapshot}/${file}`);
  return Number(lines.trimEnd().split('\n').at(-1) ?? 0);
}

asUser(t, 'three mounts at one point, under writers', async (t, world) => {
  await group(world);
  const writers = [CHAIN, PIPES].map((text) => world.run(['python3', '-c', text]));
  await pause(500);
  const parked: number[] = [];
  for (let round = 1; round <= 5; round++) {
    const name = `round-${round}`;
    const answer = await on(world, 'a', 'group-save', name, 'b', 'c', '-m', `n${round}`);
    t.match(answer, { outcome: 'committed', name, peers: ['b', 'c'], note: `n${round}` });
    parked.push((answer['timings'] as { parkedMs: number }).parkedMs);
    t.ok(await agree(world, name), 'everybody has it');
    for (const file of ['counter', 'told']) {
      const [a = 0, b = 0, c = 0] = await Promise.all(
        NAMES.map((member) => newest(world, member, name, file)),
      );
      t.ok(a > 0 && a >= b && b >= c, `${file}: ${a} ${b} ${c}`);
      t.ok(file === 'told' || a - c <= 1, 'and nothing else came between');
    }
    for (const member of NAMES) {
      const listed = await on(world, member, 'snapshots', name);
      t.match(listed, { note: `n${round}` }, 'with the note');
    }
    await pause(100);
  }
  await world.sh('touch stop');
  t.same(
    (await Promise.all(writers)).map(({ status }) => status),
    [0, 0],
  );
  t.comment(`parked for ${parked.join(', ')} ms`);
  t.ok(Math.max(...parked) < PARKED_MAX_MS);
  const history = await world.sh(
    `node ${world.checkout}/dist/cli/main.js history --json -C ${world.path('b')}`,
  );
  const records = history.split('\n').filter((line) => line.includes('"group-save"'));
  t.equal(records.length, 5);
  t.match(JSON.parse(records[0] ?? '{}'), { source: 'peer:a', outcome: 'saved', name: 'round-1' });
});

asUser(t, 'who can not take part is named, and nobody is saved', async (t, world) => {
  await group(world);
  await on(world, 'c', 'save', 'taken');
  const taken = await world.refused(['group-save', 'taken', 'b', 'c', '-C', world.path('a')]);
  t.match(taken, { code: 'group-save-failed', missing: [{ member: 'c', reason: /exists/ }] });
  t.notOk((await snapshotsOf(world, 'a')).includes('taken'));
  t.notOk((await snapshotsOf(world, 'b')).includes('taken'));
  await on(world, 'a', 'save', 'mine');
  const mine = await world.refused(['group-save', 'mine', 'b', '-C', world.path('a')]);
  t.match(mine, { code: 'snapshot-exists' });
  const stranger = await world.refused(['group-save', 'x', 'nobody', '-C', world.path('a')]);
  t.match(stranger, { code: 'no-such-peer' });
  await world.umount(world.path('b'));
  const away = await world.refused(['group-save', 'x', 'b', 'c', '-C', world.path('a')]);
  t.match(away, {
    code: 'group-save-failed',
    missing: [{ member: 'b', reason: /^does not answer \(b is not connected for .* last heard/ }],
    timings: { parkedMs: 0 },
  });
  await mount(world, 'b');
  await connected(world);
  t.match(await on(world, 'a', 'group-save', 'x', 'b', 'c'), { outcome: 'committed' });
  t.ok(await agree(world, 'x'));
  await nobodyParked(world);
});

const MEMBER_STEPS = ['parked', 'switched', 'saved', 'before-keep', 'after-keep'];
const INITIATOR_STEPS = [...MEMBER_STEPS, 'before-commit', 'after-commit', 'before-forget'];

asUser(t, 'a member, and the one who asked, killed at each step', async (t, world) => {
  world.env['SHADOWFS_GROUP_PARK_MS'] = '1500';
  world.env['SHADOWFS_GROUP_SAVE_MS'] = '1500';
  await group(world);
  const kills = [
    ...MEMBER_STEPS.map((step) => ({ victim: 'b', step })),
    ...INITIATOR_STEPS.map((step) => ({ victim: 'a', step })),
  ];
  for (const { victim, step } of kills) {
    const name = `${victim}-${step}`;
    await remount(world, victim, `group:${step}`);
    const pid = await world.daemonPid(world.path(victim));
    const ran = await world.tryShadowfs(['group-save', name, 'b', 'c', '-C', world.path('a')]);
    await world.sh(
      `for i in $(seq 100); do test -d /proc/${pid} || exit 0; sleep 0.1; done; exit 1`,
    );
    await mount(world, victim);
    await connected(world);
    const isSaved = await agree(world, name);
    t.pass(`${name}: ${isSaved ? 'saved' : 'dropped'}, exit ${ran.status}`);
    if (ran.status === 0) t.ok(isSaved, 'what was said to be saved is');
    if (/parked|switched/.test(step)) t.notOk(isSaved);
    await nobodyParked(world);
    // Its records are gone, too: the next step is one of the next save.
    await pause(1000);
  }
  for (const name of NAMES) await world.check(['-C', world.path(name)]);
});
