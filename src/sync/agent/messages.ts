/**
 * What two peers say to each other. The downstream asks, the upstream answers;
 * for a change of roles either side asks. Everything may be said twice: a
 * request that was served is served again with the same outcome, or refused.
 */
import type { TransferRequest } from '../stream/sender.js';

/** Raised by each change of roles, and unique: two that are raised apart from each other differ in `by`. */
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

/** A primary that has turned standby, for a peer that is to be the next primary. */
export interface Handover {
  to: string;
  /** The one that the peer takes. */
  epoch: Epoch;
  /** UUID of the last snapshot, which the peer must have before it does. */
  snapshot: string;
}

export interface Standing {
  volume: string;
  /** UUID of the volume in which the history began; '': nothing was done here yet. */
  history: string;
  role: Role;
  epoch: Epoch;
  handover?: Handover;
  /** Whom it follows, whom that one follows, and so on, as far as known. */
  upstreams: readonly string[];
}

export interface SyncSnapshot {
  uuid: string;
  name: string;
  createdMs: number;
}

export type LockType = 'owner' | 'destination' | 'fileset';

/** A soft lock as it travels: what is needed, and by whom (design.md, rows L1–L3). */
export interface NeededSnapshot {
  /** UUID of the snapshot. */
  snapshot: string;
  type: LockType;
  /** Names the dependent, for people. */
  text: string;
  /** UUID of the volume that needs it: not always the one that sends the lock on. */
  origin: string;
  dataset: string;
}

export interface LockSet {
  sequence: number;
  items: readonly NeededSnapshot[];
  /** UUIDs of snapshots: the sender has heard that they were deleted in spite of its locks. */
  seen: readonly string[];
}

export interface LockOutcome {
  snapshot: string;
  outcome: 'kept' | 'unknown-snapshot';
}

export type SyncRequest =
  /** Who are you, and what do you have? */
  | { kind: 'look'; standing: Standing }
  /** The same, by a downstream that means to pull. */
  | { kind: 'greet'; standing: Standing }
  /** The full set of the sender; of two the higher number counts. */
  | ({ kind: 'locks' } & LockSet)
  /** A piece of a stream; `transfer` is the same in all of one transfer. */
  | { kind: 'read'; transfer: number; request: TransferRequest; index: number }
  /** How long would this stream be? */
  | { kind: 'size'; request: TransferRequest }
  /** Make me primary in your place. `epoch`: yours, as I know it. */
  | { kind: 'hand-over'; epoch: Epoch }
  /** There is something new to pull, or a role has changed. */
  | { kind: 'news' };

export interface LookAnswer {
  standing: Standing;
  /** Those that can be sent, in the order in which they came to be. */
  snapshots: readonly SyncSnapshot[];
}

export interface LocksAnswer {
  sequence: number;
  items: readonly LockOutcome[];
  /** UUIDs of snapshots that the asker had locked and somebody deleted by force; told until it has heard. */
  broken: readonly string[];
}

/** So many pieces are asked for at once: a round trip takes longer than to read one. */
export const PIECES_AHEAD = 4;
/** Kept by the upstream, should they be asked for again. */
export const PIECES_KEPT = 2 * PIECES_AHEAD;

export type ReadAnswer = { bytes: Uint8Array; isLast: boolean };

/** Of a whole stream, at most. */
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
