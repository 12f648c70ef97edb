/** How fast something goes and how long it will take yet, in words. Pure. */
import { formatBytes } from '../lib/size-text.js';

/** What is counted: bytes, or things. */
export type ProgressUnit = 'bytes' | 'count';

/** The rate is that of this time, so that it follows what happens. */
const WINDOW_MS = 10_000;
const LEAST_MS = 500;

/** The rate over the last seconds. */
export class Meter {
  readonly #points: { done: number; timeMs: number }[] = [];

  add(done: number, timeMs: number): void {
    this.#points.push({ done, timeMs });
    while (this.#points.length > 2 && timeMs - (this.#points[1]?.timeMs ?? timeMs) >= WINDOW_MS) {
      this.#points.shift();
    }
  }

  /** Undefined: too early to tell. */
  perSecond(): number | undefined {
    const first = this.#points[0];
    const last = this.#points.at(-1);
    if (first === undefined || last === undefined) return undefined;
    const ms = last.timeMs - first.timeMs;
    return ms < LEAST_MS ? undefined : Math.max(0, ((last.done - first.done) / ms) * 1000);
  }
}

/** `45 s`, `3 min 20 s`, `2 h 5 min`. */
export function timeText(seconds: number): string {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 10) return `${minutes} min ${whole % 60} s`;
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `1.2G of 4.0G, 110M/s, 26 s left`. `total` 0: unknown. */
export function progressText(
  unit: ProgressUnit,
  done: number,
  total: number,
  perSecond: number | undefined,
): string {
  const amount = (value: number): string =>
    unit === 'bytes' ? formatBytes(value) : String(Math.round(value));
  const parts = [total > 0 ? `${amount(done)} of ${amount(total)}` : amount(done)];
  if (perSecond !== undefined) parts.push(`${amount(perSecond)}/s`);
  if (perSecond !== undefined && perSecond > 0 && total > done) {
    const left = (total - done) / perSecond;
    // A rate of almost nothing tells nothing.
    if (left < 100 * 3600) parts.push(`${timeText(left)} left`);
  }
  return parts.join(', ');
}
