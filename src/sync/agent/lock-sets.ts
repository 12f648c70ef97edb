/**
 * The sets of locks that downstreams send, stored one after the other for each
 * downstream. The stored set shows whether a new one changes anything, so no
 * set is compared while the one before it is still on its way to the disk.
 *
 * What must hold: no set replaces a newer one.
 */
import { CommandError } from '../../lib/errors.js';
import type { LockSet } from './messages.js';
import type { StoredLocks, SyncVolume } from './sync-volume.js';

export class LockSets {
  /** Sequence number of the newest set that each peer has sent. */
  readonly #sequences = new Map<string, number>();
  readonly #storing = new Map<string, Promise<unknown>>();

  constructor(readonly volume: SyncVolume) {}

  /** Throws CommandError `stale-locks`, and the volume's errors. */
  async store(from: string, set: LockSet): Promise<StoredLocks> {
    // A late set is recognised even where the set after it was not stored because nothing changed.
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
