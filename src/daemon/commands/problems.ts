/**
 * What is wrong with a volume and its mount, in words: the last lines of
 * `status`, and `problems` in its JSON.
 */
import { shownText } from '../../lib/byte-text.js';
import type { Volume } from '../../volume/volume.js';
import type { Problem } from '../peers/sync-state.js';

interface Health {
  volume: Pick<Volume, 'failure' | 'base'>;
  /** What the space says. */
  space: readonly Problem[];
  /** The last scheduled run; null: none yet. */
  lastRun: Record<string, unknown> | null;
  /** The stored schedule is of a newer version. */
  isScheduleUnknown: boolean;
  /** What the sync says. */
  sync: readonly Problem[];
}

const ORDER: Readonly<Record<Problem['severity'], number>> = { critical: 0, warning: 1, notice: 2 };

/** Critical ones first. */
export function problemsOf({ volume, space, lastRun, isScheduleUnknown, sync }: Health): Problem[] {
  const problems: Problem[] = [...sync, ...space];
  const add = (code: string, severity: Problem['severity'], message: string): void =>
    void problems.push({ code, severity, message });
  const { failure, base } = volume;
  if (failure !== undefined) {
    add('volume-failed', 'critical', `changes can't be stored: ${failure.message}`);
  }
  const changed = base?.mismatches ?? [];
  const [first] = changed;
  if (first !== undefined) {
    const others = changed.length > 1 ? ` and ${changed.length - 1} more` : '';
    const what = `${shownText(first.path)}${others} changed below the mount`;
    add('base-changed', 'warning', `${what}; reads that would mix old and new fail`);
  }
  if (isScheduleUnknown) {
    add('bad-schedule', 'warning', 'the schedule is not understood: nothing is saved by it');
  }
  if (lastRun?.['ok'] === false) {
    add('save-failed', 'warning', `the last scheduled save failed: ${String(lastRun['message'])}`);
  }
  return problems.sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
}
