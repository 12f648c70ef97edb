/**
 * Soft locks: who needs which snapshot (design.md, rows L1–L9; format.md,
 * rules K1–K4).
 *
 * What must hold: a lock names a snapshot that exists, or is broken. A set
 * replaces all locks of its origin in one transaction. A set whose number is
 * not above the last one's changes nothing, also after a release. Nothing here
 * waits for the disk: a set is acknowledged when the open txg is stored.
 *
 * Doors: lock-text, soft-locks.
 */
import { CommandError } from '../../lib/errors.js';
import { LOCAL_ORIGIN, MAX_LOCK_SEQUENCE } from '../../format/records/lock-record.js';
import type { Catalog } from '../catalog.js';
import type { VolumeCore } from '../core.js';
import { checkItems, checkOrigin } from './lock-items.js';
import { type HeldLock, identityOf, type LockItem, LockNumbers, LockTable } from './lock-table.js';

export interface SoftLock extends LockItem {
  /** The volume that asked for it, by its UUID, or `local`. */
  origin: string;
  /** Number of the origin's newest set. */
  sequence: number;
  sinceMs: number;
  /** When the origin was last heard; undefined for `local`. */
  heardMs: number | undefined;
  /** The snapshot was deleted by force, and the origin does not know it yet. */
  isBroken: boolean;
}

export interface LockSetAnswer {
  /** False: the set was not newer than the one before, and changed nothing. */
  applied: boolean;
  /** False: it has the same locks as the set before. */
  changed: boolean;
  /** Number of the set that counts now. */
  sequence: number;
  /** One for each item, in order. `stale`: not locked, because the set was old. */
  items: { snapshot: string; outcome: 'kept' | 'unknown-snapshot' | 'stale' }[];
}

/** Largest size of a record and its key, for the worst case. */
const RECORD_BYTES = 1500;

export class SoftLocks {
  readonly #core: VolumeCore;
  readonly #catalog: Catalog;
  readonly #table: LockTable;

  constructor(core: VolumeCore, catalog: Catalog) {
    this.#core = core;
    this.#catalog = catalog;
    this.#table = new LockTable(core);
  }

  // Sets and news from an origin

  /**
   * Stores the origin's full set, which replaces the one before; an empty set
   * releases all locks. Throws CommandError: bad-lock, too-many-locks,
   * read-only; FsError ENOSPC.
   */
  set(origin: string, sequence: number, items: readonly LockItem[]): LockSetAnswer {
    checkOrigin(origin);
    checkItems(sequence, items);
    this.#checkWritable();
    const uuids = new Set([...this.#catalog.snapshots.values()].map(({ uuid }) => uuid));
    const known = this.#table.origins.get(origin);
    // A number that can't be, once taken, must not keep out all sets that come after it.
    const isSound = known !== undefined && known.sequence <= MAX_LOCK_SEQUENCE;
    if (isSound && sequence <= known.sequence) {
      this.heard(origin);
      return staleAnswer(known.sequence, known.locks, uuids, items);
    }
    const wanted = items.filter(({ snapshot }) => uuids.has(snapshot));
    const identities = new Set(wanted.map(identityOf));
    const surplus = this.#held(origin).filter((held) => !identities.has(identityOf(held)));
    const changed = this.#change(origin, sequence, surplus, wanted);
    return {
      applied: true,
      changed,
      sequence,
      items: items.map(({ snapshot }) => ({
        snapshot,
        outcome: uuids.has(snapshot) ? 'kept' : 'unknown-snapshot',
      })),
    };
  }

  /** The locks of an origin that are not broken. */
  #held(origin: string): HeldLock[] {
    const locks = this.#table.origins.get(origin)?.locks ?? [];
    return [...locks].filter(({ isBroken }) => !isBroken);
  }

  /**
   * In one transaction; wanted locks that exist stay unchanged. Returns false
   * when that is all of them.
   */
  #change(
    name: string,
    sequence: number,
    surplus: readonly HeldLock[],
    wanted: readonly LockItem[],
  ): boolean {
    const table = this.#table;
    const known = new Map(
      [...(table.origins.get(name)?.locks ?? [])].map((held) => [identityOf(held), held]),
    );
    const byIdentity = new Map(wanted.map((item) => [identityOf(item), item]));
    const added = [...byIdentity].filter(([identity]) => known.get(identity)?.isBroken !== false);
    table.makeRoom(name, added.length - surplus.length);
    const change = (): void => {
      const origin = table.origin(name);
      for (const held of surplus) table.drop(held);
      for (const [identity] of added) {
        // The lock was broken, and the snapshot has come back: the origin knows that it was
        // deleted.
        const broken = known.get(identity);
        if (broken !== undefined) table.drop(broken);
      }
      const numbers = new LockNumbers(origin.locks);
      const sinceMs = this.#core.clock.nowMs();
      for (const [, item] of added) {
        const { snapshot, type, text, dataset, dependent } = item;
        const what = { snapshot, type, text, dataset, dependent };
        table.put({ ...what, origin, number: numbers.take(snapshot), sinceMs, isBroken: false });
      }
      origin.sequence = sequence;
      table.heard(origin);
    };
    // Releasing always works; locking may find the disk full.
    if (added.length === 0) this.#core.withReserve(change);
    else this.#core.change(1 + added.length, RECORD_BYTES * (1 + added.length), change);
    return added.length + surplus.length > 0;
  }

  /** The origin is alive. Does nothing for an unknown origin. */
  heard(origin: string): void {
    const known = this.#table.origins.get(origin);
    if (known === undefined || this.#core.readOnly || this.#core.failure !== undefined) return;
    this.#core.withReserve(() => this.#table.heard(known));
  }

  /** The number of the newest accepted set; undefined: the origin is unknown. */
  sequenceOf(origin: string): number | undefined {
    return this.#table.origins.get(origin)?.sequence;
  }

  /** The origin's locks of snapshots that were deleted by force, until it acknowledges them. */
  broken(origin: string): SoftLock[] {
    const locks = this.#table.origins.get(origin)?.locks ?? [];
    return [...locks].filter(({ isBroken }) => isBroken).map(softLock);
  }

  /** The origin has learned of its broken locks of these snapshots. */
  acknowledgeBroken(origin: string, snapshots: readonly string[]): void {
    this.#checkWritable();
    const told = new Set(snapshots);
    const locks = [...(this.#table.origins.get(origin)?.locks ?? [])];
    this.#core.withReserve(() => {
      for (const one of locks) if (one.isBroken && told.has(one.snapshot)) this.#table.drop(one);
    });
  }

  // Commands of users

  /** Sets a user's lock. Repeating it changes nothing. */
  lock(
    snapshot: { name: string; uuid: string },
    reason: string,
    source: string,
  ): Record<string, unknown> {
    this.#checkWritable();
    const { name, uuid } = snapshot;
    if (reason === '') throw new CommandError('bad-lock', 'EINVAL', 'the reason is empty');
    const item: LockItem = {
      snapshot: uuid,
      type: 'owner',
      text: reason,
      dataset: '',
      dependent: '',
    };
    checkItems(1, [item]);
    const isHeld = this.#held(LOCAL_ORIGIN).some((held) => identityOf(held) === identityOf(item));
    if (!isHeld) {
      this.#change(LOCAL_ORIGIN, this.#nextLocal(), [], [item]);
      this.#history('lock', name, source, 'locked', { reason });
    }
    return { command: 'lock', name, uuid, text: reason };
  }

  #nextLocal(): number {
    return (this.sequenceOf(LOCAL_ORIGIN) ?? 0) + 1;
  }

  /** Removes users' locks of a snapshot: the one with this reason, or all. */
  unlock(
    { name, uuid }: { name: string; uuid: string },
    reason: string | undefined,
    source: string,
  ): Record<string, unknown> {
    this.#checkWritable();
    const all = this.#table.of(uuid);
    const local = all.filter(({ origin }) => origin.name === LOCAL_ORIGIN);
    const released = local.filter(({ text }) => reason === undefined || text === reason);
    if (released.length === 0) {
      const message =
        local.length > 0
          ? `snapshot ${name} is locked for other reasons: ${local.map(({ text }) => text).join('; ')}`
          : all.length > 0
            ? `snapshot ${name} is only locked by others: shadowfs unlock --from ORIGIN releases their locks`
            : `snapshot ${name} is not locked`;
      throw new CommandError('not-locked', 'ENOENT', message, { name });
    }
    this.#change(LOCAL_ORIGIN, this.#nextLocal(), released, []);
    const reasons = released.map(({ text }) => text);
    this.#history('unlock', name, source, 'unlocked', { reasons });
    return { command: 'unlock', name, uuid, releasedCount: released.length };
  }

  /**
   * A user releases all locks of an origin, by its name or the beginning of it;
   * its number stays.
   */
  release(name: string, source: string): Record<string, unknown> {
    this.#checkWritable();
    const origin = this.#require(name);
    const released = this.#held(origin);
    this.#core.withReserve(() => {
      for (const held of released) this.#table.drop(held);
    });
    const details = { origin, releasedCount: released.length };
    this.#history('unlock', undefined, source, 'released', details);
    return { command: 'unlock', ...details };
  }

  #require(name: string): string {
    const origins = [...this.#table.origins.keys()];
    if (origins.includes(name)) return name;
    const near = origins.filter((one) => one.startsWith(name));
    const [found] = near;
    if (found !== undefined && near.length === 1 && name.length >= 4) return found;
    const how = near.length > 1 ? 'several origins begin' : 'no origin of soft locks begins';
    throw new CommandError(
      'no-such-origin',
      'ENOENT',
      `${how} with ${JSON.stringify(name.slice(0, 100))}`,
      { origins },
    );
  }

  // Queries

  isLocked(uuid: string): boolean {
    return this.#table.isLocked(uuid);
  }

  /** The locks of a snapshot, by its UUID. */
  of(uuid: string): SoftLock[] {
    return this.#table.of(uuid).map(softLock);
  }

  /** All locks, broken ones too. */
  all(): SoftLock[] {
    return [...this.#table.origins.values()].flatMap(({ locks }) => [...locks].map(softLock));
  }

  /** Breaks the locks of a snapshot that is deleted by force in this txg. Returns them. */
  breakOf(uuid: string): SoftLock[] {
    const held = this.#table.of(uuid);
    for (const one of held) {
      this.#table.drop(one);
      if (one.origin.name !== LOCAL_ORIGIN) this.#table.put({ ...one, isBroken: true });
    }
    return held.map(softLock);
  }

  #checkWritable(): void {
    const { failure, readOnly } = this.#core;
    if (failure !== undefined) {
      throw new CommandError('volume-failed', 'EIO', `the volume failed: ${failure.message}`);
    }
    if (readOnly) throw new CommandError('read-only', 'EROFS', 'the volume is mounted read-only');
  }

  #history(
    command: string,
    name: string | undefined,
    source: string,
    outcome: string,
    details: Record<string, unknown>,
  ): void {
    this.#catalog.addHistory({
      command,
      ...(name !== undefined && { name }),
      source,
      outcome,
      details,
    });
  }
}

function staleAnswer(
  sequence: number,
  locks: Iterable<HeldLock>,
  uuids: ReadonlySet<string>,
  items: readonly LockItem[],
): LockSetAnswer {
  const held = new Set([...locks].filter(({ isBroken }) => !isBroken).map(identityOf));
  return {
    applied: false,
    changed: false,
    sequence,
    items: items.map((item) => {
      const { snapshot } = item;
      if (held.has(identityOf(item))) return { snapshot, outcome: 'kept' };
      return { snapshot, outcome: uuids.has(snapshot) ? 'stale' : 'unknown-snapshot' };
    }),
  };
}

function softLock(held: HeldLock): SoftLock {
  const { origin, snapshot, type, text, dataset, dependent, sinceMs, isBroken } = held;
  const item = { snapshot, type, text, dataset, dependent };
  const { name, sequence } = origin;
  const heardMs = name === LOCAL_ORIGIN ? undefined : origin.heardMs;
  return { ...item, origin: name, sequence, sinceMs, heardMs, isBroken };
}
