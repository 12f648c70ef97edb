/**
 * `npm run bench:long`: a mount under mixed work for an hour. A save every ten
 * seconds, and a schedule that deletes old ones, as a user's would. Tells
 * whether latency, memory and size stay level, and with --collector what the
 * work behind deleted snapshots costs the programs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { command } from '../figures/control.js';
import { type Image, makeImage } from '../image.js';
import { median } from '../report/measured.js';
import { appendRecord } from '../report/records.js';
import { Shadowfs } from '../systems/shadowfs.js';
import { anonymousBytes, type Place, treeBytes } from '../systems/system.js';
import { plots } from './plot.js';
import { levelPlots, levelTable, quantile, type Sample } from './samples.js';
import { expired, type Schedule, type Taken } from './schedule.js';
import type { Second } from './worker.js';

const TEXT = `usage: npm run bench:long -- [OPTIONS]

Needs root (a loop mount). Two programs work on a mount, one on thousands of small files,
one on pages of a large one, and check what they read; every few seconds the tree is saved,
and snapshots are deleted: all are kept for three minutes, then one a minute for a quarter
of an hour.

  --minutes N     how long (default 60)
  --every S       seconds between two saves (default 10)
  --calls N       calls a second of each program (default 400; 0: as many as it can)
  --collector     instead: programs as fast as they can, in turn without deleting and deleting
                  everything older than two saves; what it costs them
  --record        append the table to native-notes/performance.txt, and draw
                  native-notes/long-run.svg
  --help
`;

const SCHEDULE: Schedule = { allForMs: 180_000, oneEveryMs: 60_000, forMs: 900_000 };
const IMAGE_BYTES = 32 * 2 ** 30;
const PERIOD_MS = 300_000;
/** Of --collector: how long with and how long without, one after the other. */
const PHASE_MS = 60_000;

const checkout = fileURLToPath(new URL('../../../..', import.meta.url));
const NOTES = join(checkout, 'native-notes');
const say = (message: string): void => void process.stderr.write(`${message}\n`);

/** The programs at work; what they did since `taken` was called last. */
class Workers {
  readonly #children: ChildProcess[] = [];
  #microseconds: number[] = [];
  #failure: string | undefined;

  start(kind: string, directory: string, callsPerSecond: number): void {
    mkdirSync(directory);
    const script = fileURLToPath(new URL('worker.js', import.meta.url));
    const args = [script, kind, directory, '1', String(callsPerSecond)];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#children.push(child);
    let said = '';
    child.stderr.on('data', (text) => {
      said += text;
    });
    child.on('exit', (code) => {
      if (code !== 0) this.#failure = `${kind}: exit ${code}: ${said.slice(0, 2000)}`;
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      for (const value of (JSON.parse(line) as Second).microseconds) this.#microseconds.push(value);
    });
  }

  taken(): number[] {
    if (this.#failure !== undefined) throw new Error(this.#failure);
    const taken = this.#microseconds;
    this.#microseconds = [];
    return taken;
  }

  async stop(): Promise<void> {
    const ends = this.#children.map((child) => new Promise((resolve) => child.on('exit', resolve)));
    for (const child of this.#children) child.stdin?.end();
    await Promise.all(ends);
    this.taken();
  }

  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }
}

interface Wanted {
  untilMs: number;
  everyMs: number;
  callsPerSecond: number;
  /** What is kept at a time of the run; undefined: everything. */
  scheduleAt: (atMs: number) => Schedule | undefined;
}

async function longRun(image: Image, system: Shadowfs, wanted: Wanted): Promise<Sample[]> {
  const place: Place = {
    data: join(image.disk, 'long'),
    mountpoint: join(image.directory, 'mounts', 'long'),
  };
  mkdirSync(place.mountpoint, { recursive: true });
  system.mount(place);
  const workers = new Workers();
  process.on('exit', () => workers.kill());
  for (const kind of ['tree', 'database'])
    workers.start(kind, join(place.mountpoint, kind), wanted.callsPerSecond);
  const samples: Sample[] = [];
  const start = Date.now();
  let taken: Taken[] = [];
  for (let n = 1; Date.now() - start < wanted.untilMs; n++) {
    await pause(Math.max(0, start + n * wanted.everyMs - Date.now()));
    const atMs = Date.now() - start;
    const name = `save-${n}`;
    const before = performance.now();
    command(place.mountpoint, 'save', name);
    const saveMs = performance.now() - before;
    taken.push({ name, atMs });
    const schedule = wanted.scheduleAt(atMs);
    const gone = schedule === undefined ? [] : expired(taken, atMs, schedule);
    for (const old of gone) command(place.mountpoint, 'delete', old.name);
    taken = taken.filter((one) => !gone.includes(one));
    const times = workers.taken();
    const status = system.status(place);
    samples.push({
      atMs,
      calls: times.length,
      p50Us: quantile(times, 0.5),
      p99Us: quantile(times, 0.99),
      maxUs: times.reduce((most, value) => Math.max(most, value), 0),
      saveMs,
      anonBytes: anonymousBytes(Number(status['pid'])),
      usedBytes: Number(status['usedBytes']),
      liveBytes: treeBytes(place.mountpoint, true),
      snapshots: Number(status['snapshotCount']),
      layers: Number(status['layerCount']),
    });
    if (n % 30 === 0)
      say(`${Math.round(atMs / 60_000)} minutes: ${times.length} calls since the last save`);
  }
  await workers.stop();
  system.check(place);
  system.unmount(place);
  return samples;
}

/** Calls a second, of the samples of each kind of phase. */
function collectorText(samples: readonly Sample[], everyMs: number): string {
  const rate = (isDeleting: boolean): number =>
    median(
      samples
        // The first save of a phase still tells of the phase before.
        .filter(({ atMs }) => atMs % PHASE_MS > everyMs * 1.5)
        .filter(({ atMs }) => (Math.floor(atMs / PHASE_MS) % 2 === 1) === isDeleting)
        .map(({ calls }) => (calls * 1000) / everyMs),
    );
  const [keeping, deleting] = [rate(false), rate(true)];
  return `calls a second, median: ${keeping.toFixed(0)} while nothing is deleted, ${deleting.toFixed(0)} while everything older than two saves is: ${(100 - (100 * deleting) / keeping).toFixed(1)}% fewer`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      every: { type: 'string', default: '10' },
      calls: { type: 'string' },
      collector: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(TEXT);
    return;
  }
  const minutes = Number(values.minutes ?? (values.collector ? 10 : 60));
  const everyMs = Number(values.every) * 1000;
  const callsPerSecond = Number(values.calls ?? (values.collector ? 0 : 400));
  if (!(minutes > 0) || !(everyMs >= 1000) || !(callsPerSecond >= 0))
    throw new Error('--minutes above 0, --every at least 1, --calls 0 or more (see --help)');
  const image = makeImage(IMAGE_BYTES);
  process.on('exit', () => image.remove());
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => process.exit(1));
  const system = new Shadowfs({
    name: 'shadowfs',
    checkout,
    stateDirectory: join(image.directory, 'state'),
    driver: 'kernel',
  });
  const twoSaves: Schedule = { allForMs: 2 * everyMs, oneEveryMs: everyMs, forMs: 2 * everyMs };
  const scheduleAt = values.collector
    ? (atMs: number) => (Math.floor(atMs / PHASE_MS) % 2 === 1 ? twoSaves : undefined)
    : () => SCHEDULE;
  const samples = await longRun(image, system, {
    untilMs: minutes * 60_000,
    everyMs,
    callsPerSecond,
    scheduleAt,
  });
  const sections = [
    `mixed work, ${callsPerSecond === 0 ? 'as fast as it goes' : `${2 * callsPerSecond} calls a second`}, a save every ${everyMs / 1000} s; medians over five minutes`,
    levelTable(samples, PERIOD_MS),
    ...(values.collector ? [collectorText(samples, everyMs)] : []),
  ];
  process.stdout.write(`${sections.join('\n')}\n`);
  if (!values.record) return;
  const date = new Date();
  const wordsGiven = ['npm run bench:long --', ...process.argv.slice(2)].join(' ');
  appendRecord(join(NOTES, 'performance.txt'), { date, command: wordsGiven, sections, lines: [] });
  if (values.collector) return;
  const title = `Mixed work for ${minutes} minutes, saved every ${everyMs / 1000} seconds`;
  const note = `${wordsGiven}, ${date.toISOString().slice(0, 10)}`;
  writeFileSync(join(NOTES, 'long-run.svg'), plots(levelPlots(samples), title, note));
}

try {
  await main();
} catch (error) {
  say(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
