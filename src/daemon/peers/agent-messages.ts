/** What the sync agent, in the thread of the connections, and its volume, in the serving thread, tell each other. */
import type { StreamPosition } from '../../format/wire/stream.js';
import type { NeededSnapshot, SyncSnapshot } from '../../sync/agent/messages.js';
import type { StoredRole } from '../../sync/agent/sync-volume.js';
import type { Point } from '../../sync/group/group-messages.js';

export interface AgentStarted {
  /** Higher at each start. */
  incarnation: number;
  groups: GroupStored;
}

/** What is stored of group saves. */
export interface GroupStored {
  tentative: Point[];
  commits: { key: string; directors: readonly string[] }[];
}

export interface AgentReceiving {
  /** Where an interrupted stream goes on. */
  resumed: StreamPosition | null;
}

/** What the agent knows of its volume without asking. */
export interface AgentState {
  history: string;
  role: StoredRole;
  /** Those that can be sent, in the order in which they came to be. */
  snapshots: SyncSnapshot[];
  locks: NeededSnapshot[];
  shown: string | null;
  /** Null: as soon as there is news. */
  pullEveryMs: number | null;
}

/** How the sync stands, for people. */
export interface AgentReport {
  /** UUID of the volume that is followed. */
  upstream: string | null;
  isRunning: boolean;
  isPaused: boolean;
  /** Not here yet, oldest first. */
  pending: { name: string; createdMs: number }[];
  /** Of what is pending, at most; null: not known yet. */
  bytes: number | null;
  /** Of the one under way. */
  received: number;
  error: string | null;
  conflicts: { peer: string; mine: number; theirs: number }[];
}

/** `group-save` is carried out beside the agent. */
export type AskedCommand = AgentCommand | 'group-save';
export type RoleCommand = 'promote' | 'demote' | 'revert';
export type AgentCommand = 'sync' | 'pause' | 'resume' | RoleCommand;

export interface AgentOrder {
  command: AgentCommand;
  /** A UUID, or ''. */
  peer: string;
  force: boolean;
}

export interface GroupOrder {
  name: string;
  /** UUIDs of their volumes. */
  peers: readonly string[];
}
