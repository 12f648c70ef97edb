/** Lines over time, one small plot below the other, as SVG that is legible on light and on dark pages. Pure. */
import { escapeText } from '../report/chart.js';

export interface Line {
  /** `a` or `b`: its colour. */
  kind: 'a' | 'b';
  label: string;
  /** (minute, value). */
  points: readonly (readonly [number, number])[];
}

export interface Plot {
  title: string;
  lines: readonly Line[];
  /** A value on the axis, as text. */
  format: (value: number) => string;
}

const WIDTH = 860;
const LEFT = 80;
const RIGHT = 20;
const PLOT_HEIGHT = 110;
const PLOT_STEP = 165;
const TOP = 50;
const BOTTOM = 40;

const STYLE = `
    text { font: 12px system-ui, sans-serif; fill: #1f2328; }
    .title { font-size: 15px; font-weight: 600; } .small { font-size: 11px; fill: #59636e; }
    .grid { stroke: #d1d9e0; } path { fill: none; stroke-width: 1.5; }
    .a { stroke: #0969da; } .b { stroke: #bc4c00; }
    text.a { stroke: none; fill: #0969da; } text.b { stroke: none; fill: #bc4c00; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; } .small { fill: #9198a1; } .grid { stroke: #3d444d; }
      .a { stroke: #4493f8; } .b { stroke: #f0883e; }
      text.a { fill: #4493f8; } text.b { fill: #f0883e; }
    }
  `;

const rounded = (value: number): string => String(Math.round(value * 10) / 10);

/** The least of 1, 2, 5 times a power of ten that is not below the value: the top of an axis. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= value) ?? 10 * power;
}

export function plots(all: readonly Plot[], title: string, note: string): string {
  const minutes = Math.max(
    1,
    ...all.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([at]) => at))),
  );
  const x = (minute: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * minute) / minutes;
  const parts = all.flatMap(({ title: name, lines, format }, i) => {
    const top = TOP + i * PLOT_STEP + 20;
    const most = roundUp(Math.max(...lines.flatMap(({ points }) => points.map(([, v]) => v)), 0));
    const y = (value: number): number => top + PLOT_HEIGHT * (1 - Math.min(1, value / most));
    const grid = [0, 0.5, 1].flatMap((part) => [
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${rounded(y(part * most))}" y2="${rounded(y(part * most))}"/>`,
      `<text class="small" text-anchor="end" x="${LEFT - 8}" y="${rounded(y(part * most) + 4)}">${escapeText(format(part * most))}</text>`,
    ]);
    const drawn = lines.flatMap(({ kind, label, points }, n) => [
      `<path class="${kind}" d="M${points.map(([at, value]) => `${rounded(x(at))} ${rounded(y(value))}`).join('L')}"/>`,
      `<text class="${kind}" text-anchor="end" x="${WIDTH - RIGHT - n * 140}" y="${top - 8}">${escapeText(label)}</text>`,
    ]);
    return [`<text x="${LEFT}" y="${top - 8}">${escapeText(name)}</text>`, ...grid, ...drawn];
  });
  const height = TOP + all.length * PLOT_STEP + BOTTOM;
  const axis = [0, 0.25, 0.5, 0.75, 1].map(
    (part) =>
      `<text class="small" text-anchor="middle" x="${rounded(x(part * minutes))}" y="${height - BOTTOM}">${rounded(part * minutes)} min</text>`,
  );
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${escapeText(title)}">`,
    `  <style>${STYLE}</style>`,
    `  <text class="title" x="10" y="22">${escapeText(title)}</text>`,
    ...[...parts, ...axis].map((part) => `  ${part}`),
    `  <text class="small" x="10" y="${height - 8}">${escapeText(note)}</text>`,
    '</svg>\n',
  ].join('\n');
}
