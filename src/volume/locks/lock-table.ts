/**
 * The table `locks` (native-notes/format.md, rules K1–K4). Its limits allow it
 * to be in memory as a whole, by origin and by snapshot; every change also goes
 * into the open txg. `SoftLocks` decides what a change means.
 */
import { CommandError } from '../../lib/errors.js';
import {
  decodeLock,
  decodeLockKey,
  decodeOrigin,
  encodeLock,
  encodeOrigin,
  LOCAL_ORIGIN,
  lockKey,
  type LockType,
  MAX_LOCKS,
  MAX_LOCKS_OF_ORIGIN,
  MAX_ORIGINS,
  originKey,
} from '../../format/records/lock-record.js';
import { TABLE } from '../../format/records/tables.js';
import type { VolumeCore } from '../core.js';

export interface LockItem {
  /** A snapshot's UUID. */
  snapshot: string;
  type: LockType;
  /** Names the dependent, for people. */
  text: string;
  dataset: string;
  /**
   * UUID of the volume that needs the snapshot, when the origin only passes the
   * lock on; else empty.
   */
  dependent: string;
}

export interface Origin {
  readonly name: string;
  sequence: number;
  heardMs: number;
  readonly locks: Set<HeldLock>;
}

export interface HeldLock extends Readonly<LockItem> {
  readonly origin: Origin;
  /** Distinguishes the locks of one origin and snapshot. */
  readonly number: number;
  readonly sinceMs: number;
  readonly isBroken: boolean;
}

export class LockTable {
  readonly origins = new Map<string, Origin>();
  /** Locks that are not broken, by their snapshot's UUID. */
  readonly #bySnapshot = new Map<string, Set<HeldLock>>();
  readonly #core: VolumeCore;
  #count = 0;

  constructor(core: VolumeCore) {
    this.#core = core;
    for (const { key, value } of core.reader.range(TABLE.locks, undefined, undefined)) {
      this.#load(key, value);
    }
  }

  /** A damaged record still locks: its details are lost, but the snapshot is still needed. */
  #load(key: Buffer, value: Buffer): void {
    const decoded = decodeLockKey(key);
    if (decoded === undefined) return;
    const origin = this.origin(decoded.origin);
    const { lock } = decoded;
    if (lock === undefined) {
      const read = readable(() => decodeOrigin(value, decoded.origin));
      origin.sequence = read?.sequence ?? 0;
      origin.heardMs = read?.heardMs ?? 0;
      return;
    }
    const { uuid, number } = lock;
    const read = readable(() => decodeLock(value, uuid));
    const lost = { type: 'owner', text: '(damaged record)', dataset: '', dependent: '' } as const;
    this.#add({ snapshot: uuid, origin, number, sinceMs: 0, isBroken: false, ...(read ?? lost) });
  }

  /** Returns the origin, and creates it if it is unknown. */
  origin(name: string): Origin {
    let origin = this.origins.get(name);
    if (origin === undefined) {
      origin = { name, sequence: 0, heardMs: 0, locks: new Set() };
      this.origins.set(name, origin);
    }
    return origin;
  }

  isLocked(uuid: string): boolean {
    return this.#bySnapshot.has(uuid);
  }

  of(uuid: string): HeldLock[] {
    return [...(this.#bySnapshot.get(uuid) ?? [])];
  }

  /** Throws `too-many-locks` when there is no room for `more` locks of the origin. */
  makeRoom(name: string, more: number): void {
    const ofOrigin = (this.origins.get(name)?.locks.size ?? 0) + more;
    if (more > 0 && (ofOrigin > MAX_LOCKS_OF_ORIGIN || this.#count + more > MAX_LOCKS)) {
      throw tooMany(
        `there would be more than ${MAX_LOCKS_OF_ORIGIN} soft locks of ${name}, ` +
          `or more than ${MAX_LOCKS} in all`,
      );
    }
    if (this.origins.has(name) || this.origins.size < MAX_ORIGINS) return;
    // Forgets the origin that has been silent for longest, among those without locks.
    const idle = [...this.origins.values()]
      .filter(({ locks, name }) => locks.size === 0 && name !== LOCAL_ORIGIN)
      .sort((a, b) => a.heardMs - b.heardMs)[0];
    if (idle === undefined) throw tooMany(`${MAX_ORIGINS} others have soft locks here already`);
    this.origins.delete(idle.name);
    this.#core.putSystem(TABLE.locks, originKey(idle.name), undefined);
  }

  put(held: HeldLock): void {
    this.#add(held);
    this.#core.putSystem(TABLE.locks, keyOf(held), encodeLock(held));
  }

  drop(held: HeldLock): void {
    held.origin.locks.delete(held);
    this.#count--;
    const others = this.#bySnapshot.get(held.snapshot);
    others?.delete(held);
    if (others?.size === 0) this.#bySnapshot.delete(held.snapshot);
    this.#core.putSystem(TABLE.locks, keyOf(held), undefined);
  }

  /** Stores the origin's record, with the time. */
  heard(origin: Origin): void {
    origin.heardMs = this.#core.clock.nowMs();
    this.#core.putSystem(TABLE.locks, originKey(origin.name), encodeOrigin(origin));
  }

  #add(held: HeldLock): void {
    held.origin.locks.add(held);
    this.#count++;
    if (held.isBroken) return;
    const others = this.#bySnapshot.get(held.snapshot);
    if (others === undefined) this.#bySnapshot.set(held.snapshot, new Set([held]));
    else others.add(held);
  }
}

function keyOf({ origin, snapshot, number }: HeldLock): Buffer {
  return lockKey(origin.name, snapshot, number);
}

/** Two locks of one origin with the same identity are one lock. */
export function identityOf({ snapshot, type, text, dataset, dependent }: LockItem): string {
  return JSON.stringify([snapshot, type, text, dataset, dependent]);
}

/** Assigns numbers that no lock of the same snapshot has. */
export class LockNumbers {
  readonly #taken = new Map<string, Set<number>>();

  constructor(locks: Iterable<HeldLock>) {
    for (const { snapshot, number } of locks) this.#of(snapshot).add(number);
  }

  #of(snapshot: string): Set<number> {
    let numbers = this.#taken.get(snapshot);
    if (numbers === undefined) {
      numbers = new Set();
      this.#taken.set(snapshot, numbers);
    }
    return numbers;
  }

  take(snapshot: string): number {
    const numbers = this.#of(snapshot);
    let number = 0;
    while (numbers.has(number)) number++;
    numbers.add(number);
    return number;
  }
}

function tooMany(message: string): CommandError {
  return new CommandError('too-many-locks', 'EDQUOT', message);
}

function readable<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}
