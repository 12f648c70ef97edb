/** A mount's figures as text: a table of its requests, and other lines. Pure. */
import { quantileMs } from '../../measure/log-histogram.js';
import type {
  CacheFigures,
  LoopFigures,
  RequestFigures,
  StatsReport,
} from '../../measure/stats-report.js';
import { counted } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { formatTable } from '../table.js';

const HEADINGS = [
  'OPERATION',
  'COUNT',
  'ERRORS',
  'LATE',
  'BUSY ms',
  'SHARE',
  'MEAN us',
  'P50 us',
  'P99 us',
  'MAX us',
];

/** Three significant digits, or whole numbers. */
export function formatFigure(value: number): string {
  if (value >= 100 || value === 0) return String(Math.round(value));
  return value.toFixed(value >= 10 ? 1 : 2);
}

function percent(part: number, whole: number): string {
  return whole > 0 ? `${formatFigure((part / whole) * 100)}%` : '-';
}

function requestRow(figures: RequestFigures, busyMs: number): string[] {
  const { name, count, errors, late, distribution, totalMs, maxMs } = figures;
  return [
    name,
    ...[count, errors, late].map(String),
    formatFigure(figures.busyMs),
    percent(figures.busyMs, busyMs),
    formatFigure(count > 0 ? (totalMs / count) * 1000 : 0),
    formatFigure(Math.min(maxMs, quantileMs(distribution, 0.5)) * 1000),
    formatFigure(Math.min(maxMs, quantileMs(distribution, 0.99)) * 1000),
    formatFigure(maxMs * 1000),
  ];
}

/** The table of requests. `limit`: most kinds shown. */
export function requestLines(report: StatsReport): string[] {
  const { requests } = report;
  if (requests.length === 0) return ['no requests'];
  const sum = (of: (figures: RequestFigures) => number): number =>
    requests.reduce((total, figures) => total + of(figures), 0);
  const busyMs = sum((figures) => figures.busyMs);
  const count = sum((figures) => figures.count);
  const all = [
    'all',
    String(count),
    String(sum((figures) => figures.errors)),
    String(sum((figures) => figures.late)),
    formatFigure(busyMs),
    percent(busyMs, report.elapsedMs),
    formatFigure(count > 0 ? (sum((figures) => figures.totalMs) / count) * 1000 : 0),
  ];
  const rows = [...requests.map((one) => requestRow(one, busyMs)), all];
  return formatTable(HEADINGS, rows, { columns: 'numbers' }).split('\n');
}

function loopLines(loop: LoopFigures | null, report: StatsReport): string[] {
  if (loop === null) return ['loop      not counted by this driver'];
  const { elapsedMs, requests } = report;
  const busyMs = requests.reduce((total, figures) => total + figures.busyMs, 0);
  const spins = loop.spinHits + loop.spinMisses;
  return [
    `loop      asleep ${percent(loop.idleMs, elapsedMs)}, requests ${percent(busyMs, elapsedMs)}, ` +
      `looking for the next ${percent(loop.spinMs, elapsedMs)}, ` +
      `messages ${percent(loop.messagesMs, elapsedMs)}, jobs ${percent(loop.jobsMs, elapsedMs)}`,
    `          woken ${loop.sleeps} times; ${loop.spinHits} of ${spins} looks found a request`,
  ];
}

/** `inodes 12 of 65536`. */
function cacheText(cache: CacheFigures): string {
  const [has, most] =
    'count' in cache
      ? [String(cache.count), cache.maxCount]
      : [formatBytes(cache.sizeBytes), cache.maxBytes];
  if (most === undefined) return `${cache.name} ${has}`;
  return `${cache.name} ${has} of ${'count' in cache ? most : formatBytes(most)}`;
}

/** All lines except the table. */
export function otherLines(report: StatsReport): string[] {
  const { commits, heldBackCount, nodes, caches, memory } = report;
  const held = heldBackCount === null ? '' : `, ${counted(heldBackCount, 'change')} held back`;
  return [
    `data      ${formatBytes(report.readBytes)} read, ${formatBytes(report.writtenBytes)} written`,
    ...loopLines(report.loop, report),
    `commits   ${commits.groups} groups, ${commits.records} records, ${formatBytes(commits.storedBytes)}, ` +
      `${formatFigure(commits.storeMs)} ms of the storing thread (longest ${formatFigure(commits.storeMaxMs)})`,
    `          handed over in ${formatFigure(commits.handOverMs)} ms, ` +
      `waited for ${formatFigure(commits.waitedMs)} ms${held}`,
    `fsync     ${commits.syncsByLog} by the log, in ${commits.logFlushes} flushes of ` +
      `${formatFigure(commits.logFlushMs / Math.max(1, commits.logFlushes))} ms ` +
      `(longest ${formatFigure(commits.logFlushMaxMs)}); ${commits.syncsByStore} by the store`,
    `nodes     ${nodes.live} known to the kernel, and ${nodes.special} of snapshots and the like`,
    `caches    ${caches.map(cacheText).join(', ')}`,
    `memory    ${formatBytes(memory.rssAnonBytes)} of the process (RssAnon), ` +
      `heap ${formatBytes(memory.heapUsedBytes)} of ${formatBytes(memory.heapTotalBytes)}, ` +
      `outside it ${formatBytes(memory.externalBytes)}`,
  ];
}
