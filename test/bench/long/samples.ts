/** What the long run found: a sample for each save, and what they come to over minutes. Pure. */
import { formatBytes, formatMs, formatTable } from '../report/format.js';
import { median } from '../report/measured.js';
import type { Plot } from './plot.js';

export interface Sample {
  /** Since the start. */
  atMs: number;
  /** Of the calls since the sample before. */
  calls: number;
  p50Us: number;
  p99Us: number;
  maxUs: number;
  /** How long a program waited for the save. */
  saveMs: number;
  /** Of the serving process, without what files back. */
  anonBytes: number;
  /** What the volume uses. */
  usedBytes: number;
  /** What the live tree's files have. */
  liveBytes: number;
  snapshots: number;
  layers: number;
}

/** The value below which `part` of the values lie; NaN without any. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

const MINUTE_MS = 60_000;

/** A line for each `periodMs`: medians, and the longest call. */
export function levelTable(samples: readonly Sample[], periodMs: number): string {
  const head = ['minutes', 'calls/s', 'p50 us', 'p99 us', 'max ms', 'save ms', 'RssAnon'];
  head.push('volume', 'files', 'snapshots', 'layers');
  const lines: string[][] = [];
  for (let from = 0; ; from += periodMs) {
    const own = samples.filter(({ atMs }) => atMs > from && atMs <= from + periodMs);
    if (own.length === 0) break;
    const middle = (of: (sample: Sample) => number): number => median(own.map(of));
    const first = samples.filter(({ atMs }) => atMs <= from).pop()?.atMs ?? 0;
    const seconds = ((own[own.length - 1]?.atMs ?? 0) - first) / 1000;
    lines.push([
      `${from / MINUTE_MS}-${(from + periodMs) / MINUTE_MS}`,
      (own.reduce((sum, { calls }) => sum + calls, 0) / seconds).toFixed(0),
      middle(({ p50Us }) => p50Us).toFixed(0),
      middle(({ p99Us }) => p99Us).toFixed(0),
      formatMs(Math.max(...own.map(({ maxUs }) => maxUs)) / 1000),
      formatMs(middle(({ saveMs }) => saveMs)),
      formatBytes(middle(({ anonBytes }) => anonBytes)),
      formatBytes(middle(({ usedBytes }) => usedBytes)),
      formatBytes(middle(({ liveBytes }) => liveBytes)),
      middle(({ snapshots }) => snapshots).toFixed(0),
      middle(({ layers }) => layers).toFixed(0),
    ]);
  }
  return formatTable([head, ...lines]);
}

export function levelPlots(samples: readonly Sample[]): Plot[] {
  const line = (kind: 'a' | 'b', label: string, of: (sample: Sample) => number) => ({
    kind,
    label,
    points: samples.map((sample) => [sample.atMs / MINUTE_MS, of(sample)] as const),
  });
  const microseconds = (value: number): string => `${+value.toPrecision(3)} µs`;
  return [
    {
      title: 'latency of a call: half are faster',
      lines: [line('a', 'p50', ({ p50Us }) => p50Us)],
      format: microseconds,
    },
    {
      title: 'latency of a call: 99 of 100 are faster',
      lines: [line('b', 'p99', ({ p99Us }) => p99Us)],
      format: microseconds,
    },
    {
      title: 'how long a save takes',
      lines: [line('a', 'save', ({ saveMs }) => saveMs)],
      format: (value) => `${+value.toPrecision(3)} ms`,
    },
    {
      title: 'memory of the serving process (RssAnon)',
      lines: [line('a', 'RssAnon', ({ anonBytes }) => anonBytes)],
      format: formatBytes,
    },
    {
      title: 'size',
      lines: [
        line('a', 'volume', ({ usedBytes }) => usedBytes),
        line('b', 'files of the live tree', ({ liveBytes }) => liveBytes),
      ],
      format: formatBytes,
    },
    {
      title: 'snapshots and layers',
      lines: [
        line('a', 'layers', ({ layers }) => layers),
        line('b', 'snapshots', ({ snapshots }) => snapshots),
      ],
      format: (value) => String(Math.round(value)),
    },
  ];
}
