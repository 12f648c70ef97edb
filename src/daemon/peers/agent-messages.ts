/**
 * Messages between the sync agent, in the thread of the connections, and its
 * volume, in the serving thread.
 */
import type { StreamPosition } from '../../format/wire/stream.js';
import type { NeededSnapshot, SyncSnapshot } from '../../sync/agent/messages.js';
import type { StoredRole } from '../../sync/agent/sync-volume.js';
import type { Point } from '../../sync/group/group-messages.js';

export interface AgentStarted {
  /** Higher at each start. */
  incarnation: number;
  groups: GroupStored;
}

/** What is stored about group saves. */
export interface GroupStored {
  tentative: Point[];
  commits: { key: string; directors: readonly string[] }[];
}

export interface AgentReceiving {
  /** Where an interrupted stream resumes. */
  resumed: StreamPosition | null;
}

/** What the agent knows about its volume without asking. */
export interface AgentState {
  history: string;
  role: StoredRole;
  /** Snapshots that can be sent, in the order in which they were made. */
  snapshots: SyncSnapshot[];
  locks: NeededSnapshot[];
  shown: string | null;
  /** Null: pull on news. */
  pullEveryMs: number | null;
  /** What is kept of what the upstream deleted, as people write it. */
  keeps: string;
}

/** The state of the sync, for people. */
export interface AgentReport {
  /** UUID of the upstream. */
  upstream: string | null;
  isRunning: boolean;
  isPaused: boolean;
  /** Snapshots that are not here yet, oldest first. */
  pending: { name: string; createdMs: number }[];
  /** When the upstream said which snapshots it has; null: not yet. */
  seenMs: number | null;
  /** Bytes of the pending snapshots, at most; null: not known yet. */
  bytes: number | null;
  /** Bytes received of the current transfer. */
  received: number;
  /** All of the upstream's snapshots are here, as far as it has said until now. */
  isLevel: boolean;
  /** When that was so last; null: not since the agent was started. */
  levelMs: number | null;
  failure: { code: string; message: string; timeMs: number } | null;
  conflicts: { peer: string; mine: number; theirs: number }[];
  peers: ReportedPeer[];
}

/** What a peer has said about itself since the agent was started. */
export interface ReportedPeer {
  /** The UUID of its volume. */
  peer: string;
  role: 'primary' | 'standby';
  epoch: number;
  /** It is a standby of this volume. */
  isFollower: boolean;
  /** The UUID of the newest common snapshot that it has; '': none; null: it has not said so. */
  has: string | null;
}

/** The agent does not carry out `group-save`; it runs beside the agent. */
export type AskedCommand = AgentCommand | 'group-save';
export type RoleCommand = 'promote' | 'demote' | 'switchover';
export type AgentCommand = 'sync' | 'pause' | 'resume' | RoleCommand;

export interface AgentOrder {
  command: AgentCommand;
  /** A UUID, or ''. */
  peer: string;
  force: boolean;
}

export interface GroupOrder {
  name: string;
  /** UUIDs of the peers' volumes. */
  peers: readonly string[];
  note?: string;
}
