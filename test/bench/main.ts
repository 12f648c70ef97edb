/**
 * `npm run bench -- [OPTIONS]`: shadowfs beside plain ext4, the kernel's other
 * file systems with snapshots and the FUSE file systems of Debian, and figures
 * of shadowfs alone. See --help.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { usableSystems } from './available.js';
import { makeImage } from './image.js';
import { Material } from './material.js';
import {
  ALL_ROLES,
  type Found,
  guard,
  KNOWN,
  measure,
  OWN,
  type Run,
  rolesOf,
  wantedSystems,
} from './measure.js';
import { helpText, type Options, parseOptions, UsageError } from './options.js';
import { chart } from './report/chart.js';
import { chartRows } from './report/chart-rows.js';
import { comparedCount, type Worse, worseText } from './report/guard.js';
import { figuresOf } from './report/measured.js';
import { appendRecord, lastRecorded, machine, readRecords, rowLine } from './report/records.js';
import { comparisonTable, memoryTable, ownTable } from './report/table.js';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
const IMAGE_BYTES = 32 * 2 ** 30;
const RECORDS = join(checkout, 'native-notes', 'performance.txt');
const CHART = join(checkout, 'native-notes', 'performance.svg');

const say = (message: string): void => void process.stderr.write(`${message}\n`);

const listed = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [[title, ...lines].join('\n  ')];

function sectionsOf({ roles }: Run, found: Found): string[] {
  const memory = memoryTable(found.compared, roles);
  return [
    ...(found.compared.length > 0 ? [comparisonTable(found.compared, roles)] : []),
    ...(memory === undefined ? [] : [memory]),
    ...(found.own.length > 0 ? [ownTable(found.own, OWN)] : []),
    ...found.sections,
    ...listed('left out:', found.leftOut),
    ...listed(
      'FAILED:',
      found.failures.map(({ system, workload, reason }) => `${system}: ${workload}: ${reason}`),
    ),
  ];
}

function jsonOf(run: Run, found: Found, worse: readonly Worse[] | undefined): string {
  const all = {
    machine: machine(),
    timeMs: Date.now(),
    rows: [...found.compared, ...found.own].map((row) => ({
      ...row,
      ...figuresOf(row, run.roles),
    })),
    leftOut: found.leftOut,
    failures: found.failures,
    ...(worse !== undefined && { worse }),
  };
  return JSON.stringify(all, null, 2);
}

function drawChart(): void {
  const { rows, date } = chartRows(lastRecorded(readRecords(RECORDS), 'full'), ALL_ROLES);
  if (rows.length === 0) {
    say('no chart: nothing is recorded yet that it shows');
    return;
  }
  const title = 'Time taken, in times of plain ext4 (less is better)';
  const note = `npm run bench, ${date.slice(0, 10)}; everything on one loop image on one machine`;
  writeFileSync(CHART, chart(rows, { title, note }));
  say(`drawn: ${CHART}`);
}

/** The exit code: a file system of ours that fails is worse than one that is slow. */
function verdict(run: Run, found: Found, worse: readonly Worse[] | undefined, count: number) {
  if (found.failures.some(({ system }) => run.roles.own.includes(system))) return 1;
  if (worse === undefined) return 0;
  if (count === 0) {
    say('guard: nothing is recorded for any of these');
    return 2;
  }
  for (const one of worse) say(`worse twice: ${worseText(one)}`);
  say(`guard: ${count} rows compared, ${worse.length} worse`);
  return worse.length > 0 ? 1 : 0;
}

async function bench(options: Options): Promise<number> {
  const image = makeImage(IMAGE_BYTES);
  process.on('exit', () => image.remove());
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(1));
  }
  const { usable, leftOut } = usableSystems(image, wantedSystems(image, options, checkout));
  for (const reason of leftOut) say(`left out: ${reason}`);
  const run: Run = {
    image,
    options,
    systems: usable,
    roles: rolesOf(usable),
    material: new Material(image, checkout, options.isQuick),
    say,
  };
  const kind = options.isQuick ? 'quick' : 'full';
  const recorded = lastRecorded(readRecords(RECORDS), kind);
  const found = await measure(run, options.only);
  found.leftOut.unshift(...leftOut);
  const worse = options.isGuard ? await guard(run, found, recorded) : undefined;
  const rows = [...found.compared, ...found.own];
  const sections = sectionsOf(run, found);
  process.stdout.write(`${options.isJson ? jsonOf(run, found, worse) : sections.join('\n\n')}\n`);
  if (options.isRecorded) {
    const command = ['npm run bench --', ...process.argv.slice(2)].join(' ');
    const lines = rows.map((row) => rowLine(row, kind, run.roles));
    appendRecord(RECORDS, { date: new Date(), command, sections, lines });
    drawChart();
  }
  return verdict(run, found, worse, comparedCount(rows, recorded));
}

async function main(): Promise<number> {
  try {
    const options = parseOptions(process.argv.slice(2), KNOWN);
    if (options.isHelp) {
      process.stdout.write(helpText(KNOWN));
      return 0;
    }
    if (!options.isChart) return await bench(options);
    drawChart();
    return 0;
  } catch (error) {
    const isUsage =
      error instanceof UsageError ||
      (error instanceof TypeError && 'code' in error && String(error.code).includes('PARSE_ARGS'));
    if (!isUsage) throw error;
    say(`bench: ${error.message}`);
    return 2;
  }
}

process.exitCode = await main();
