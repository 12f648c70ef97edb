/**
 * Group saves: several mounts, saved at one consistent point or none of them
 * (native-notes/design.md, section 9, rows B1–B6).
 *
 * 1. The one who was asked greets the selected directors, which tells it their
 *    incarnations, and prepares them for a point with a key of its own.
 * 2. A prepared director quiesces its mount, parks further changes, and shows
 *    the key to all. Who sees the key in every selected row passes: between
 *    the last parking and the first passing all of them stood still.
 * 3. Who passes saves a *tentative* snapshot, lets the parked changes go on,
 *    and tells the one who was asked. Who waits too long, or sees a different
 *    key, shows a different key himself and lets them go on without saving.
 * 4. Once all have saved, the one who was asked stores a *commit record* and
 *    tells everybody. Without it a tentative snapshot is dropped; who does not
 *    know the outcome asks for it until somebody tells.
 *
 * What must hold: changes are never parked for longer than the time that was
 * given; a key is never used twice; a director never joins a point that was
 * prepared for an earlier incarnation of it.
 */
import type { Incarnation } from './barrier.js';

/** What all sides know of a point. */
export interface Point {
  /** Never used twice: also the key that its directors show. */
  key: string;
  /** The snapshot's name, the same everywhere. */
  name: string;
  initiator: string;
  /** [director, incarnation] of everybody who takes part, the initiator too. */
  selected: [string, Incarnation][];
  /** So long may changes be parked. */
  parkMaxMs: number;
}

export type Outcome = 'committed' | 'dropped';

export type GroupMessage =
  | { kind: 'greet'; greeting: string }
  | { kind: 'greeted'; greeting: string; incarnation: Incarnation }
  | { kind: 'prepare'; point: Point }
  | {
      kind: 'key';
      /** The point that the key is about. */
      about: string;
      key: string;
      incarnation: Incarnation;
      sequence: number;
      /** The sender still waits for others, and wants to be shown their keys. */
      isWaiting: boolean;
      /** If it is a different one: who was not there, or failed, and why. */
      blamed: Record<string, string>;
    }
  /** Not taking part: nothing was done, and no row of the table changes. */
  | { kind: 'refuse'; about: string; reason: string }
  | { kind: 'saved'; about: string }
  | { kind: 'ask'; about: string }
  | { kind: 'outcome'; about: string; outcome: Outcome }
  | { kind: 'settled'; about: string };

/** What a director does to its mount. Everything may fail, and may be repeated after a crash. */
export interface GroupVolume {
  /** Writes out what programs wrote and parks further changes, for the point's time at most. */
  park(point: Point): Promise<void>;
  /** Lets parked changes go on. */
  unpark(): void;
  /** Stores a tentative snapshot and the point, in one transaction; the tree as it is now. */
  saveTentative(point: Point): Promise<void>;
  /** The snapshot is there for good: one transaction. Unknown points are none of its business. */
  keep(key: string): Promise<void>;
  drop(key: string): Promise<void>;
  /** The points of tentative snapshots, as after a crash. */
  tentative(): Point[];
}

/** Commit records, stored by the initiator. */
export interface CommitRecords {
  /** Durable when it returns; the directors that have to be told. */
  add(key: string, directors: readonly string[]): Promise<void>;
  has(key: string): boolean;
  /** Everybody knows. */
  remove(key: string): Promise<void>;
  all(): { key: string; directors: readonly string[] }[];
}

export interface GroupAnswer {
  outcome: Outcome;
  key: string;
  /** Of a point that was dropped: who was not there in time, or failed, and why. */
  missing: Record<string, string>;
}
