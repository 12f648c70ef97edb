/**
 * Which of the snapshots that were made every few seconds are kept: all of the
 * last minutes, then one a minute, as a schedule of backups thins them out. Pure.
 */

export interface Schedule {
  /** Every snapshot is kept for so long. */
  allForMs: number;
  /** One in so much time is kept after that ... */
  oneEveryMs: number;
  /** ... for so long. */
  forMs: number;
}

export interface Taken {
  name: string;
  atMs: number;
}

/** The snapshots to delete at `nowMs`. `taken`: oldest first. */
export function expired(taken: readonly Taken[], nowMs: number, schedule: Schedule): Taken[] {
  const gone: Taken[] = [];
  let lastPeriod = -1;
  for (const snapshot of taken) {
    const ageMs = nowMs - snapshot.atMs;
    const period = Math.floor(snapshot.atMs / schedule.oneEveryMs);
    const isFirst = period !== lastPeriod;
    lastPeriod = period;
    if (ageMs <= schedule.allForMs) continue;
    if (!isFirst || ageMs > schedule.forMs) gone.push(snapshot);
  }
  return gone;
}
