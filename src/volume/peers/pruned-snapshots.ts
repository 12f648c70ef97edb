/**
 * What a standby keeps of the snapshots that its primary has deleted: the
 * option, in `meta`, and the deletions that follow from it.
 *
 * What must hold: only what came from a peer and still has the name that it
 * came with is deleted, never what somebody here made or renamed, what is
 * locked, or what the standby shows.
 */
import {
  AS_PRIMARY,
  formatKeepPruned,
  KEEP_ALL,
  type KeepPruned,
  parseKeepPruned,
} from '../../format/text/keep-pruned.js';
import { isPeerSource, peerSource } from '../../format/text/source.js';
import type { Catalog, Snapshot } from '../catalog.js';
import type { VolumeCore } from '../core.js';
import type { SoftLocks } from '../locks/soft-locks.js';
import { type Expired, expired } from '../snapshots/expiry.js';
import type { SnapshotCommands } from '../snapshots/snapshot-commands.js';
import { SyncOption } from './sync-option.js';

const META = 'keepPruned';

export class PrunedSnapshots {
  #keep: KeepPruned;
  readonly #option: SyncOption;
  /** The locks last reported in the history: a lasting lock is reported once. */
  #toldLocked = '';

  constructor(
    readonly core: VolumeCore,
    readonly catalog: Catalog,
    readonly commands: SnapshotCommands,
    readonly locks: SoftLocks,
  ) {
    this.#option = new SyncOption(core, catalog, META);
    const text = this.#option.read();
    this.#keep = text === undefined ? KEEP_ALL : parseKeepPruned(text);
  }

  /** As people write it; `all` when nobody has set it. */
  get text(): string {
    return formatKeepPruned(this.#keep);
  }

  /** Throws CommandError `bad-schedule`. */
  set(text: string, source: string): { keeps: string } {
    this.commands.writable();
    this.#keep = parseKeepPruned(text);
    const keeps = this.text;
    const stored = this.#keep === KEEP_ALL ? undefined : keeps;
    this.#option.set(stored, { outcome: `keep ${keeps}`, source });
    return { keeps };
  }

  /** `absent`: UUIDs of snapshots that the upstream does not have. False: nothing is to be done. */
  isDue(absent: readonly string[]): boolean {
    const { expired: due, locked } = this.#due(absent);
    return due.length > 0 || (locked.length > 0 && namesOf(locked).join('/') !== this.#toldLocked);
  }

  /** Deletes what is not kept. `peer`: the upstream's name, for the history. */
  prune(absent: readonly string[], peer: string): { deleted: string[]; locked: string[] } {
    this.commands.writable();
    const { core, catalog } = this;
    const due = this.#due(absent);
    const [deleted, locked] = [namesOf(due.expired), namesOf(due.locked)];
    return core.withReserve(() => {
      for (const name of deleted) catalog.deleteSnapshot(name);
      this.#toldLocked = locked.join('/');
      catalog.addHistory({
        command: 'prune',
        name: peer,
        source: peerSource(peer),
        outcome: `deleted ${deleted.length}, kept ${locked.length} locked`,
        details: { keeps: this.text, deleted, locked },
      });
      return { deleted, locked };
    });
  }

  #due(absent: readonly string[]): Expired<Snapshot & { isLocked: boolean }> {
    if (this.#keep === KEEP_ALL) return { expired: [], locked: [] };
    const gone = new Set(absent);
    const { shown } = this.catalog.role;
    const candidates = this.catalog
      .list()
      .filter(({ uuid, kind, source }) => {
        const isReceived = isPeerSource(source) && (kind === 'user' || kind === 'auto');
        return isReceived && gone.has(uuid) && uuid !== shown;
      })
      .map((one) => ({ ...one, isLocked: this.locks.isLocked(one.uuid) }));
    if (this.#keep === AS_PRIMARY) {
      return {
        expired: candidates.filter(({ isLocked }) => !isLocked),
        locked: candidates.filter(({ isLocked }) => isLocked),
      };
    }
    // They are dated by the primary's clock, which may be ahead.
    const rules = { everyMs: 0, keep: this.#keep };
    return expired(rules, candidates.map(asScheduled), Number.POSITIVE_INFINITY);
  }
}

/** The rules of a schedule look at the schedule's own snapshots only. */
function asScheduled<S extends Snapshot>(snapshot: S): S {
  return { ...snapshot, kind: 'auto' };
}

function namesOf(snapshots: readonly Snapshot[]): string[] {
  return snapshots.map(({ name }) => name);
}
