/**
 * What the agent needs of its volume. In a daemon the volume lives in another
 * thread; in the simulation it is a model. The result of every promise is
 * durable, in one transaction, when the promise resolves (rule D7).
 */
import type { TransferRequest } from '../stream/sender.js';
import type { StreamPosition } from '../../format/wire/stream.js';
import type {
  Epoch,
  Handover,
  NeededSnapshot,
  LockOutcome,
  LockSet,
  Role,
  SyncSnapshot,
} from './messages.js';

export interface StoredRole {
  role: Role;
  epoch: Epoch;
  /** The volume that a standby follows, or followed before its promotion. */
  upstream?: string;
  handover?: Handover;
}

/** A snapshot being sent. */
export interface Outgoing {
  /**
   * The next piece of the stream; undefined after the last. Its bytes stay valid until PIECES_KEPT
   * and PIECES_AHEAD more pieces have been requested. Throws when something can't be read.
   */
  next(): Promise<Uint8Array | undefined>;
  close(): void;
}

/** A snapshot being received. */
export interface Incoming {
  /** Where an interrupted transfer resumes. */
  readonly resumed: StreamPosition | undefined;
  push(bytes: Uint8Array): Promise<void>;
  /**
   * Call after the last piece: adopts the snapshot, and moves the live view to it if the volume is
   * a standby. From then on the volume needs this snapshot of its upstream, so it is also locked
   * here, in place of the previous one.
   */
  finish(epoch: Epoch): Promise<void>;
  /** Keeps what has arrived, to resume later. */
  suspend(): Promise<void>;
  /** The transfer can't be resumed: keeps nothing. */
  drop(): Promise<void>;
}

export interface StoredLocks {
  outcomes: readonly LockOutcome[];
  /** As in LocksAnswer. */
  broken: readonly string[];
  isChanged: boolean;
}

export interface SyncVolume {
  readonly uuid: string;
  readonly history: string;
  role(): StoredRole;
  /** Snapshots that can be sent, in the order in which they were made. */
  snapshots(): readonly SyncSnapshot[];
  /** UUID of the snapshot that a standby's live view shows; undefined: it shows none of them. */
  shown(): string | undefined;
  /** Moves a standby's live view; from then on the volume needs this snapshot of its upstream. */
  show(snapshot: string, epoch: Epoch): Promise<void>;
  /** The interval between two runs that a person has set; undefined: pull on news. */
  pullEveryMs(): number | undefined;
  /** Somebody has set that not all is kept of what the upstream has deleted. */
  prunes(): boolean;
  /** UUIDs of snapshots that the upstream does not have: deletes those that are not kept. */
  prune(absent: readonly string[]): Promise<void>;
  /** The locks that downstreams hold here; not this volume's own. */
  locksOfDownstreams(): readonly NeededSnapshot[];
  /**
   * Replaces the set of a downstream, unless a newer one is stored. A set equal to the stored one
   * is not written again: no older set can replace it.
   */
  storeLocks(from: string, set: LockSet): Promise<StoredLocks>;

  /** Throws CommandError: `no-such-snapshot`. */
  send(request: TransferRequest): Outgoing;
  /** Bytes of that stream, at most; reads no content. Throws CommandError: `no-such-snapshot`. */
  sizeOf(request: TransferRequest): Promise<number>;
  /** Throws CommandError when the snapshot can't be received here. */
  receive(from: string | null, to: string): Promise<Incoming>;

  /** Standby to primary, with the live tree as it is. */
  promote(epoch: Epoch): Promise<void>;
  /**
   * A primary, or a volume that has handed over, to a standby of `upstream`. The live view goes to
   * `to` (undefined: nothing is in common, so it stays until the first snapshot arrives). Changes
   * since then become `diverged-…`.
   */
  demote(to: string | undefined, epoch: Epoch, upstream: string): Promise<void>;
  /** Primary to standby, after a last snapshot, which the next primary must have. */
  handOver(to: string, epoch: Epoch): Promise<Handover>;
  /** A standby follows another upstream, or the same one in a later epoch. Ends a handover. */
  follow(upstream: string, epoch: Epoch): Promise<void>;
}
