/** Which of the recorded rows the chart shows, under which names. */
import type { Roles } from './measured.js';
import type { ChartRow } from './chart.js';
import type { RecordedRow } from './records.js';

/** Row → its name in the chart, from the top. */
const SHOWN: Readonly<Record<string, string>> = {
  untar: 'untar, 16,000 entries',
  cp: 'cp -r',
  rm: 'rm -rf',
  'find-cold': 'find, cold',
  find: 'find -size, hot',
  'grep-cold': 'grep -r, cold',
  grep: 'grep -r, hot',
  create: 'create 5,000 files',
  unlink: 'unlink 5,000 files',
  stat: 'stat, hot',
  missing: 'stat of missing names, again',
  open: 'open and close, hot',
  readdir: 'readdir of 5,000 names',
  write: 'write 512 MiB + fsync',
  'read-cold': 'read 512 MiB, cold',
  read: 'read 512 MiB, hot',
  'random-read': 'random 4 KiB reads, cold',
  'random-write': 'random 4 KiB writes + fsync',
  append: 'append + fsync',
  'git-commit': 'git add and commit',
  'git-status': 'git status',
  'npm-ci': 'npm ci',
  'sqlite-one': 'sqlite, one big transaction',
  'sqlite-many': 'sqlite, 200 transactions',
  'sqlite-wal': 'sqlite, 200 transactions, WAL',
  'node-cold': 'node loading 3,000 modules, cold',
  node: 'node loading 3,000 modules, hot',
  'base-append': 'over a base: append to 1,000 files',
  'base-rename': 'over a base: rename its top',
  'base-rm': 'over a base: rm -rf of it',
};

export interface Chosen {
  rows: ChartRow[];
  /** Of the newest row shown. */
  date: string;
}

/** The newest recorded row of each name that the chart shows, where ext4 and shadowfs are in it. */
export function chartRows(recorded: ReadonlyMap<string, RecordedRow>, roles: Roles): Chosen {
  const rows: ChartRow[] = [];
  let date = '';
  for (const [name, title] of Object.entries(SHOWN)) {
    const row = recorded.get(name);
    const disk = row?.medians[roles.disk];
    const own = row?.medians[roles.own[0] ?? ''];
    if (row === undefined || disk === undefined || own === undefined || disk <= 0) continue;
    const peers = roles.peers
      .map((peer) => row.medians[peer])
      .filter((median) => median !== undefined)
      .map((median) => median / disk);
    const overlayfs = row.medians['overlayfs'];
    rows.push({
      title,
      own: own / disk,
      ...(peers.length > 0 && { bestPeer: Math.min(...peers), worstPeer: Math.max(...peers) }),
      ...(overlayfs !== undefined && { overlayfs: overlayfs / disk }),
    });
    if (row.date > date) date = row.date;
  }
  return { rows, date };
}
