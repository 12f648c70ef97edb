/** A traced request as a line of text. Pure. */
import { shownName } from '../../lib/byte-text.js';
import { ERRNO } from '../../lib/errors.js';
import { formatFigure } from './stats-text.js';
import { formatTimeOfDay } from '../output.js';

/** A line of `.control/trace`: a request, or the number of requests left out. */
export interface TraceLine {
  timeMs: number;
  dropped?: number;
  op?: string;
  path?: string;
  to?: string;
  pid?: number;
  errno?: number;
  bytes?: number;
  us?: number;
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ERRNO).map(([name, number]) => [number, name]),
);

function timeOfDay(ms: number): string {
  const time = new Date(ms);
  return `${formatTimeOfDay(time)}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

export const TRACE_HEADING = 'TIME              PID  OPERATION         TIME us  RESULT       PATH';

export function traceText(line: TraceLine): string {
  const time = timeOfDay(line.timeMs);
  if (line.dropped !== undefined) return `${time}  (${line.dropped} requests were left out here)`;
  const { op = '?', path = '', to, pid = 0, errno = 0, bytes, us = 0 } = line;
  const result = errno !== 0 ? (NAMES.get(errno) ?? `errno ${errno}`) : String(bytes ?? 'ok');
  const arrow = to === undefined ? '' : ` -> ${shownName(to)}`;
  return [
    time,
    (pid === 0 ? '-' : String(pid)).padStart(7),
    op.padEnd(15),
    formatFigure(us).padStart(9),
    result.padEnd(11),
    `${path === '' ? '.' : shownName(path)}${arrow}`,
  ].join('  ');
}
