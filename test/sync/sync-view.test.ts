/**
 * What people and monitors see of the sync while the other side is away: a wire
 * that goes dead without a word, one that is dead in one direction, a killed
 * primary, a mount without it, a primary that was removed.
 */
import t, { type Test } from 'tap';
import type { SyncState } from '../../src/daemon/peers/sync-state.js';
import { decodeToken, encodeToken } from '../../src/format/wire/pairing-token.js';
import { asRoot } from '../as-root.js';
import {
  type Answer,
  identities,
  inWorld,
  NOBODY,
  pause,
  ROOT,
  type World,
} from '../mount/harness.js';
import { Relay } from './relay.js';

const WAIT_MS = 30_000;
const SILENT_MS = 1_500;

type State = SyncState & { exit: number | null };

/** As a person sees it, and as a script does. */
async function syncOf(world: World, name: string): Promise<State> {
  const ran = await world.tryShadowfs(['sync', '--json', world.path(name)]);
  return { ...(JSON.parse(ran.out) as SyncState), exit: ran.status };
}

async function when(world: World, name: string, isIt: (state: State) => boolean): Promise<State> {
  let state: State | undefined;
  for (const endMs = Date.now() + WAIT_MS; Date.now() < endMs; await pause(100)) {
    state = await syncOf(world, name);
    if (isIt(state)) return state;
  }
  throw new Error(`${name}: ${JSON.stringify(state)}`);
}

const isLevel = (state: State): boolean => state.level && state.exit === 0;
const isAway = (state: State): boolean => state.connected === false && state.error !== null;

const mount = (world: World, name: string): Promise<Answer> =>
  world.mount(['--no-base', '--volume', world.path(`v${name}`), world.path(name)]);

/** `b` follows `a` over a wire. */
async function paired(t: Test, world: World): Promise<Relay> {
  world.env = { SHADOWFS_PEER_SILENT_MS: String(SILENT_MS) };
  await world.sh('mkdir a b');
  for (const name of ['a', 'b']) await mount(world, name);
  const words = ['peer', 'invite', world.path('a'), '--listen', '127.0.0.1:0', '--name', 'nas'];
  const { token } = await world.shadowfs(words);
  const parsed = decodeToken(String(token));
  const [to] = parsed.addresses as [{ host: string; port: number }];
  const relay = await Relay.open({ host: '127.0.0.1', port: 0 }, to, () => 0);
  t.teardown(() => relay.close());
  const addresses = [{ host: '127.0.0.1', port: relay.port }];
  const theirs = encodeToken({ ...parsed, addresses });
  await world.shadowfs(['peer', 'join', theirs, world.path('b'), '--name', 'office']);
  await world.sh('echo one > a/one');
  await world.shadowfs(['save', 'monday', '-C', world.path('a')]);
  await when(world, 'b', isLevel);
  return relay;
}

const check = async (world: World, name: string, ...more: string[]): Promise<string> => {
  const { status, out } = await world.tryShadowfs(['sync', world.path(name), '--check', ...more]);
  return `${status} ${out}`;
};

/** What the standby keeps of what its primary deletes. */
async function keepsAsTold(t: Test, world: World): Promise<void> {
  const [a, b] = [world.path('a'), world.path('b')];
  const names = (): Promise<string> =>
    world.sh('cd b/.snapshots; echo $(ls | grep -v latest)').then((text) => text.trim());
  const later = ['p1', 'p2', 'p3', 'p4', 'mine', 'held', 'last'];
  for (const name of later) await world.shadowfs(['save', name, '-C', a]);
  await when(world, 'b', (state) => isLevel(state) && state.seenMs !== null);
  await world.shadowfs(['sync', 'now', b]);
  await world.shadowfs(['rename', 'mine', 'my own', '-C', b]);
  await world.shadowfs(['lock', 'held', 'the audit', '-C', b]);
  for (const name of later.slice(0, -1)) await world.shadowfs(['delete', name, '-C', a]);
  await world.shadowfs(['sync', 'now', b]);
  t.equal(
    await names(),
    'held last monday my own p1 p2 p3 p4',
    'all is kept, unless one says else',
  );
  t.match(await syncOf(world, 'b'), { keeps: 'all' });
  t.match(await world.shadowfs(['sync', 'keep', '2', b]), { keeps: '2 all' });
  const pruned = async (wanted: string): Promise<void> => {
    for (const endMs = Date.now() + WAIT_MS; Date.now() < endMs; await pause(100)) {
      if ((await names()) === wanted) return;
    }
    t.equal(await names(), wanted);
  };
  await pruned('held last monday my own p4');
  t.match(await world.shadowfs(['sync', 'keep', 'as-primary', b]), { keeps: 'as-primary' });
  await pruned('held last monday my own');
  const { out } = await world.tryShadowfs(['history', '--json', '-C', b]);
  const records = out.split('\n').filter((line) => line.includes('"prune"'));
  t.match(JSON.parse(records[0] ?? '{}'), {
    name: 'office',
    source: 'peer:office',
    outcome: 'deleted 3, kept 0 locked',
    details: { keeps: '2 all', deleted: ['p1', 'p2', 'p3'] },
  });
  t.match(JSON.parse(records[1] ?? '{}'), { details: { deleted: ['p4'], locked: ['held'] } });
  t.match(
    (await world.tryShadowfs(['sync', b])).out,
    /keeps of what its primary deletes: as-primary/,
  );
  t.match(await world.refused(['sync', 'keep', 'some', b]), {
    code: 'bad-schedule',
    message: /all, as-primary/,
  });
}

async function whatIsSeen(t: Test, world: World): Promise<void> {
  const relay = await paired(t, world);
  t.match(await check(world, 'b'), /^0 SYNC OK - follows office and has all .* \| lag=0s;;600;0 /);
  const primary = await when(world, 'a', ({ standbys }) => standbys[0]?.missingCount === 0);
  t.match(primary, { exit: 0, upstream: null, connected: null });
  t.match(primary.standbys, [{ name: 'nas', connected: true, has: 'monday', lagMs: 0 }]);
  t.match(
    await check(world, 'a'),
    /^0 SYNC OK - nas has all snapshots \(newest: monday\) \| 'lag /,
  );
  const peers = await world.sh('cat a/.control/peers');
  t.match(JSON.parse(peers), { name: 'nas', connected: true, standby: { missingCount: 0 } });

  await keepsAsTold(t, world);

  // Dead in one direction: what `a` says does not arrive, what `b` says does.
  relay.silent(true, true);
  const deaf = await when(world, 'b', isAway);
  t.match(deaf, {
    exit: 1,
    level: false,
    errorCode: /^peer-/,
    problems: [{ code: 'not-connected' }],
  });
  t.ok(deaf.lagMs !== null && deaf.lagMs >= SILENT_MS / 2, `${deaf.lagMs} ms behind at most`);
  const alone = await when(world, 'a', ({ standbys }) => standbys[0]?.connected === false);
  t.match(alone, { exit: 1, problems: [{ code: 'standby-not-connected' }] });
  await world.shadowfs(['save', 'tuesday', '-C', world.path('a')]);
  t.match((await syncOf(world, 'a')).standbys, [{ has: 'last', missingCount: 1 }]);
  t.match((await world.tryShadowfs(['sync', world.path('a')])).out, /nas is 1 snapshot and \d+ /);
  t.match(await check(world, 'a'), /^1 SYNC WARNING - nas is not connected for .* last heard /);
  relay.silent(false);
  await when(world, 'b', isLevel);
  t.equal(await world.sh('ls b/.snapshots | grep -c tuesday'), '1\n');

  // Dead without a word in both directions.
  relay.silent(true);
  t.match(await when(world, 'b', isAway), { exit: 1, errorCode: 'peer-silent' });
  relay.silent(false);
  await when(world, 'b', isLevel);

  // The primary is killed.
  await world.crash(world.path('a'));
  const gone = await when(world, 'b', isAway);
  t.match(gone, { exit: 1, upstream: 'office', connectedSinceMs: null, level: false });
  const { disconnectedSinceMs, lastHeardMs } = gone;
  t.ok(lastHeardMs !== null && disconnectedSinceMs !== null && lastHeardMs <= disconnectedSinceMs);
  const shown = await world.tryShadowfs(['sync', world.path('b')]);
  t.equal(shown.status, 1);
  t.notMatch(shown.out, /has all/);
  t.match(
    shown.out,
    /follows office, which is not connected since .* last heard .*had all .*why: /s,
  );
  await pause(1500);
  t.match(
    await check(world, 'b', '--max-lag', '1s'),
    /^2 SYNC CRITICAL - \d+ seconds? behind office/,
  );
  t.match(await check(world, 'b', '--max-lag', 'x'), /^3 SYNC UNKNOWN - .*--max-lag x/);
  t.match(await world.shadowfs(['status', '-C', world.path('b')]), { lag: { connected: false } });
  const { out: role } = await world.tryShadowfs(['role', '-C', world.path('b')]);
  t.match(role, /^standby, epoch 1; follows office \(not connected, last heard \d+ seconds? ago\)/);
  const refused = await world.refused(['switchover', world.path('b')]);
  t.match(refused, { code: 'peer-silent', message: /office .* not connected for .* last heard/ });

  // Not mounted, and mounted without the primary: what was stored, with its age.
  await world.umount(world.path('b'));
  const stored = await world.tryShadowfs(['sync', '--json', '--volume', world.path('vb')]);
  t.equal(stored.status, 1);
  t.match(JSON.parse(stored.out), { upstream: 'office', connected: false, level: false });
  t.match(await world.tryShadowfs(['peer', 'list', '--volume', world.path('vb')]), {
    out: /office +upstream +not connected for .* ago/,
    err: /not mounted/,
  });
  await mount(world, 'b');
  const later = await when(world, 'b', isAway);
  t.match(later, { exit: 1, level: false, errorCode: 'peer-unreachable' });
  t.ok(Number(later.lastHeardMs) <= Number(gone.disconnectedSinceMs));
  t.ok(Number(later.lagMs) > 1500, 'how far it may be behind is known after a mount');

  // The primary is removed from the peers.
  await world.shadowfs(['peer', 'remove', 'office', world.path('b'), '--force']);
  t.match(await check(world, 'b'), /^2 SYNC CRITICAL - .* is not among its peers: pair it again/);
  // There is nobody to change places with, and nothing to take back.
  for (const name of ['switchover', 'revert']) {
    const none = await world.refused([name, world.path('b')]);
    t.match(none, { code: 'no-peers' }, name);
    t.equal(/restore SNAPSHOT/.test(String(none.message)), name === 'revert');
  }
  // With its standby away, a primary that was mounted again knows which snapshot that one has.
  await mount(world, 'a');
  const [nas] = (await syncOf(world, 'a')).standbys;
  t.match(nas, { name: 'nas', connected: false, has: 'tuesday', missingCount: 0, lagMs: 0 });
}

t.test('a standby whose primary is away, and a primary whose standby is', (t) =>
  inWorld(t, identities()[0] ?? ROOT, (world) => whatIsSeen(t, world)),
);

/** Somebody else on this machine, with a state directory of their own. */
async function twoUsers(t: Test, world: World): Promise<void> {
  const home = world.path('other');
  await world.sh(
    'mkdir -m 755 other a; mkdir -m 700 other/run other/b; chown -R 65534:65534 other',
  );
  const other = {
    uid: NOBODY.uid,
    cwd: home,
    env: { HOME: home, SHADOWFS_STATE_DIR: `${home}/state`, XDG_RUNTIME_DIR: `${home}/run` },
  };
  const a = world.path('a');
  const b = `${home}/b`;
  await mount(world, 'a');
  await world.shadowfs(['mount', '--driver', world.driver, '--no-base', b], other);
  const words = ['peer', 'invite', a, '--listen', '127.0.0.1:0', '--name', 'theirs'];
  const { token } = await world.shadowfs(words);
  await world.shadowfs(['peer', 'join', String(token), b, '--name', 'roots'], other);
  await world.shadowfs(['save', 'monday', '-C', a]);
  const { standbys } = await when(world, 'a', (state) => state.standbys[0]?.has === 'monday');
  t.match(standbys, [{ name: 'theirs', connected: true, lagMs: 0 }]);
  const ran = await world.tryShadowfs(['sync', '--check', b], other);
  t.match(ran, { status: 0, out: /^SYNC OK - follows roots and has all/ });
  // What is mine is not theirs to see.
  const foreign = await world.tryShadowfs(['sync', '--check', a], other);
  t.match(foreign, { status: 3, out: /^SYNC UNKNOWN - / });
  await world.shadowfs(['umount', b], other);
  const gone = await when(world, 'a', (state) => state.standbys[0]?.connected === false);
  t.match(gone.standbys, [{ has: 'monday', error: /unmounted|connection/ }]);
}

asRoot(t, 'two users of one machine', (t) => inWorld(t, ROOT, (world) => twoUsers(t, world)));
