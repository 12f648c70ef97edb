/**
 * The sets of locks that downstreams send, stored one after the other for each
 * of them: whether a set changes anything is seen from what is stored, so none
 * may be looked at while the one before it is still on its way to the disk.
 *
 * What must hold: no set takes the place of a newer one.
 */
import { CommandError } from '../../lib/errors.js';
import type { LockSet } from './messages.js';
import type { StoredLocks, SyncVolume } from './sync-volume.js';

export class LockSets {
  /** Of the newest set that each peer has sent. */
  readonly #sequences = new Map<string, number>();
  readonly #storing = new Map<string, Promise<unknown>>();

  constructor(readonly volume: SyncVolume) {}

  /** Throws CommandError `stale-locks`, and what the volume throws. */
  async store(from: string, set: LockSet): Promise<StoredLocks> {
    // Late ones are known also where the set after them was not stored, being the same.
    this.#refuseStale(from, set);
    this.#sequences.set(from, set.sequence);
    const before = this.#storing.get(from) ?? Promise.resolve();
    const stored = before.then(() => {
      this.#refuseStale(from, set);
      return this.volume.storeLocks(from, set);
    });
    const over = stored.catch(() => undefined);
    this.#storing.set(from, over);
    try {
      return await stored;
    } finally {
      if (this.#storing.get(from) === over) this.#storing.delete(from);
    }
  }

  #refuseStale(from: string, { sequence }: LockSet): void {
    if (sequence < (this.#sequences.get(from) ?? 0))
      throw new CommandError('stale-locks', 'ESTALE', 'there is a newer set');
  }
}
