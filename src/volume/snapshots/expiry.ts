/**
 * Which snapshots rules keep, why, and which go. Pure.
 *
 * What must hold: of the given ones (for a schedule those that it has made) the
 * newest never goes, nor a locked one. Each class keeps the newest snapshot of
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

/** `newest`: of all of them; `later`: dated later than now. */
export type KeepRule = KeepClass | 'newest' | 'later';

/** Why one is kept: the rule and, where it counts periods, of which it is the newest. */
export interface KeepReason {
  rule: KeepRule;
  period?: string;
}

/** What rules say about snapshots, oldest first. */
export interface Judged<S> extends Expired<S> {
  kept: { snapshot: S; reasons: KeepReason[] }[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** 1970 began on a Thursday. */
const MONDAY_DAYS = 3;

interface Period {
  /** Equal for two times in the same one. */
  numberOf(ms: number): number;
  textOf(ms: number): string;
}

const PERIODS: Readonly<Record<Exclude<KeepClass, 'all'>, Period>> = {
  hourly: {
    numberOf: (ms) => Math.floor(ms / HOUR_MS),
    textOf: (ms) => `${dayText(ms)} ${String(new Date(ms).getHours()).padStart(2, '0')}:00`,
  },
  daily: { numberOf: localDay, textOf: dayText },
  weekly: {
    numberOf: (ms) => Math.floor((localDay(ms) + MONDAY_DAYS) / 7),
    textOf: (ms) => `the week of ${dayText(mondayOf(ms))}`,
  },
  monthly: {
    numberOf: (ms) => new Date(ms).getFullYear() * 12 + new Date(ms).getMonth(),
    textOf: (ms) => dayText(ms).slice(0, -3),
  },
  yearly: {
    numberOf: (ms) => new Date(ms).getFullYear(),
    textOf: (ms) => dayText(ms).slice(0, -6),
  },
};

/** Days since 1970 of this machine's calendar. */
function localDay(ms: number): number {
  return Math.floor((ms - new Date(ms).getTimezoneOffset() * 60_000) / DAY_MS);
}

function mondayOf(ms: number): number {
  const day = new Date(ms);
  return new Date(
    day.getFullYear(),
    day.getMonth(),
    day.getDate() - ((day.getDay() + 6) % 7),
  ).getTime();
}

/** 2026-11-29, local. */
function dayText(ms: number): string {
  const day = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  const year = String(day.getFullYear()).padStart(4, '0');
  return `${year}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}

/** The schedule's own snapshots that go. Oldest first. */
export function expired<S extends Expiring>(
  { keep }: Schedule,
  snapshots: readonly S[],
  nowMs: number,
): Expired<S> {
  if (keep === undefined) return { expired: [], locked: [] };
  const { expired, locked } = judge(
    keep,
    snapshots.filter(({ kind }) => kind === 'auto'),
    nowMs,
  );
  return { expired, locked };
}

/** All given ones, whoever made them. */
export function judge<S extends Expiring>(
  keep: NonNullable<Schedule['keep']>,
  snapshots: readonly S[],
  nowMs: number,
): Judged<S> {
  const newestFirst = [...snapshots].sort((a, b) => b.layer - a.layer);
  const counting = newestFirst.filter(({ createdMs }) => createdMs <= nowMs);
  const reasons = new Map<S, KeepReason[]>();
  const add = (snapshot: S, reason: KeepReason): void => {
    const known = reasons.get(snapshot);
    if (known === undefined) reasons.set(snapshot, [reason]);
    else known.push(reason);
  };
  for (const one of newestFirst) if (one.createdMs > nowMs) add(one, { rule: 'later' });
  for (const one of counting.slice(0, 1)) add(one, { rule: 'newest' });
  for (const [rule, count] of keep) {
    if (rule === 'all') for (const one of counting.slice(0, count)) add(one, { rule });
    else keepNewestOfEach(counting, rule, count, add);
  }
  const result: Judged<S> = { kept: [], expired: [], locked: [] };
  for (const snapshot of newestFirst.reverse()) {
    const why = reasons.get(snapshot);
    if (why !== undefined) result.kept.push({ snapshot, reasons: why });
    else (snapshot.isLocked ? result.locked : result.expired).push(snapshot);
  }
  return result;
}

function keepNewestOfEach<S extends Expiring>(
  newestFirst: readonly S[],
  rule: Exclude<KeepClass, 'all'>,
  count: number,
  add: (snapshot: S, reason: KeepReason) => void,
): void {
  const { numberOf, textOf } = PERIODS[rule];
  const seen = new Set<number>();
  for (const snapshot of newestFirst) {
    const number = numberOf(snapshot.createdMs);
    if (seen.has(number)) continue;
    if (seen.size === count) return;
    seen.add(number);
    add(snapshot, { rule, period: textOf(snapshot.createdMs) });
  }
}
