/**
 * What the sync agent, in the thread of the connections, asks of its volume,
 * in the serving thread. The answer to a request comes when it is durable, and
 * after the state that it led to.
 */
import type { StreamPosition } from '../../format/wire/stream.js';
import type { GroupRequest, GroupStored } from './group-requests.js';
import type { Epoch, NeededSnapshot, LockSet, SyncSnapshot } from '../../sync/agent/messages.js';
import type { StoredRole } from '../../sync/agent/sync-volume.js';

export type AgentRequest =
  | GroupRequest
  /** Answered with AgentStarted. */
  | { op: 'start' }
  | { op: 'store-locks'; from: string; set: LockSet }
  | { op: 'receive'; from: string | null; to: string }
  /**
   * `bytes` here and in `adopt`: shared memory, which is let alone until the answer, or a buffer of
   * its own, which moves along.
   */
  | { op: 'push'; bytes: Uint8Array }
  | { op: 'adopt'; snapshot: string; bytes: Uint8Array; epoch: Epoch }
  | { op: 'suspend' }
  | { op: 'show'; snapshot: string; epoch: Epoch }
  | { op: 'promote'; epoch: Epoch }
  | { op: 'demote'; to: string | null; epoch: Epoch; upstream: string }
  | { op: 'hand-over'; to: string; epoch: Epoch }
  | { op: 'follow'; upstream: string; epoch: Epoch };

export interface AgentStarted {
  /** Higher at each start. */
  incarnation: number;
  groups: GroupStored;
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
export type AgentCommand = 'sync' | 'pause' | 'resume' | 'promote' | 'demote' | 'revert';
