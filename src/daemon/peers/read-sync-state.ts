/**
 * Puts the state of the sync together, from what is stored, from the agent's
 * last report and from the connections. Pure.
 */
import { pastTime } from '../../lib/age.js';
import type { PeerRecord } from '../../format/records/peer-record.js';
import { formatEvery } from '../../format/text/schedule.js';
import { withNames } from '../../format/text/peer-names.js';
import type { SyncSnapshot } from '../../sync/agent/messages.js';
import type { ReadableVolume } from '../../volume/readable-volume.js';
import type { Volume } from '../../volume/volume.js';
import { ALWAYS } from '../../volume/peers/pull-schedule.js';
import type { Role } from '../../volume/peers/role.js';
import type { AgentReport } from './agent-messages.js';
import { type PeerView, peerView } from './peer-view.js';
import { problemsOf } from './sync-problems.js';
import type { StandbyState, SyncConflict, SyncState } from './sync-state.js';

export interface SyncFacts {
  role: Role;
  /** Why there are no connections at all; undefined: there may be. */
  offline: string | undefined;
  everyMs: number | undefined;
  keeps: string;
  /** Snapshots that can be sent, in the order in which they were made. */
  snapshots: readonly SyncSnapshot[];
  peers: readonly { record: PeerRecord; view: PeerView }[];
  /** Undefined: no agent runs. */
  report: AgentReport | undefined;
  nameOf: (uuid: string) => string | undefined;
  nowMs: number;
}

/** The snapshots that are sent to others, in the order in which they were made. */
export function sentSnapshots(volume: Pick<ReadableVolume, 'snapshots'>): SyncSnapshot[] {
  return (
    volume
      .snapshots()
      // Other branches stay at home.
      .filter(({ kind, branch }) => (kind === 'user' || kind === 'auto') && branch === undefined)
      .map(({ uuid, name, createdMs }) => ({ uuid, name, createdMs }))
  );
}

/** Of a volume that is not mounted: what was stored last. */
export function storedSyncState(volume: Volume, nowMs: number): SyncState {
  const { peers, roles, pulls } = volume;
  return syncState({
    role: roles.current,
    offline: 'not mounted',
    everyMs: pulls.everyMs,
    keeps: volume.pruned.text,
    snapshots: sentSnapshots(volume),
    peers: [...peers.peers.values()].map((record) => {
      return { record, view: peerView(record, undefined, nowMs) };
    }),
    report: undefined,
    nameOf: (uuid) => peers.nameOf(uuid),
    nowMs,
  });
}

type Following = Omit<
  SyncState,
  | 'role'
  | 'epoch'
  | 'handoverTo'
  | 'conflicts'
  | 'standbys'
  | 'problems'
  | 'every'
  | 'everyMs'
  | 'keeps'
>;

export function syncState(facts: SyncFacts): SyncState {
  const { role, everyMs, nameOf } = facts;
  const state: SyncState = {
    role: role.role,
    epoch: role.epoch,
    ...followingOf(facts),
    every: everyMs === undefined ? ALWAYS : formatEvery(everyMs),
    everyMs: everyMs ?? null,
    keeps: facts.keeps,
    handoverTo: role.handover === undefined ? null : (nameOf(role.handover.to) ?? role.handover.to),
    conflicts: conflictsOf(facts),
    standbys: standbysOf(facts),
    problems: [],
  };
  const isUnknown = state.upstreamVolume !== null && nameOf(state.upstreamVolume) === undefined;
  return { ...state, problems: problemsOf(state, facts.nowMs, facts.offline, isUnknown) };
}

/** The UUID of the volume that this one follows. */
export function followedVolume({ role, handover, upstream }: Role): string | undefined {
  return role === 'standby' && handover === undefined ? upstream : undefined;
}

const NOBODY: Following = {
  upstream: null,
  upstreamVolume: null,
  connected: null,
  connectedSinceMs: null,
  disconnectedSinceMs: null,
  lastHeardMs: null,
  level: false,
  levelMs: null,
  lagMs: null,
  seenMs: null,
  missingCount: 0,
  pendingBytes: 0,
  receivedBytes: 0,
  isRunning: false,
  isPaused: false,
  error: null,
  errorCode: null,
  errorMs: null,
};

function followingOf({ role, peers, report, nameOf, nowMs }: SyncFacts): Following {
  const volume = followedVolume(role);
  if (volume === undefined) return { ...NOBODY, isPaused: report?.isPaused ?? false };
  const peer = peers.find(({ record }) => record.volume === volume);
  const view = peer?.view;
  const said = report?.upstream === volume ? report : undefined;
  const connected = view?.connected ?? false;
  const level = connected && said?.isLevel === true;
  const levelMs = pastTime(said?.levelMs ?? peer?.record.levelMs ?? null, nowMs);
  const behindMs = levelMs === null ? null : Math.max(0, nowMs - levelMs);
  const pending = said?.pending.length ?? 0;
  const trouble = connected ? failureOf(said, view) : (view?.lastError ?? null);
  return {
    upstream: nameOf(volume) ?? volume,
    upstreamVolume: volume,
    connected,
    connectedSinceMs: view?.connectedSinceMs ?? null,
    disconnectedSinceMs: view?.disconnectedSinceMs ?? null,
    lastHeardMs: view?.lastHeardMs ?? null,
    level,
    levelMs,
    lagMs: level ? 0 : behindMs,
    seenMs: pastTime(said?.seenMs ?? null, nowMs),
    missingCount: pending,
    pendingBytes: said?.bytes ?? (pending === 0 ? 0 : null),
    receivedBytes: said?.received ?? 0,
    isRunning: said?.isRunning ?? false,
    isPaused: report?.isPaused ?? false,
    error: trouble === null ? null : withNames(trouble.message, nameOf),
    errorCode: trouble?.code ?? null,
    errorMs: trouble?.timeMs ?? null,
  };
}

/** Why the last run failed; that the peer was silent is over once it is connected again. */
function failureOf(said: AgentReport | undefined, view: PeerView | undefined) {
  const failure = said?.failure ?? null;
  const isOver = failure?.code === 'peer-silent' && failure.timeMs < (view?.connectedSinceMs ?? 0);
  return isOver ? null : failure;
}

function conflictsOf({ report, nameOf }: SyncFacts): SyncConflict[] {
  return (report?.conflicts ?? []).map(({ peer: uuid, mine, theirs }) => {
    const peer = nameOf(uuid) ?? uuid;
    const message =
      `${peer} is primary too, in role epoch ${theirs} (this volume: ${mine}): ` +
      (theirs > mine
        ? `make this one follow it with "shadowfs demote --peer ${peer}"`
        : 'make it follow this one with "shadowfs demote --peer NAME" there');
    return { peer, mine, theirs, message };
  });
}

function standbysOf(facts: SyncFacts): StandbyState[] {
  const { role, peers, report } = facts;
  const upstream = followedVolume(role);
  return peers
    .filter(({ record }) => {
      if (record.volume === upstream) return false;
      const said = report?.peers.find(({ peer }) => peer === record.volume);
      // A volume that has joined is a standby until it says that it is none.
      return said?.isFollower ?? record.follows ?? record.direction === 'downstream';
    })
    .map(({ record, view }) => standbyOf(facts, record, view));
}

function standbyOf(facts: SyncFacts, record: PeerRecord, view: PeerView): StandbyState {
  const { report, snapshots, nameOf, nowMs } = facts;
  const said = report?.peers.find(({ peer }) => peer === record.volume);
  const has = said?.has ?? record.has ?? null;
  const at = snapshots.findIndex(({ uuid }) => uuid === has);
  // It may have a snapshot that was deleted here since.
  const isKnown = has === '' || at >= 0;
  const missing = snapshots.slice(at + 1);
  const [oldest] = missing;
  const { connected, connectedSinceMs, disconnectedSinceMs, lastHeardMs, lastError } = view;
  return {
    name: record.name,
    volume: record.volume,
    connected,
    connectedSinceMs,
    disconnectedSinceMs,
    lastHeardMs,
    has: snapshots[at]?.name ?? null,
    missingCount: isKnown ? missing.length : null,
    lagMs: isKnown ? (oldest === undefined ? 0 : Math.max(0, nowMs - oldest.createdMs)) : null,
    error: lastError === null ? null : withNames(lastError.message, nameOf),
  };
}
