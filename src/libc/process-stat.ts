/** What /proc reports about a process or thread. */
import { readFileSync } from 'node:fs';

/** Indices of fields of /proc/PID/stat (proc(5)) behind the program's name. */
export const STAT_FIELD = {
  state: 0,
  parent: 1,
  group: 2,
  terminalGroup: 5,
  startTicks: 19,
  processor: 36,
} as const;

/**
 * The fields behind the program's name; undefined when the process does not
 * exist or is not visible.
 */
export function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The program's name, in parentheses, may hold spaces and parentheses.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
