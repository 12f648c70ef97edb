/** Medians, ratios, the table, and what is appended to native-notes/performance.txt. */
import { appendFileSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

export function formatMs(ms: number): string {
  if (!Number.isFinite(ms)) return '-';
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

/** Columns of text: the first to the left, the others to the right. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export interface Result {
  workload: string;
  title: string;
  /** System → ms of each round. */
  roundsMs: Record<string, number[]>;
}

export interface Roles {
  disk: string;
  peers: readonly string[];
  own: readonly string[];
}

export interface Comparison {
  title: string;
  mediansMs: Record<string, number>;
  /** System → its median divided by that of the disk. */
  ratios: Record<string, number>;
  bestPeer: string | undefined;
  /** Own system → its median divided by that of the fastest peer. */
  toBestPeer: Record<string, number>;
}

export function compare(result: Result, roles: Roles): Comparison {
  const mediansMs: Record<string, number> = {};
  for (const [name, values] of Object.entries(result.roundsMs)) mediansMs[name] = median(values);
  const of = (name: string): number => mediansMs[name] ?? Number.NaN;
  const ratios: Record<string, number> = {};
  for (const name of Object.keys(mediansMs)) ratios[name] = of(name) / of(roles.disk);
  const bestPeer = roles.peers.filter((name) => name in mediansMs).sort((a, b) => of(a) - of(b))[0];
  const toBestPeer: Record<string, number> = {};
  for (const name of roles.own) {
    if (bestPeer !== undefined) toBestPeer[name] = of(name) / of(bestPeer);
  }
  return { title: result.title, mediansMs, ratios, bestPeer, toBestPeer };
}

/** One line a workload: ms on the disk; ms and ratio to the disk on the others; ratio to the best peer. */
export function comparisonTable(results: readonly Result[], roles: Roles): string {
  const others = [...roles.peers, ...roles.own];
  const ratio = (value: number | undefined): string =>
    value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(2);
  const lines = results.map((result) => {
    const { title, mediansMs, ratios, bestPeer, toBestPeer } = compare(result, roles);
    return [
      title,
      formatMs(mediansMs[roles.disk] ?? Number.NaN),
      ...others.flatMap((name) => [formatMs(mediansMs[name] ?? Number.NaN), ratio(ratios[name])]),
      ...roles.own.map((name) => ratio(toBestPeer[name])),
      bestPeer ?? '-',
    ];
  });
  const head = [
    'ms (median), ratio to ext4',
    roles.disk,
    ...others.flatMap((name) => [name, '']),
    ...roles.own.map((name) => `${name}/best`),
    'best peer',
  ];
  return formatTable([head, ...lines]);
}

export function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  const gib = Math.round(totalmem() / 2 ** 30);
  return `${availableParallelism()} x ${model}, ${gib} GiB, Linux ${release()}, Node.js ${process.versions.node}`;
}

const INTRODUCTION = `Figures of shadowfs beside plain ext4 and the FUSE file systems of Debian, everything on one ext4
image on a loop device. Each set says when, by which command and where it was measured. Times are
medians; the ratios are what can be compared from machine to machine. Lower is better.
`;

/** Appends a dated set to the file, which is made when it is missing. */
export function record(file: string, command: string, sections: readonly string[]): void {
  let before = '';
  try {
    before = readFileSync(file, 'utf8');
  } catch {
    before = '';
  }
  const date = new Date().toISOString().slice(0, 16).replace('T', ' ');
  const head = `${date} UTC\ncommand: ${command}\nmachine: ${machine()}`;
  const set = [head, ...sections].join('\n\n');
  appendFileSync(file, `${before === '' ? INTRODUCTION : ''}\n${'-'.repeat(100)}\n${set}\n`);
}
