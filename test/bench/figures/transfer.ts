/**
 * What it takes to bring a tree to another disk, all of it and what has changed:
 * beside `btrfs send | receive` and `rsync -a`; what programs on the primary
 * feel of it, and what memory it takes.
 */
import { formatBytes, formatMs, formatRatio, formatTable } from '../report/format.js';
import { type Measured, median } from '../report/measured.js';
import { child, childBeside, interruptible, run } from '../shell.js';
import {
  counted,
  type FigureContext,
  type FigureResult,
  type FigureSet,
  ownRow,
} from './figure.js';
import { Agents, btrfs, pipe, rsync, type Way } from './transfer/ways.js';

const ROUNDS = 3;
const CHANGED_STEP = 100;
const MB = 1e6;

interface Tree {
  name: string;
  title: string;
  files: number;
  bytes: number;
}

const TREES: readonly Tree[] = [
  { name: 'small', title: 'small files', files: 100_000, bytes: 10_000 },
  { name: 'big', title: 'big files', files: 8, bytes: 125 * MB },
];
const QUICK_TREES: readonly Tree[] = [
  { name: 'small', title: 'small files', files: 2000, bytes: 10_000 },
  { name: 'big', title: 'big files', files: 2, bytes: 10 * MB },
];

/** Way → ms of each round. */
type Times = Record<string, number[]>;

/** Of all that a program does with a file at a time. */
interface CallTimes {
  meanUs: number;
  medianUs: number;
  p99Us: number;
}

interface Found {
  full: Times;
  changed: Times;
  /** The most that a transfer added, in each round. */
  memoryBytes: { primary: number[]; standby: number[] };
  /** Of a program, without a transfer and beside one. */
  calls: { alone: CallTimes; beside: CallTimes } | undefined;
}

/** Throws when it is not the same. */
function verify(tree: string, way: Way): void {
  const digest = (path: string): unknown => child('tree-digest', path, 'times')['digest'];
  if (digest(tree) !== digest(way.arrived())) throw new Error(`${way.name}: another tree arrived`);
}

async function measureWay(way: Way, tree: Tree, found: Found): Promise<void> {
  const root = await way.open();
  try {
    child('fill', root, tree.files, tree.bytes);
    run('sync', []);
    const agents = way instanceof Agents ? way : undefined;
    const full: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await interruptible();
      if (round > 0) await way.startAgain();
      const before = agents?.memory();
      agents?.takePeakBytes();
      full.push(await way.transfer());
      const peak = agents?.takePeakBytes();
      if (before === undefined || peak === undefined) continue;
      for (const side of ['primary', 'standby'] as const)
        found.memoryBytes[side].push(Math.max(0, peak[side] - before[side]));
    }
    found.full[way.name] = full;
    verify(root, way);
    if (tree.name === 'small') await measureChanges(way, root, tree, found);
    else if (agents !== undefined) await measureCalls(agents, root, found);
  } finally {
    way.close();
  }
}

async function measureChanges(way: Way, root: string, tree: Tree, found: Found): Promise<void> {
  const changed: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await interruptible();
    child('rewrite', root, tree.files, tree.bytes, CHANGED_STEP, round);
    run('sync', []);
    changed.push(await way.transfer());
  }
  found.changed[way.name] = changed;
  verify(root, way);
}

/** A program works beside a transfer of everything, for as long as that takes. */
async function measureCalls(agents: Agents, root: string, found: Found): Promise<void> {
  const workMs = 3000;
  const place = `${root}/work`;
  child('work', place, workMs);
  const alone: Record<string, unknown>[] = [];
  const beside: Record<string, unknown>[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    alone.push(child('work', place, workMs));
    await agents.startAgain();
    agents.stepBack();
    const working = childBeside('work', place, workMs);
    await agents.transfer();
    beside.push(await working);
  }
  const of = (all: Record<string, unknown>[]): CallTimes => {
    const figure = (key: string): number => median(all.map((one) => Number(one[key])));
    return { meanUs: figure('meanUs'), medianUs: figure('medianUs'), p99Us: figure('p99Us') };
  };
  found.calls = { alone: of(alone), beside: of(beside) };
}

const AGENTS = 'shadowfs, a standby';
const PEERS = ['btrfs send | receive', 'rsync -a'];

function bestPeer(times: Times): number {
  return Math.min(
    ...PEERS.flatMap((name) => (times[name] === undefined ? [] : median(times[name]))),
  );
}

function timesTable(rows: readonly (readonly [string, Times])[]): string {
  const ways = Object.keys(rows[0]?.[1] ?? {});
  const lines = rows.map(([title, times]) => [
    title,
    ...ways.map((name) => formatMs(median(times[name] ?? []))),
    formatRatio(median(times[AGENTS] ?? []) / bestPeer(times)),
  ]);
  return formatTable([['', ...ways, 'to the faster peer'], ...lines]);
}

function rowsOf(context: FigureContext, name: string, title: string, times: Times): Measured[] {
  const best = bestPeer(times);
  const ratios = (times[AGENTS] ?? []).map((ms) => ms / best);
  return [
    ownRow(context, `transfer-${name}`, `${title}, to a standby`, 'ms', times[AGENTS] ?? []),
    ownRow(
      context,
      `transfer-${name}-ratio`,
      'the same, to the faster of btrfs and rsync',
      'x',
      ratios,
      {
        atMost: 1,
      },
    ),
  ];
}

async function measure(context: FigureContext): Promise<FigureResult> {
  const { image, system, isQuick } = context;
  const lines: [string, Times][] = [];
  const rows: Measured[] = [];
  const sections: string[] = [];
  for (const tree of isQuick ? QUICK_TREES : TREES) {
    const found: Found = {
      full: {},
      changed: {},
      memoryBytes: { primary: [], standby: [] },
      calls: undefined,
    };
    const ways = [
      () => rsync(image),
      () => btrfs(image),
      () => pipe(image, system),
      () => new Agents(image, system),
    ];
    for (const make of ways) {
      const way = make();
      await measureWay(way, tree, found);
      context.say(`transfer of ${tree.title}: ${way.name}`);
    }
    const size = `${formatBytes(tree.files * tree.bytes)} in ${counted(tree.files)} files`;
    lines.push([size, found.full]);
    rows.push(...rowsOf(context, tree.name, size, found.full));
    if (tree.name === 'small') {
      const title = `a change of 1 in ${CHANGED_STEP} of them`;
      lines.push([title, found.changed]);
      rows.push(...rowsOf(context, 'change', title, found.changed));
    }
    for (const side of ['primary', 'standby'] as const) {
      const title = `memory that a transfer of ${tree.title} adds to the ${side}`;
      rows.push(
        ownRow(
          context,
          `transfer-${tree.name}-memory-${side}`,
          title,
          'bytes',
          found.memoryBytes[side],
          {
            atMost: 100 * MB,
          },
        ),
      );
    }
    const { calls } = found;
    if (calls === undefined) continue;
    const { alone, beside } = calls;
    rows.push(
      ownRow(
        context,
        'transfer-latency',
        'calls on the primary beside a transfer, to those without',
        'x',
        [beside.meanUs / alone.meanUs],
        {
          atMost: 1.2,
        },
      ),
    );
    const told = ({ meanUs, medianUs, p99Us }: CallTimes): string =>
      `${formatMs(meanUs)} (median ${formatMs(medianUs)}, 99 of 100: ${formatMs(p99Us)})`;
    sections.push(
      'a program on the primary (open, read, append 4 KiB, close, stat), us: ' +
        `alone ${told(alone)}, beside a transfer ${told(beside)}; ` +
        "the standby's process, on the same two processors, at low priority",
    );
  }
  const title =
    `from one disk to another, until it is stored there: ms (median of ${ROUNDS}); the source is in memory; ` +
    'starts of commands, and taking the snapshot, included';
  return { sections: [`${title}\n${timesTable(lines)}`, ...sections], rows };
}

export const transferFigures: FigureSet = {
  names: ['transfer'],
  measure: (context) => measure(context),
};
