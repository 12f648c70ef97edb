/** What an agent is given, and what it tells of itself. */
import type { Fabric, Timers } from '../fabric.js';
import type { CallMessage } from './calls.js';
import type { Conflict } from './known-peers.js';
import type { SyncSnapshot } from './messages.js';
import type { SyncVolume } from './sync-volume.js';

export interface AgentSetup {
  volume: SyncVolume;
  incarnation: number;
  fabric: Fabric<CallMessage>;
  timers: Timers;
  /** Evenly from 0 to below 1: spreads the retries of many. */
  random: () => number;
  name: string;
  dataset: string;
  /** Between two runs, without news. */
  idleMs: number;
  /** UUIDs of all peers that are paired. */
  peers: () => readonly string[];
  /** What people call a peer. */
  nameOf: (peer: string) => string;
  log: (message: string) => void;
}

export interface AgentStatus {
  upstream: string | undefined;
  isRunning: boolean;
  isPaused: boolean;
  /** Not here yet, as far as known. */
  pending: readonly SyncSnapshot[];
  /** Of what is pending, at most; undefined: not known yet. */
  bytes: number | undefined;
  /** Of the one under way. */
  received: number;
  error: string | undefined;
  conflicts: readonly Conflict[];
}
