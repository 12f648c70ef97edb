/**
 * How full a volume's disk and its quota are: the levels at which people are
 * warned, and the words. Pure.
 *
 * What must hold: a level is left only when it is clearly left, so that what
 * goes up and down at its edge warns once.
 */
import { formatBytes } from '../../lib/size-text.js';
import type { VolumeSpace } from '../../volume/readable-volume.js';
import type { Problem } from '../peers/sync-state.js';

const LEVELS = [95, 90, 80] as const;
export type FillLevel = (typeof LEVELS)[number];
/** Percentage points below a level at which it is left. */
const LEFT_BELOW = 3;
const SEVERITY: Readonly<Record<FillLevel, Problem['severity']>> = {
  80: 'notice',
  90: 'warning',
  95: 'critical',
};

export type Filled = 'disk' | 'quota';
export const FILLED: readonly Filled[] = ['disk', 'quota'];

/** What is warned of; undefined: nothing. */
export type FillLevels = Readonly<Record<Filled, FillLevel | undefined>>;
export const NOT_FULL: FillLevels = { disk: undefined, quota: undefined };

/** Both as far as they are known and there is such a limit. */
function percentOf(space: VolumeSpace, what: Filled): number {
  const { usedBytes, quotaBytes, reserveBytes, diskBytes, diskFreeBytes } = space;
  const size = what === 'disk' ? diskBytes : quotaBytes - reserveBytes;
  const used = what === 'disk' ? diskBytes - diskFreeBytes : usedBytes;
  if (what === 'quota' && quotaBytes === 0) return 0;
  return size <= 0 ? 0 : (used / size) * 100;
}

/** The highest level that is reached, or that was reached and is not clearly left. */
function levelOf(percent: number, before: FillLevel | undefined): FillLevel | undefined {
  return LEVELS.find(
    (level) =>
      percent >= level || (before !== undefined && level <= before && percent > level - LEFT_BELOW),
  );
}

export function fillLevels(space: VolumeSpace, before: FillLevels): FillLevels {
  return {
    disk: levelOf(percentOf(space, 'disk'), before.disk),
    quota: levelOf(percentOf(space, 'quota'), before.quota),
  };
}

/** `disk-filling`, `quota-filling`. */
export function fillCode(what: Filled): string {
  return `${what}-filling`;
}

/** What is wrong, and what would help. */
export function fillProblems(space: VolumeSpace, levels: FillLevels): Problem[] {
  return FILLED.flatMap((what) => {
    const level = levels[what];
    if (level === undefined) return [];
    const message = fillMessage(space, what);
    return [{ code: fillCode(what), severity: SEVERITY[level], message }];
  });
}

export function fillMessage(space: VolumeSpace, what: Filled): string {
  const percent = Math.floor(percentOf(space, what));
  const room = `this volume can take ${formatBytes(space.freeBytes)} more`;
  if (what === 'quota') {
    return (
      `${percent} % of the quota of ${formatBytes(space.quotaBytes)} is used; ${room}. ` +
      'shadowfs space says what holds it, delete or prune frees it, shadowfs options quota=SIZE raises it'
    );
  }
  const ahead = formatBytes(space.aheadBytes);
  return (
    `the disk of the volume is ${percent} % full, ${formatBytes(space.diskFreeBytes)} are free; ` +
    `${room}, and holds ${ahead} that it does not use. ` +
    'shadowfs space says what holds the rest, delete or prune frees it, and then ' +
    'shadowfs compact gives it to the disk'
  );
}
