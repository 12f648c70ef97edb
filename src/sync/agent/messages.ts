/**
 * What two peers say to each other. The downstream asks, the upstream answers;
 * for a change of roles either side asks. Every message may come twice: a
 * repeated request has the same outcome again, or is refused.
 */
import type { TransferRequest } from '../stream/sender.js';

/**
 * Raised by each change of roles, and unique: two epochs that are raised independently differ in
 * `by`.
 */
export interface Epoch {
  number: number;
  /** UUID of the volume that was made primary. */
  by: string;
}

/** Below 0: `a` is the older one. */
export function compareEpochs(a: Epoch, b: Epoch): number {
  return a.number - b.number || (a.by < b.by ? -1 : a.by > b.by ? 1 : 0);
}

export type Role = 'primary' | 'standby';

/** A primary that has turned standby, for the peer that is to be the next primary. */
export interface Handover {
  to: string;
  /** The epoch that the peer takes. */
  epoch: Epoch;
  /** UUID of the last snapshot, which the peer must have before it takes over. */
  snapshot: string;
}

export interface Standing {
  volume: string;
  /** UUID of the volume in which the history began; '': this volume has no history yet. */
  history: string;
  role: Role;
  epoch: Epoch;
  handover?: Handover;
  /** The volume's upstream, that one's upstream and so on, as far as known. */
  upstreams: readonly string[];
}

export interface SyncSnapshot {
  uuid: string;
  name: string;
  createdMs: number;
}

export type LockType = 'owner' | 'destination' | 'fileset';

/** A soft lock in a message: which snapshot is needed, and by whom (design.md, rows L1–L3). */
export interface NeededSnapshot {
  /** UUID of the snapshot. */
  snapshot: string;
  type: LockType;
  /** Names the dependent, for people. */
  text: string;
  /** UUID of the volume that needs it: not always the volume that passes the lock on. */
  origin: string;
  dataset: string;
}

export interface LockSet {
  sequence: number;
  items: readonly NeededSnapshot[];
  /** UUIDs of snapshots that were deleted in spite of the sender's locks: the sender knows. */
  seen: readonly string[];
}

export interface LockOutcome {
  snapshot: string;
  outcome: 'kept' | 'unknown-snapshot';
}

export type SyncRequest =
  /** Who are you, and what do you have? */
  | { kind: 'look'; standing: Standing }
  /** The same, by a downstream that is about to pull. */
  | { kind: 'greet'; standing: Standing }
  /**
   * The full set of the sender's locks; the set with the higher number counts. `has`: the newest
   * common snapshot, for people; null: none. Earlier versions leave it out.
   */
  | ({ kind: 'locks'; has?: string | null } & LockSet)
  /** A piece of a stream; all questions of one transfer have the same `transfer`. */
  | { kind: 'read'; transfer: number; request: TransferRequest; index: number }
  /** How long would this stream be? */
  | { kind: 'size'; request: TransferRequest }
  /** Make me primary in your place. `epoch`: yours, as far as I know. */
  | { kind: 'hand-over'; epoch: Epoch }
  /** There is something new to pull, or a role has changed. */
  | { kind: 'news' };

/** At most this many are named, the newest: an answer to a peer has a maximum length. */
export const SNAPSHOTS_MAX = 4000;

export interface LookAnswer {
  standing: Standing;
  /** Snapshots that can be sent, in the order in which they were made. */
  snapshots: readonly SyncSnapshot[];
}

export interface LocksAnswer {
  sequence: number;
  items: readonly LockOutcome[];
  /**
   * UUIDs of snapshots that the asker had locked and a user deleted by force; repeated until the
   * asker confirms.
   */
  broken: readonly string[];
}

/** Number of pieces requested at once: a round trip takes longer than reading a piece. */
export const PIECES_AHEAD = 4;
/** Number of pieces that the upstream keeps for repeated questions. */
export const PIECES_KEPT = 2 * PIECES_AHEAD;

export type ReadAnswer = { bytes: Uint8Array; isLast: boolean };

/** Size of a whole stream, at most. */
export interface SizeAnswer {
  bytes: number;
}

export interface SyncAnswers {
  look: LookAnswer;
  greet: LookAnswer;
  locks: LocksAnswer;
  read: ReadAnswer;
  size: SizeAnswer;
  'hand-over': Handover;
  news: null;
}

export type SyncAnswer = SyncAnswers[keyof SyncAnswers];
