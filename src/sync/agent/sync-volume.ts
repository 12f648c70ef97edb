/**
 * What the agent needs of its volume. In a daemon the volume lives in another
 * thread; in the simulation it is a model. Whatever returns a promise is
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
  /** Whom a standby follows, or followed before it was made primary. */
  upstream?: string;
  handover?: Handover;
}

/** A snapshot being sent. */
export interface Outgoing {
  /**
   * The next piece of the stream; undefined after the last. Its bytes stay while PIECES_KEPT and
   * PIECES_AHEAD more are asked for. Throws when something can't be read.
   */
  next(): Promise<Uint8Array | undefined>;
  close(): void;
}

/** A snapshot being received. */
export interface Incoming {
  /** Where an interrupted one goes on. */
  readonly resumed: StreamPosition | undefined;
  push(bytes: Uint8Array): Promise<void>;
  /**
   * The last piece was pushed: adopts the snapshot, and moves the live view to it, when the volume
   * is a standby. From then on the snapshot is what the volume needs of its upstream: it is locked
   * here too, in place of the one before.
   */
  finish(epoch: Epoch): Promise<void>;
  /** Keeps what came, to go on from there later. */
  suspend(): Promise<void>;
  /** It can't be gone on with: nothing is kept. */
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
  /** Those that can be sent, in the order in which they came to be. */
  snapshots(): readonly SyncSnapshot[];
  /** UUID of the snapshot that a standby's live view shows; undefined: none of these. */
  shown(): string | undefined;
  /** Moves a standby's live view; the snapshot is from then on what the volume needs of its upstream. */
  show(snapshot: string, epoch: Epoch): Promise<void>;
  /** Between two runs, when a person has said so; undefined: as soon as there is news. */
  pullEveryMs(): number | undefined;
  /** The locks that downstreams have set here; not this volume's own. */
  locksOfDownstreams(): readonly NeededSnapshot[];
  /**
   * Replaces the set of a downstream, unless a newer one is stored. The same set once more is not
   * stored again: nothing older can take its place.
   */
  storeLocks(from: string, set: LockSet): Promise<StoredLocks>;

  /** Throws CommandError: `no-such-snapshot`. */
  send(request: TransferRequest): Outgoing;
  /** Bytes of that stream, at most; reads no content. Throws CommandError: `no-such-snapshot`. */
  sizeOf(request: TransferRequest): Promise<number>;
  /** Throws CommandError when it can't be received here. */
  receive(from: string | null, to: string): Promise<Incoming>;

  /** Standby to primary, with the live tree as it is. */
  promote(epoch: Epoch): Promise<void>;
  /**
   * A primary, or one that has handed over, to a standby of `upstream`: the live view goes to `to` (undefined: it stays, for there is nothing
   * in common, until the first snapshot arrives); what was written since becomes `diverged-…`.
   */
  demote(to: string | undefined, epoch: Epoch, upstream: string): Promise<void>;
  /** Primary to standby, after a last snapshot, which the next primary must have. */
  handOver(to: string, epoch: Epoch): Promise<Handover>;
  /** A standby follows another upstream, or the same one in a later epoch. Ends a handover. */
  follow(upstream: string, epoch: Epoch): Promise<void>;
}
