/** Gives a mount a command through its control file, as a script does; the answer is one JSON object. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../report/measured.js';

const ANSWER_MAX_BYTES = 1024 * 1024;

export interface Timings {
  quiesceMs: number;
  switchMs: number;
  commitMs: number;
  /** Of a restore. */
  coherentMs?: number;
}

export function command(mountpoint: string, name: string, line: string): Record<string, unknown> {
  const fd = openSync(join(mountpoint, '.control', name), 'r+');
  try {
    writeSync(fd, `${line}\n`);
    const answer = Buffer.alloc(ANSWER_MAX_BYTES);
    const length = readSync(fd, answer, 0, answer.length, 0);
    return JSON.parse(answer.toString('utf8', 0, length)) as Record<string, unknown>;
  } finally {
    closeSync(fd);
  }
}

export const medianOf = (timings: readonly Timings[], part: keyof Timings): number =>
  median(timings.map((one) => one[part] ?? Number.NaN));

export function timingsOf(answer: Record<string, unknown>): Timings {
  return answer['timings'] as Timings;
}
