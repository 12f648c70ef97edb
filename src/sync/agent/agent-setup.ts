/** What an agent gets, and what it reports about itself. */
import type { Fabric, Timers } from '../fabric.js';
import type { CallMessage } from './calls.js';
import type { Conflict, PeerSaid } from './known-peers.js';
import type { SyncSnapshot } from './messages.js';
import type { SyncVolume } from './sync-volume.js';

export interface AgentSetup {
  volume: SyncVolume;
  incarnation: number;
  fabric: Fabric<CallMessage>;
  timers: Timers;
  /** Evenly distributed in [0, 1): spreads the retries of many agents. */
  random: () => number;
  name: string;
  dataset: string;
  /** Interval between two runs without news. */
  idleMs: number;
  /** UUIDs of all paired peers. */
  peers: () => readonly string[];
  /** The name that people use for a peer. */
  nameOf: (peer: string) => string;
  log: (message: string) => void;
}

export interface AgentStatus {
  upstream: string | undefined;
  isRunning: boolean;
  isPaused: boolean;
  /** Snapshots that are not here yet, as far as known. */
  pending: readonly SyncSnapshot[];
  /** Bytes of the pending snapshots, at most; undefined: not known yet. */
  bytes: number | undefined;
  /** When the upstream said so, by the timers' clock; undefined: not yet. */
  seenMs: number | undefined;
  /** Nothing is pending, and nothing has happened since that may have changed that. */
  isLevel: boolean;
  /** Bytes received of the current transfer. */
  received: number;
  /** Why the last attempt failed; undefined: it did not. */
  failure: { code: string; message: string; atMs: number } | undefined;
  peers: readonly PeerSaid[];
  conflicts: readonly Conflict[];
}
