/**
 * The guard: what got worse than it was when it was last recorded. Compared are
 * ratios to the disk, amounts stored, and rows that are ratios themselves; never
 * times, which say more about the machine.
 */
import { figuresOf, type Measured, type Roles } from './measured.js';
import type { RecordedRow } from './records.js';

export const WORSE_FACTOR = 1.25;

export interface Worse {
  row: string;
  title: string;
  system: string;
  recorded: number;
  /** When that was. */
  date: string;
  found: number;
}

function comparable(
  unit: string,
  medians: Record<string, number>,
  system: string,
  disk: string,
): number | undefined {
  const value = medians[system];
  if (value === undefined || unit !== 'ms') return value;
  const whole = medians[disk];
  return whole === undefined ? undefined : value / whole;
}

/** What is worse by more than a quarter. */
export function worseThan(
  rows: readonly Measured[],
  recorded: ReadonlyMap<string, RecordedRow>,
  roles: Roles,
): Worse[] {
  const worse: Worse[] = [];
  for (const row of rows) {
    const before = recorded.get(row.name);
    if (before === undefined || before.unit !== row.unit) continue;
    const { medians } = figuresOf(row, roles);
    for (const system of roles.own) {
      const then = comparable(row.unit, before.medians, system, roles.disk);
      const now = comparable(row.unit, medians, system, roles.disk);
      if (then === undefined || now === undefined || then <= 0) continue;
      if (now > then * WORSE_FACTOR)
        worse.push({
          row: row.name,
          title: row.title,
          system,
          recorded: then,
          date: before.date,
          found: now,
        });
    }
  }
  return worse;
}

/** What was worse both times; with what was found the second time. */
export function worseTwice(first: readonly Worse[], second: readonly Worse[]): Worse[] {
  return second.filter((again) =>
    first.some(({ row, system }) => row === again.row && system === again.system),
  );
}

/** How many of the rows could be compared with what was recorded. */
export function comparedCount(
  rows: readonly Measured[],
  recorded: ReadonlyMap<string, RecordedRow>,
): number {
  return rows.filter(({ name }) => recorded.has(name)).length;
}

export function worseText({ title, system, recorded, date, found }: Worse): string {
  const times = (found / recorded).toFixed(2);
  return `${title}: ${system} ${+found.toPrecision(3)}, recorded ${+recorded.toPrecision(3)} on ${date} (${times} times)`;
}
