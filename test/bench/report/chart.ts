/**
 * The chart of native-notes/figures.md: for each workload a bar for shadowfs, below it one
 * for the FUSE peers (as far as the best of them, and paler as far as the
 * worst), and a mark for the kernel's overlayfs; times of plain ext4 on a
 * logarithmic scale, bars begin at 1. Plain SVG, legible on light and on dark
 * pages. Pure: rows in, text out.
 */

export interface ChartRow {
  title: string;
  /** Times of ext4. */
  own: number;
  bestPeer?: number;
  worstPeer?: number;
  overlayfs?: number;
}

export interface ChartText {
  title: string;
  /** Where and when it was measured. */
  note: string;
}

const WIDTH = 860;
const LABEL_WIDTH = 270;
const VALUE_WIDTH = 110;
const TOP = 78;
const ROW_HEIGHT = 27;
const OWN_HEIGHT = 10;
const PEER_HEIGHT = 6;
const BOTTOM = 42;
/** What lies further out is told in words: few bars may not make all others short. */
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];

const STYLE = `
    text { font: 12px system-ui, sans-serif; fill: #1f2328; }
    .title { font-size: 15px; font-weight: 600; }
    .small { font-size: 11px; fill: #59636e; }
    .grid { stroke: #d1d9e0; } .one { stroke: #59636e; stroke-width: 1.5; }
    .own { fill: #0969da; } .best { fill: #8c959f; } .worst { fill: #8c959f; opacity: 0.45; }
    .overlay { fill: #bc4c00; } .value { font-size: 11px; fill: #0969da; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; } .small { fill: #9198a1; }
      .grid { stroke: #3d444d; } .one { stroke: #9198a1; }
      .own { fill: #4493f8; } .best, .worst { fill: #7d8590; } .overlay { fill: #f0883e; }
      .value { fill: #4493f8; }
    }
  `;

export function escapeText(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

const round = (value: number): string => String(Math.round(value * 10) / 10);

/** A range around all values and 1: the nearest ticks outside them, or the outermost. */
export function scaleOf(values: readonly number[]): { low: number; high: number } {
  const least = Math.min(1, ...values);
  const most = Math.max(2, ...values);
  return {
    low: TICKS.filter((tick) => tick <= least).pop() ?? TICKS[0] ?? 0.1,
    high: TICKS.find((tick) => tick >= most) ?? TICKS[TICKS.length - 1] ?? 100,
  };
}

/** Where a value lies on a logarithmic scale, 0 to 1; what lies outside at its end. */
export function positionOf(value: number, low: number, high: number): number {
  const part = Math.log(value / low) / Math.log(high / low);
  return Math.max(0, Math.min(1, part));
}

function valuesOf({ own, bestPeer, worstPeer, overlayfs }: ChartRow): number[] {
  return [own, bestPeer, worstPeer, overlayfs].filter(
    (value): value is number => value !== undefined && Number.isFinite(value) && value > 0,
  );
}

export function chart(rows: readonly ChartRow[], { title, note }: ChartText): string {
  const { low, high } = scaleOf(rows.flatMap(valuesOf));
  const plotWidth = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const x = (value: number): number => LABEL_WIDTH + plotWidth * positionOf(value, low, high);
  const height = TOP + rows.length * ROW_HEIGHT + BOTTOM;
  const bottom = height - BOTTOM;

  const bar = (kind: string, from: number, to: number, y: number, barHeight: number): string => {
    const left = Math.min(x(from), x(to));
    // A bar of nothing would not be seen: as fast as ext4.
    const width = Math.max(1.5, Math.abs(x(to) - x(from)));
    return `<rect class="${kind}" x="${round(left)}" y="${round(y)}" width="${round(width)}" height="${barHeight}"/>`;
  };
  const grid = TICKS.filter((tick) => tick >= low && tick <= high).flatMap((tick) => [
    `<line class="${tick === 1 ? 'one' : 'grid'}" x1="${round(x(tick))}" x2="${round(x(tick))}" y1="${TOP - 6}" y2="${bottom}"/>`,
    `<text class="small" text-anchor="middle" x="${round(x(tick))}" y="${bottom + 15}">${tick === 1 ? '1 (ext4)' : tick}</text>`,
  ]);
  const bars = rows.flatMap((row, i) => {
    const y = TOP + i * ROW_HEIGHT;
    const { own, bestPeer, worstPeer, overlayfs } = row;
    const peersY = y + OWN_HEIGHT + 1;
    const most = Math.max(...valuesOf(row), 1);
    const beyond = most > high ? ` (to ${+most.toPrecision(2)})` : '';
    const parts = [
      `<text text-anchor="end" x="${LABEL_WIDTH - 10}" y="${y + 13}">${escapeText(row.title)}</text>`,
      bar('own', 1, own, y, OWN_HEIGHT),
      `<text class="value" x="${round(x(most) + 7)}" y="${y + 13}">${+own.toPrecision(2)}${beyond}</text>`,
    ];
    if (bestPeer !== undefined) parts.push(bar('best', 1, bestPeer, peersY, PEER_HEIGHT));
    if (bestPeer !== undefined && worstPeer !== undefined)
      parts.push(bar('worst', bestPeer, worstPeer, peersY, PEER_HEIGHT));
    if (overlayfs !== undefined)
      parts.push(
        `<rect class="overlay" x="${round(x(overlayfs) - 1.5)}" y="${y - 1}" width="3" height="${OWN_HEIGHT + PEER_HEIGHT + 3}"/>`,
      );
    return parts;
  });
  const legend = [
    ['own', 'shadowfs', 0],
    ['best', 'best FUSE peer', 100],
    ['worst', 'worst FUSE peer', 230],
    ['overlay', 'kernel overlayfs', 370],
  ].flatMap(([kind, text, at]) => [
    `<rect class="${kind}" x="${LABEL_WIDTH + Number(at)}" y="42" width="${kind === 'overlay' ? 3 : 14}" height="10"/>`,
    `<text class="small" x="${LABEL_WIDTH + Number(at) + 20}" y="51">${text}</text>`,
  ]);
  const parts = [
    `<style>${STYLE}</style>`,
    `<text class="title" x="10" y="22">${escapeText(title)}</text>`,
    ...legend,
    ...grid,
    ...bars,
    `<text class="small" x="10" y="${height - 8}">${escapeText(note)}</text>`,
  ];
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${escapeText(title)}">\n  ${parts.join('\n  ')}\n</svg>\n`;
}
