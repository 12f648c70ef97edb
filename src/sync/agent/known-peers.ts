/**
 * What an agent knows of its peers from their last messages, and which of them
 * is a second primary.
 */
import { compareEpochs, type Epoch, type Standing } from './messages.js';
import type { SyncVolume } from './sync-volume.js';

/** Two volumes that are primary at the same time. */
export interface Conflict {
  peer: string;
  theirs: Epoch;
  mine: Epoch;
}

export class KnownPeers {
  readonly #volume: SyncVolume;
  readonly #log: (message: string) => void;
  readonly #standings = new Map<string, Standing>();
  readonly #conflicts = new Map<string, Conflict>();

  constructor(volume: SyncVolume, log: (message: string) => void) {
    this.#volume = volume;
    this.#log = log;
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
