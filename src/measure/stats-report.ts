/**
 * The figures of a mount, as `.control/stats` shows them: one JSON object. All
 * counts and times are sums since `sinceMs`, so that two reports can be
 * subtracted; sizes are current. Null: this driver does not count it.
 *
 * Doors: every file.
 */
import { type Distribution, distributionSince } from './log-histogram.js';

export interface RequestFigures {
  /** The kernel's name of the kind: LOOKUP, READ … */
  name: string;
  /** Answered. */
  count: number;
  errors: number;
  /** Answered requests that had to wait first. */
  late: number;
  /** Time of the serving thread. */
  busyMs: number;
  /** From arrival to answer. */
  totalMs: number;
  maxMs: number;
  distribution: Distribution;
}

export interface LoopFigures {
  /** How often the thread slept, and for how long. */
  sleeps: number;
  idleMs: number;
  /** Busy polls for the next request: how many found it, how many did not, and their time. */
  spinHits: number;
  spinMisses: number;
  spinMs: number;
  /** Messages from other threads, timers and parked requests. */
  messagesMs: number;
  /** Long work in pieces: invalidations in the kernel after a restore. */
  jobsMs: number;
}

export interface CommitFigures {
  groups: number;
  records: number;
  storedBytes: number;
  /** Time of the storing thread. */
  storeMs: number;
  storeMaxMs: number;
  /** Time the serving thread spent on handing txgs over. */
  handOverMs: number;
  /** Time the serving thread was blocked until the storing thread was done. */
  waitedMs: number;
  /** fsyncs answered by the intent log, and by LMDB. */
  syncsByLog: number;
  syncsByStore: number;
  logFlushes: number;
  /** From writing the record until the loop knows that it is on disk. */
  logFlushMs: number;
  logFlushMaxMs: number;
}

/** What is kept in memory: things, or bytes. */
export type CacheFigures = { name: string } & (
  | { count: number; maxCount?: number }
  | { sizeBytes: number; maxBytes?: number }
);

export interface StatsReport {
  driver: string;
  mountedMs: number;
  /** When counting began: at the mount, or at the last reset. */
  sinceMs: number;
  elapsedMs: number;
  readBytes: number;
  writtenBytes: number;
  requests: RequestFigures[];
  loop: LoopFigures | null;
  /** Changes that had to wait until the volume accepted them. */
  heldBackCount: number | null;
  commits: CommitFigures;
  /** `asked`: how many nodes the kernel was asked to forget. */
  nodes: { live: number; special: number; asked: number };
  caches: CacheFigures[];
  memory: {
    rssAnonBytes: number;
    heapUsedBytes: number;
    heapTotalBytes: number;
    externalBytes: number;
  };
}

/** `newer` minus every number that `older` also has. */
function difference<T extends object>(newer: T, older: T): T {
  return Object.fromEntries(
    Object.entries(newer).map(([key, value]) => {
      const before: unknown = older[key as keyof T];
      const isNumber = typeof value === 'number' && typeof before === 'number';
      return [key, isNumber ? value - before : value];
    }),
  ) as T;
}

/** The longest request of an interval is unknown: the start of its bucket stands for it. */
function requestsSince(newer: RequestFigures, older: RequestFigures | undefined): RequestFigures {
  if (older === undefined) return newer;
  const distribution = distributionSince(newer.distribution, older.distribution);
  const isNewMax = newer.maxMs > older.maxMs;
  const maxMs = isNewMax ? newer.maxMs : (distribution.at(-1)?.fromMs ?? 0);
  return { ...difference(newer, older), name: newer.name, maxMs, distribution };
}

/** What happened between two reports of one mount; sizes as in the newer one. */
export function reportSince(newer: StatsReport, older: StatsReport): StatsReport {
  // The counters were reset in between: only what came since is known.
  if (newer.sinceMs !== older.sinceMs) return newer;
  const before = new Map(older.requests.map((figures) => [figures.name, figures]));
  return {
    ...newer,
    sinceMs: older.sinceMs + older.elapsedMs,
    elapsedMs: newer.elapsedMs - older.elapsedMs,
    readBytes: newer.readBytes - older.readBytes,
    writtenBytes: newer.writtenBytes - older.writtenBytes,
    requests: newer.requests
      .map((figures) => requestsSince(figures, before.get(figures.name)))
      .filter(({ count, busyMs }) => count > 0 || busyMs > 0)
      .sort((a, b) => b.busyMs - a.busyMs),
    loop:
      newer.loop === null || older.loop === null ? newer.loop : difference(newer.loop, older.loop),
    heldBackCount:
      newer.heldBackCount === null || older.heldBackCount === null
        ? null
        : newer.heldBackCount - older.heldBackCount,
    commits: {
      ...difference(newer.commits, older.commits),
      storeMaxMs: newer.commits.storeMaxMs,
    },
  };
}
