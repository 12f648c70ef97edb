/** How long a command took, for people. */
import type { Answer } from '../control/command.js';

/**
 * ` (1.2 ms; 34 ms for writing out and flushing)`, or nothing when the answer has no times. Pure.
 */
export function timingText(answer: Answer): string {
  const timings = answer['timings'];
  if (typeof timings !== 'object' || timings === null) return '';
  const all = Object.values(timings).reduce<number>((sum, ms) => sum + Number(ms), 0);
  return Number.isFinite(all) ? ` in ${all < 10 ? all.toFixed(1) : Math.round(all)} ms` : '';
}
