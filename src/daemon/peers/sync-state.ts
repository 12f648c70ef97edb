/**
 * How the sync of a volume stands, for people and monitors: whom it follows, how
 * far behind it is, which standbys follow it, and what is wrong.
 *
 * What must hold: nothing old is shown as present. What the upstream has is
 * known as of `seenMs`; a volume is level only while it is connected and its
 * upstream has said nothing new; else `lagMs` counts from when it was level
 * last. All times are this machine's; no clock of a peer is compared with it.
 */
import type { RoleName } from '../../volume/peers/role.js';

/** `notice`: someone wanted it so. `warning`: it may heal by itself. `critical`: it will not. */
export type Severity = 'notice' | 'warning' | 'critical';

export interface Problem {
  code: string;
  severity: Severity;
  message: string;
}

export interface SyncConflict {
  peer: string;
  mine: number;
  theirs: number;
  message: string;
}

/** A volume that follows this one. */
export interface StandbyState {
  /** Its local name. */
  name: string;
  volume: string;
  connected: boolean;
  connectedSinceMs: number | null;
  disconnectedSinceMs: number | null;
  lastHeardMs: number | null;
  /** The newest snapshot that it has of this volume; null: none, or not known (`missingCount`). */
  has: string | null;
  /** How many snapshots it lacks; null: not known, since it has not said what it has. */
  missingCount: number | null;
  /** How long the oldest of them has been there; 0: it has all. Null: not known. */
  lagMs: number | null;
  error: string | null;
}

export interface SyncState {
  role: RoleName;
  epoch: number;
  /** The local name of the volume that this one follows, or its UUID if it is no peer any more. */
  upstream: string | null;
  upstreamVolume: string | null;
  /** Null: this volume follows nobody. */
  connected: boolean | null;
  connectedSinceMs: number | null;
  disconnectedSinceMs: number | null;
  lastHeardMs: number | null;
  /** All of the upstream's snapshots are here now, as far as it has said. */
  level: boolean;
  /** When that was so last. */
  levelMs: number | null;
  /** How far this volume may be behind: since when it is not level. Null: not known, or nobody. */
  lagMs: number | null;
  /** When the upstream said what `missingCount` and `pendingBytes` count. */
  seenMs: number | null;
  /** Snapshots that are known to be missing here. */
  missingCount: number;
  pendingBytes: number | null;
  receivedBytes: number;
  every: string;
  everyMs: number | null;
  /** What is kept of the snapshots that the upstream has deleted: `all`, `as-primary`, or rules. */
  keeps: string;
  isRunning: boolean;
  isPaused: boolean;
  /** Why it is not connected, or why the last attempt failed. */
  error: string | null;
  errorCode: string | null;
  errorMs: number | null;
  /** The local name of the volume that is to take this one's place. */
  handoverTo: string | null;
  conflicts: SyncConflict[];
  standbys: StandbyState[];
  problems: Problem[];
}
