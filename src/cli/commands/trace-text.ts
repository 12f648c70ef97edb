/** A traced request as a line of text. Pure. */
import { shownName } from '../../lib/byte-text.js';
import { formatFigure } from './stats-text.js';
import { counted, formatTimeOfDay } from '../output.js';

/** A line of `.control/trace`: a request, or the number of requests left out. */
export interface TraceLine {
  timeMs: number;
  droppedCount?: number;
  op?: string;
  path?: string;
  newPath?: string;
  pid?: number;
  /** Null: no error. */
  errno?: string | null;
  sizeBytes?: number;
  tookMs?: number;
}

function timeOfDay(ms: number): string {
  const time = new Date(ms);
  return `${formatTimeOfDay(time)}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

export const TRACE_HEADING = 'TIME              PID  OPERATION         TIME us  RESULT       PATH';

export function traceText(line: TraceLine): string {
  const time = timeOfDay(line.timeMs);
  if (line.droppedCount !== undefined) {
    return `${time}  (${counted(line.droppedCount, 'request')} left out here)`;
  }
  const { op = '?', path = '', newPath, pid = 0, errno = null, sizeBytes, tookMs = 0 } = line;
  const result = errno ?? String(sizeBytes ?? 'ok');
  const arrow = newPath === undefined ? '' : ` -> ${shownName(newPath)}`;
  return [
    time,
    (pid === 0 ? '-' : String(pid)).padStart(7),
    op.padEnd(15),
    formatFigure(tookMs * 1000).padStart(9),
    result.padEnd(11),
    `${path === '' ? '.' : shownName(path)}${arrow}`,
  ].join('  ');
}
