/**
 * The figures of a mount, as `.control/stats` gives them: one JSON object. All
 * counts and times are sums since `sinceMs`, so that two reports can be
 * subtracted; sizes are those of the moment. Null: this driver does not count it.
 */
import { type Distribution, distributionSince } from './log-histogram.js';

export interface RequestFigures {
  /** The kernel's name of the kind: LOOKUP, READ … */
  name: string;
  /** Answered. */
  count: number;
  errors: number;
  /** Of those answered: not at once, but after something they had to wait for. */
  late: number;
  /** Time of the serving thread. */
  busyMs: number;
  /** From arrival to answer. */
  totalMs: number;
  maxUs: number;
  distribution: Distribution;
}

export interface LoopFigures {
  /** Times the thread went to sleep, and the time it slept. */
  sleeps: number;
  idleMs: number;
  /** Times the next request was awaited without sleeping: it came; it did not; the time. */
  spinHits: number;
  spinMisses: number;
  spinMs: number;
  /** Messages of other threads, timers and parked requests. */
  messagesMs: number;
  /** Work in pieces: telling the kernel what a restore changed. */
  jobsMs: number;
}

export interface CommitFigures {
  groups: number;
  records: number;
  bytes: number;
  /** Of the thread that stores. */
  storeMs: number;
  storeMaxMs: number;
  /** What the serving thread spent on handing groups over. */
  handOverMs: number;
  /** The serving thread stood still until the storing thread was done. */
  waitedMs: number;
  /** Answered by the intent log, or by LMDB. */
  syncsByLog: number;
  syncsByStore: number;
  logFlushes: number;
  /** From the record's writing until the loop knew that it is on disk. */
  logFlushMs: number;
  logFlushMaxMs: number;
}

export interface CacheFigures {
  name: string;
  size: number;
  /** Absent: as many as the kernel knows nodes. */
  limit?: number;
}

export interface StatsReport {
  driver: string;
  mountedMs: number;
  /** When counting began: at the mount, or at the last reset. */
  sinceMs: number;
  elapsedMs: number;
  bytesRead: number;
  bytesWritten: number;
  requests: RequestFigures[];
  loop: LoopFigures | null;
  /** Changes that had to wait until the volume took any. */
  heldBack: number | null;
  commits: CommitFigures;
  /** `asked`: the kernel was asked to forget so many. */
  nodes: { live: number; special: number; asked: number };
  caches: CacheFigures[];
  memory: {
    rssAnonBytes: number;
    heapUsedBytes: number;
    heapTotalBytes: number;
    externalBytes: number;
  };
}

/** `newer` with every number that `older` has, too, taken off. */
function difference<T extends object>(newer: T, older: T): T {
  return Object.fromEntries(
    Object.entries(newer).map(([key, value]) => {
      const before: unknown = older[key as keyof T];
      const isNumber = typeof value === 'number' && typeof before === 'number';
      return [key, isNumber ? value - before : value];
    }),
  ) as T;
}

/** The longest is not known of a part of the time: where the longest's bucket begins. */
function requestsSince(newer: RequestFigures, older: RequestFigures | undefined): RequestFigures {
  if (older === undefined) return newer;
  const distribution = distributionSince(newer.distribution, older.distribution);
  const isNewMax = newer.maxUs > older.maxUs;
  const maxUs = isNewMax ? newer.maxUs : (distribution.at(-1)?.[0] ?? 0);
  return { ...difference(newer, older), name: newer.name, maxUs, distribution };
}

/** What happened between two reports of one mount; sizes as in the newer one. */
export function reportSince(newer: StatsReport, older: StatsReport): StatsReport {
  // Somebody has set the counts back in between: all that is known is what came since.
  if (newer.sinceMs !== older.sinceMs) return newer;
  const before = new Map(older.requests.map((figures) => [figures.name, figures]));
  return {
    ...newer,
    sinceMs: older.sinceMs + older.elapsedMs,
    elapsedMs: newer.elapsedMs - older.elapsedMs,
    bytesRead: newer.bytesRead - older.bytesRead,
    bytesWritten: newer.bytesWritten - older.bytesWritten,
    requests: newer.requests
      .map((figures) => requestsSince(figures, before.get(figures.name)))
      .filter(({ count, busyMs }) => count > 0 || busyMs > 0)
      .sort((a, b) => b.busyMs - a.busyMs),
    loop:
      newer.loop === null || older.loop === null ? newer.loop : difference(newer.loop, older.loop),
    heldBack:
      newer.heldBack === null || older.heldBack === null ? null : newer.heldBack - older.heldBack,
    commits: {
      ...difference(newer.commits, older.commits),
      storeMaxMs: newer.commits.storeMaxMs,
    },
  };
}
