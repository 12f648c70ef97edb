/**
 * Group saves: several mounts, saved at one consistent point, or none of them
 * (native-notes/design.md, section 9, rows B1–B6).
 *
 * 1. The initiator greets the selected directors, learns their incarnations,
 *    and prepares them for a point with a key of its own.
 * 2. A prepared director quiesces its mount, parks further changes, and shows
 *    the key to all. A director that sees the key in every selected row passes:
 *    between the last parking and the first passing all of them stood still.
 * 3. A director that passes saves a *tentative* snapshot, unparks its changes,
 *    and tells the initiator. A director that waits too long, or sees a
 *    different key, shows a different key itself and unparks without saving.
 * 4. Once all have saved, the initiator stores a *commit record* and tells all
 *    directors. Without the record a tentative snapshot is dropped. A director
 *    that does not know the outcome asks until another one tells it.
 *
 * What must hold: changes are never parked for longer than the given time; a
 * key is never used twice; a director never joins a point that was prepared for
 * an earlier incarnation of it.
 */
import type { Incarnation } from './barrier.js';

/** What all sides know about a point. */
export interface Point {
  /** Never used twice: also the key that its directors show. */
  key: string;
  /** The snapshot's name, the same everywhere. */
  name: string;
  /** What the one who saves says about it. An older member keeps the snapshot without it. */
  note?: string;
  initiator: string;
  /** [director, incarnation] of every participant, the initiator included. */
  selected: [string, Incarnation][];
  /** Longest time for which changes may be parked. */
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
      /** The sender still waits for others, and wants to see their keys. */
      isWaiting: boolean;
      /** For a different key: the directors that were absent or failed, and why. */
      blamed: Record<string, string>;
    }
  /** The director does not take part: it has done nothing, and no row of the table changes. */
  | { kind: 'refuse'; about: string; reason: string }
  | { kind: 'saved'; about: string }
  | { kind: 'ask'; about: string }
  | { kind: 'outcome'; about: string; outcome: Outcome }
  | { kind: 'settled'; about: string };

/** What a director does to its mount. Every call may fail, and may be repeated after a crash. */
export interface GroupVolume {
  /** Writes out the programs' writes and parks further changes, for the point's time at most. */
  park(point: Point): Promise<void>;
  /** Unparks the changes. */
  unpark(): void;
  /** Stores a tentative snapshot of the present tree and the point, in one transaction. */
  saveTentative(point: Point): Promise<void>;
  /** Makes the snapshot permanent, in one transaction. Ignores unknown points. */
  keep(key: string): Promise<void>;
  drop(key: string): Promise<void>;
  /** The points of tentative snapshots, for example after a crash. */
  tentative(): Point[];
}

/** Commit records, stored by the initiator. */
export interface CommitRecords {
  /** Durable when it resolves; `directors`: those that have to be told. */
  add(key: string, directors: readonly string[]): Promise<void>;
  has(key: string): boolean;
  /** All directors know the outcome. */
  remove(key: string): Promise<void>;
  all(): { key: string; directors: readonly string[] }[];
}

export interface GroupAnswer {
  outcome: Outcome;
  key: string;
  /** For a dropped point: the directors that were late or failed, and why. */
  missing: Record<string, string>;
}
