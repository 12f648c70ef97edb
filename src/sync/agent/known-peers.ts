/**
 * What an agent knows of its peers from their last messages: their roles, how
 * far those that follow this volume have come, and which of them is a second
 * primary.
 */
import { compareEpochs, type Epoch, type Role, type Standing } from './messages.js';
import type { SyncVolume } from './sync-volume.js';

/** Two volumes that are primary at the same time. */
export interface Conflict {
  peer: string;
  theirs: Epoch;
  mine: Epoch;
}

/** What a peer has said about itself since this agent was started. */
export interface PeerSaid {
  peer: string;
  role: Role;
  epoch: Epoch;
  /** It is a standby of this volume. */
  isFollower: boolean;
  /**
   * For a follower: the UUID of the newest common snapshot that it has; null: none. Undefined: it
   * has not said so.
   */
  has: string | null | undefined;
}

export class KnownPeers {
  readonly #volume: SyncVolume;
  readonly #log: (message: string) => void;
  readonly #standings = new Map<string, Standing>();
  readonly #has = new Map<string, string | null>();
  readonly #conflicts = new Map<string, Conflict>();

  constructor(volume: SyncVolume, log: (message: string) => void) {
    this.#volume = volume;
    this.#log = log;
  }

  said(): PeerSaid[] {
    return [...this.#standings].map(([peer, { role, epoch, upstreams }]) => ({
      peer,
      role,
      epoch,
      isFollower: role === 'standby' && upstreams[0] === this.#volume.uuid,
      has: this.#has.get(peer),
    }));
  }

  /** A follower has said which snapshot its next run starts from. */
  noteHas(peer: string, has: string | null): void {
    this.#has.set(peer, has);
  }

  get conflicts(): readonly Conflict[] {
    return [...this.#conflicts.values()];
  }

  /** The volumes above the peer: its upstream, that one's upstream and so on, as it said last. */
  above(peer: string): readonly string[] {
    const upstreams = this.#standings.get(peer)?.upstreams ?? [];
    return upstreams.filter((uuid) => uuid !== this.#volume.uuid);
  }

  /** As the peer said last: a volume that is about to follow may still be primary. */
  isStandby(peer: string): boolean {
    return this.#standings.get(peer)?.role === 'standby';
  }

  /** The highest epoch that this volume has had or any peer has shown. */
  highestEpoch(): Epoch {
    let highest = this.#volume.role().epoch;
    for (const standing of this.#standings.values()) {
      for (const epoch of [standing.epoch, standing.handover?.epoch]) {
        if (epoch !== undefined && compareEpochs(epoch, highest) > 0) highest = epoch;
      }
    }
    return highest;
  }

  note(from: string, standing: Standing): void {
    if (standing.volume !== from) return;
    this.#standings.set(from, standing);
    const { role, epoch } = this.#volume.role();
    const isTwo =
      standing.role === 'primary' &&
      role === 'primary' &&
      standing.history === this.#volume.history;
    if (!isTwo) {
      this.#conflicts.delete(from);
      return;
    }
    if (!this.#conflicts.has(from)) {
      this.#log(`${from} is primary too, in role epoch ${standing.epoch.number}`);
    }
    this.#conflicts.set(from, { peer: from, theirs: standing.epoch, mine: epoch });
  }

  /** The role of this volume has changed: second primaries have to be found anew. */
  forgetConflicts(): void {
    this.#conflicts.clear();
  }
}
