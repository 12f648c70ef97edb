/**
 * native-notes/performance.txt: a dated set for each recorded run, the tables
 * for people and below them the same figures for programs, one row a line:
 *
 *     row NAME UNIT full|quick SYSTEM=MEDIAN SYSTEM=MEDIAN ...
 *
 * What is written by hand between the sets is left alone.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { figuresOf, type Measured, type Roles } from './measured.js';

const RULE = '-'.repeat(100);

export interface RecordedRow {
  /** As the set says it, e.g. `2026-11-21 07:59`. */
  date: string;
  name: string;
  unit: string;
  material: string;
  medians: Record<string, number>;
}

export function rowLine(row: Measured, material: string, roles: Roles): string {
  const { medians } = figuresOf(row, roles);
  const values = Object.entries(medians).map(([name, value]) => `${name}=${+value.toPrecision(5)}`);
  return ['row', row.name, row.unit, material, ...values].join(' ');
}

/** Every row of every set, oldest first. A line that starts like a row and is none is skipped. */
export function parseRecords(text: string): RecordedRow[] {
  const rows: RecordedRow[] = [];
  let date = '';
  for (const line of text.split('\n')) {
    const dated = /^(\d{4}-\d\d-\d\d \d\d:\d\d) UTC$/.exec(line);
    if (dated !== null) date = dated[1] ?? '';
    if (!line.startsWith('row ')) continue;
    const [, name, unit, material, ...values] = line.split(' ');
    if (name === undefined || unit === undefined || material === undefined) continue;
    const medians: Record<string, number> = {};
    for (const value of values) {
      const [system = '', number = ''] = value.split('=');
      if (system !== '' && number !== '' && Number.isFinite(Number(number)))
        medians[system] = Number(number);
    }
    rows.push({ date, name, unit, material, medians });
  }
  return rows;
}

/** The newest row of each name, of the same material. */
export function lastRecorded(
  rows: readonly RecordedRow[],
  material: string,
): Map<string, RecordedRow> {
  const last = new Map<string, RecordedRow>();
  for (const row of rows) if (row.material === material) last.set(row.name, row);
  return last;
}

export function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  const gib = Math.round(totalmem() / 2 ** 30);
  return `${availableParallelism()} x ${model}, ${gib} GiB, Linux ${release()}, Node.js ${process.versions.node}`;
}

export function readRecords(file: string): RecordedRow[] {
  return existsSync(file) ? parseRecords(readFileSync(file, 'utf8')) : [];
}

export interface RecordedSet {
  date: Date;
  command: string;
  sections: readonly string[];
  lines: readonly string[];
}

export function setText({ date, command, sections, lines }: RecordedSet): string {
  const when = date.toISOString().slice(0, 16).replace('T', ' ');
  const head = `${when} UTC\ncommand: ${command}\nmachine: ${machine()}`;
  return `\n${RULE}\n${[head, ...sections, lines.join('\n')].join('\n\n')}\n`;
}

export function appendRecord(file: string, set: RecordedSet): void {
  appendFileSync(file, setText(set));
}
