/**
 * Which snapshots a schedule deletes. Pure.
 *
 * What must hold: the result has only snapshots made by the schedule, never the
 * newest of those, never a locked one. Each class keeps the newest snapshot of
 * each of the newest N hours, days … *that have one*, so that a machine that
 * slept for a month does not lose everything when it wakes. Days are those of
 * this machine's calendar, weeks begin on Monday. Layers decide which of two snapshots is
 * newer, because clocks jump. A snapshot from after `nowMs` stays and does not
 * count until the clock gets there: the clock is wrong now, or it was wrong
 * then.
 */
import type { KeepClass, Schedule } from '../../format/text/schedule.js';

export interface Expiring {
  readonly kind: string;
  readonly layer: number;
  readonly createdMs: number;
  readonly isLocked: boolean;
}

export interface Expired<S> {
  expired: S[];
  /** Expired, but locked. */
  locked: S[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** 1970 began on a Thursday. */
const MONDAY_DAYS = 3;

const BUCKETS: Readonly<Record<Exclude<KeepClass, 'all'>, (ms: number) => number>> = {
  hourly: (ms) => Math.floor(ms / HOUR_MS),
  daily: localDay,
  weekly: (ms) => Math.floor((localDay(ms) + MONDAY_DAYS) / 7),
  monthly: (ms) => new Date(ms).getFullYear() * 12 + new Date(ms).getMonth(),
  yearly: (ms) => new Date(ms).getFullYear(),
};

/** Days since 1970 of this machine's calendar. */
function localDay(ms: number): number {
  return Math.floor((ms - new Date(ms).getTimezoneOffset() * 60_000) / DAY_MS);
}

/** Oldest first. */
export function expired<S extends Expiring>(
  { keep }: Schedule,
  snapshots: readonly S[],
  nowMs: number,
): Expired<S> {
  const result: Expired<S> = { expired: [], locked: [] };
  if (keep === undefined) return result;
  const newestFirst = snapshots
    .filter(({ kind, createdMs }) => kind === 'auto' && createdMs <= nowMs)
    .sort((a, b) => b.layer - a.layer);
  const kept = new Set<S>(newestFirst.slice(0, 1));
  for (const [name, count] of keep) {
    if (name === 'all') for (const snapshot of newestFirst.slice(0, count)) kept.add(snapshot);
    else keepNewestOfEach(newestFirst, BUCKETS[name], count, kept);
  }
  for (const snapshot of newestFirst.reverse()) {
    if (kept.has(snapshot)) continue;
    (snapshot.isLocked ? result.locked : result.expired).push(snapshot);
  }
  return result;
}

function keepNewestOfEach<S extends Expiring>(
  newestFirst: readonly S[],
  bucketOf: (ms: number) => number,
  count: number,
  kept: Set<S>,
): void {
  const seen = new Set<number>();
  for (const snapshot of newestFirst) {
    const bucket = bucketOf(snapshot.createdMs);
    if (seen.has(bucket)) continue;
    if (seen.size === count) return;
    seen.add(bucket);
    kept.add(snapshot);
  }
}
