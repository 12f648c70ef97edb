/** The state of the sync for people and monitors: what is old is never shown as present. */
import t from 'tap';
import { withNames } from '../../../src/format/text/peer-names.js';
import type { PeerRecord } from '../../../src/format/records/peer-record.js';
import type { AgentReport } from '../../../src/daemon/peers/agent-messages.js';
import { peerView } from '../../../src/daemon/peers/peer-view.js';
import { type SyncFacts, syncState } from '../../../src/daemon/peers/read-sync-state.js';
import type { PeerState } from '../../../src/sync/peers/peering-messages.js';
import { checkSync } from '../../../src/cli/commands/sync-check.js';
import { syncLines } from '../../../src/cli/commands/sync-text.js';

const NOW = 1_800_000_000_000;
const A = 'aaaaaaaa-0000-4000-8000-000000000000';
const B = 'bbbbbbbb-0000-4000-8000-000000000000';
const HOUR_MS = 3_600_000;

const record = (volume: string, name: string, more: Partial<PeerRecord> = {}): PeerRecord => ({
  volume,
  name,
  fingerprint: 'ab'.repeat(32),
  direction: 'upstream',
  addresses: [],
  sinceMs: NOW - 100 * HOUR_MS,
  upstreams: [],
  lastHeardMs: NOW - 2 * HOUR_MS,
  ...more,
});

const link = (volume: string, more: Partial<PeerState> = {}): PeerState => ({
  volume,
  isConnected: true,
  address: 'there',
  connectedMs: NOW - HOUR_MS,
  disconnectedMs: null,
  lastHeardMs: NOW - 2000,
  epoch: 1,
  lastError: null,
  ...more,
});

const REPORT: AgentReport = {
  upstream: A,
  isRunning: false,
  isPaused: false,
  pending: [],
  seenMs: NOW - 60_000,
  bytes: 0,
  received: 0,
  isLevel: true,
  levelMs: NOW - 2000,
  failure: null,
  conflicts: [],
  peers: [],
};

interface Case {
  peer?: PeerRecord;
  state?: PeerState | undefined;
  report?: Partial<AgentReport> | undefined;
  facts?: Partial<SyncFacts>;
}

/** A standby of `office`. */
function standby({ peer = record(A, 'office'), state, report, facts }: Case) {
  const view = peerView(peer, state, NOW);
  return syncState({
    role: { role: 'standby', epoch: 1, upstream: A },
    offline: undefined,
    everyMs: undefined,
    keeps: 'all',
    snapshots: [],
    peers: [{ record: peer, view }],
    report: report === undefined ? undefined : { ...REPORT, ...report },
    nameOf: (uuid) => (uuid === A ? 'office' : undefined),
    nowMs: NOW,
    ...facts,
  });
}

t.test('connected and level', async (t) => {
  const state = standby({ state: link(A), report: {} });
  t.match(state, { connected: true, level: true, lagMs: 0, error: null, problems: [] });
  t.match(checkSync(state, 600_000, NOW), {
    code: 0,
    summary: 'follows office and has all of its snapshots, last heard 2 seconds ago',
    figures: ['lag=0s;;600;0', 'snapshots=0;;;0'],
  });
  t.match(syncLines(state, '/b', NOW), [
    '/b (standby) follows office and has all of its snapshots; connected, last heard 2 seconds ago',
  ]);
});

t.test('the primary is gone: nothing says that the standby has all', async (t) => {
  const lastError = { timeMs: NOW - 1000, code: 'peer-unreachable', message: 'nobody listens' };
  const away = link(A, {
    isConnected: false,
    connectedMs: null,
    disconnectedMs: NOW - 55_000,
    lastHeardMs: NOW - 57_000,
    lastError,
  });
  // The agent has not noticed yet: its last run went well.
  const state = standby({ state: away, report: { levelMs: NOW - 57_000 } });
  t.match(state, {
    connected: false,
    connectedSinceMs: null,
    disconnectedSinceMs: NOW - 55_000,
    lastHeardMs: NOW - 57_000,
    level: false,
    lagMs: 57_000,
    error: 'nobody listens',
    errorCode: 'peer-unreachable',
    problems: [{ code: 'not-connected', severity: 'warning' }],
  });
  const text = syncLines(state, '/b', NOW).join('\n');
  t.match(text, /which is not connected since .* \(55 seconds\); last heard 57 seconds ago/);
  t.match(text, /it had all of the snapshots 57 seconds ago/);
  t.match(text, /why: nobody listens/);
  t.notMatch(text, /has all/);
  t.equal(checkSync(state, 600_000, NOW).code, 1, 'it may come back');
  const late = checkSync(state, 30_000, NOW);
  t.match(late, {
    code: 2,
    summary: /^57 seconds behind office \(the limit is 30 seconds\); office/,
  });
  t.equal(checkSync({ ...state, everyMs: 60_000 }, 30_000, NOW).code, 1, 'its own interval');
});

t.test('after a mount, with the primary away: what was stored, with its age', async (t) => {
  const peer = record(A, 'office', { levelMs: NOW - 3 * HOUR_MS });
  for (const report of [undefined, { isLevel: false, levelMs: null, seenMs: null }]) {
    const state = standby({ peer, report });
    t.match(state, { connected: false, disconnectedSinceMs: NOW - 2 * HOUR_MS, error: null });
    t.match(state, { lastHeardMs: NOW - 2 * HOUR_MS, lagMs: 3 * HOUR_MS, level: false });
    t.equal(checkSync(state, 600_000, NOW).code, 2);
  }
  const unknown = standby({ peer: record(A, 'office') });
  t.match(unknown, { lagMs: null, levelMs: null });
  t.match(checkSync(unknown, 600_000, NOW), { code: 2, figures: ['lag=U;;600;0', /./] });
  t.match(syncLines(unknown, '/b', NOW).join('\n'), /how far it is behind is not known/);
});

t.test('times that the clock has not reached are unknown, never now', async (t) => {
  const ahead = NOW + 24 * HOUR_MS;
  const peer = record(A, 'office', { lastHeardMs: ahead, levelMs: ahead });
  const state = standby({ peer });
  t.match(state, { lastHeardMs: null, disconnectedSinceMs: null, levelMs: null, lagMs: null });
  t.match(syncLines(state, '/b', NOW).join('\n'), /last heard at an unknown time/);
  // What is heard now counts, whatever was stored.
  t.match(standby({ peer, state: link(A), report: {} }), { lastHeardMs: NOW - 2000, lagMs: 0 });
});

t.test('behind, failing, paused, removed, two primaries, read-only', async (t) => {
  const pending = [
    { name: 'one', createdMs: NOW - HOUR_MS },
    { name: 'two', createdMs: NOW },
  ];
  const report = { pending, isLevel: false, levelMs: NOW - 90_000, bytes: 2048 };
  const behind = standby({ state: link(A), report });
  t.match(behind, {
    level: false,
    missingCount: 2,
    pendingBytes: 2048,
    lagMs: 90_000,
    problems: [],
  });
  t.match(syncLines(behind, '/b', NOW), [/is 2 snapshots, 2\.0K and 2 minutes behind; connected/]);
  const failure = { code: 'ENOSPC', message: `${A} sent too much`, timeMs: NOW - 1000 };
  const failing = standby({ state: link(A), report: { ...report, failure } });
  t.match(failing, { error: 'office sent too much', problems: [{ code: 'sync-failed' }] });
  const silent = { code: 'peer-silent', message: 'not a word', timeMs: NOW - 2 * HOUR_MS };
  const again = standby({ state: link(A), report: { ...report, failure: silent } });
  t.match(again, { error: null, problems: [] }, 'it has connected since');
  const paused = standby({ state: link(A), report: { isPaused: true } });
  t.match(paused.problems, [{ code: 'paused', severity: 'notice' }]);
  t.equal(checkSync(paused, 600_000, NOW).code, 0, 'somebody wanted it so');
  const removed = standby({ facts: { peers: [], nameOf: () => undefined } });
  t.match(removed, { upstream: A, problems: [{ code: 'upstream-removed', severity: 'critical' }] });
  const conflicts = [{ peer: A, mine: 1, theirs: 2 }];
  const two = standby({ state: link(A), report: { conflicts } });
  t.match(two.problems, [{ code: 'two-primaries', message: /^office is primary too/ }]);
  t.equal(checkSync(two, 600_000, NOW).code, 2);
  const offline = standby({ facts: { offline: 'mounted read-only' } });
  t.match(offline.problems, [{ code: 'offline', message: /mounted read-only/ }, {}]);
});

/** A primary with the snapshots s0 to s3, one an hour. */
function primary(peer: PeerRecord, state?: PeerState, report?: Partial<AgentReport>) {
  const snapshots = [0, 1, 2, 3].map((n) => ({
    uuid: `0000000${n}-0000-4000-8000-000000000000`,
    name: `s${n}`,
    createdMs: NOW - (4 - n) * HOUR_MS,
  }));
  return syncState({
    role: { role: 'primary', epoch: 1 },
    offline: undefined,
    everyMs: undefined,
    keeps: 'all',
    snapshots,
    peers: [{ record: peer, view: peerView(peer, state, NOW) }],
    report: { ...REPORT, upstream: null, ...report },
    nameOf: () => undefined,
    nowMs: NOW,
  });
}

t.test('a primary shows its standbys and how far they are behind', async (t) => {
  const peer = record(B, 'nas', { direction: 'downstream' });
  const said = { peer: B, role: 'standby' as const, epoch: 1, isFollower: true };
  const has = (n: number): AgentReport['peers'] => [
    { ...said, has: `0000000${n}-0000-4000-8000-000000000000` },
  ];
  const level = primary(peer, link(B), { peers: has(3) });
  t.match(level, { connected: null, lagMs: null, problems: [] });
  t.match(level.standbys, [{ name: 'nas', connected: true, has: 's3', missingCount: 0, lagMs: 0 }]);
  t.equal(checkSync(level, 600_000, NOW).code, 0);
  const behind = primary(peer, link(B), { peers: has(1) });
  t.match(behind.standbys, [{ has: 's1', missingCount: 2, lagMs: 2 * HOUR_MS }]);
  t.match(checkSync(behind, HOUR_MS, NOW), {
    code: 2,
    summary: /^nas is 2 hours behind \(it has s1; the limit is 60 minutes\)/,
    figures: ["'lag of nas'=7200s;;3600;0"],
  });
  t.match(syncLines(behind, '/a', NOW), [
    '/a (primary) follows nobody',
    'standby nas is 2 snapshots and 2 hours behind (newest: s1); connected, last heard 2 seconds ago',
  ]);
  const empty = primary(peer, link(B), { peers: [{ ...said, has: '' }] });
  t.match(empty.standbys, [{ has: null, missingCount: 4, lagMs: 4 * HOUR_MS }]);
  const partner = primary(peer, link(B), { peers: [{ ...said, isFollower: false, has: null }] });
  t.match(partner, { standbys: [], problems: [] }, 'a partner of group saves is none');
  t.match(checkSync(partner, 600_000, NOW), { code: 3, summary: /nobody follows it/ });
  const stored = { ...peer, follows: true, has: '00000002-0000-4000-8000-000000000000' };
  const away = primary(stored, undefined, {});
  t.match(away.standbys, [{ connected: false, has: 's2', lagMs: HOUR_MS }], 'after a mount');
  t.match(away.problems, [{ code: 'standby-not-connected', message: /^nas is not connected for/ }]);
  const never = primary(peer);
  t.match(never.standbys, [{ missingCount: null, lagMs: null, has: null, connected: false }]);
  t.match(syncLines(never, '/a', NOW)[1], /has not said yet which snapshots it has; not connected/);
  t.same(primary({ ...peer, follows: false }).standbys, []);
});

t.test('names in place of UUIDs', async (t) => {
  const nameOf = (uuid: string): string | undefined => (uuid === A ? 'office' : undefined);
  t.equal(withNames(`${A} follows ${B}, not ${A}`, nameOf), `office follows ${B}, not office`);
  t.equal(withNames(A.slice(1), nameOf), A.slice(1));
});
