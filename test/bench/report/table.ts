/** The tables of a run: one row a workload, one column a system. */
import { formatBytes, formatMs, formatRatio, formatTable } from './format.js';
import { figuresOf, type Measured, median, type Roles } from './measured.js';

function targetText(row: Measured): string {
  if (row.target === undefined) return '';
  if ('ratio' in row.target) return `<= ${row.target.ratio}`;
  const { atMost } = row.target;
  if (row.unit === 'bytes') return `<= ${formatBytes(atMost)}`;
  return `<= ${atMost}${row.unit === 'ms' ? ' ms' : ''}`;
}

function amount(row: Measured, value: number | undefined): string {
  if (value === undefined) return '-';
  if (row.unit === 'bytes') return formatBytes(value);
  return row.unit === 'ms' ? formatMs(value) : formatRatio(value);
}

/**
 * Times: ms on the disk, for the others the ratio to it, for shadowfs ms too.
 * Bytes, and rows for which there is no disk: the amount itself.
 */
export function comparisonTable(rows: readonly Measured[], roles: Roles): string {
  const others = [...roles.kernel, ...roles.peers];
  const lines = rows.map((row) => {
    const { medians, ratios, toBestPeer, bestPeer, isMet } = figuresOf(row, roles);
    const isCompared = row.unit === 'ms' && medians[roles.disk] !== undefined;
    const cell = (name: string): string =>
      isCompared ? formatRatio(ratios[name]) : amount(row, medians[name]);
    const [first = ''] = roles.own;
    const verdict = isMet[first] === undefined ? '' : isMet[first] ? 'met' : 'missed';
    return [
      row.title,
      amount(row, medians[roles.disk]),
      ...others.map(cell),
      ...roles.own.flatMap((name) => [
        isCompared ? amount(row, medians[name]) : '',
        cell(name),
        formatRatio(toBestPeer[name]),
      ]),
      bestPeer ?? '-',
      targetText(row),
      verdict,
    ];
  });
  const head = [
    'median',
    `${roles.disk} ms`,
    ...others,
    ...roles.own.flatMap((name) => ['ms', name, 'to best']),
    'best peer',
    'target',
    '',
  ];
  return [
    `Ratios to ${roles.disk}, the lower the better; "to best": to the fastest FUSE peer.`,
    formatTable([head, ...lines]),
  ].join('\n');
}

/** Memory of the servers after each workload. */
export function memoryTable(rows: readonly Measured[], roles: Roles): string | undefined {
  const names = [...roles.peers, ...roles.own];
  const lines = rows
    .filter(({ memoryBytes }) => Object.keys(memoryBytes).length > 0)
    .map(({ title, memoryBytes }) => [
      title,
      ...names.map((name) => formatBytes(median(memoryBytes[name] ?? []))),
    ]);
  if (lines.length === 0) return undefined;
  const title = 'Memory of the serving process after it, without what files back (RssAnon).';
  return [title, formatTable([['', ...names], ...lines])].join('\n');
}

/** Rows about shadowfs alone: the value, and the target. */
export function ownTable(rows: readonly Measured[], own: string): string {
  const roles = { disk: '', kernel: [], peers: [], own: [own] };
  const lines = rows.map((row) => {
    const { medians, isMet } = figuresOf(row, roles);
    const verdict = isMet[own] === undefined ? '' : isMet[own] ? 'met' : 'missed';
    const unit = row.unit === 'bytes' ? '' : ` ${row.unit}`;
    return [row.title, `${amount(row, medians[own])}${unit}`, targetText(row), verdict];
  });
  return formatTable([['shadowfs alone', 'median', 'target', ''], ...lines]);
}
