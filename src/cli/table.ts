/**
 * Tables for people: columns aligned, and on a terminal no wider than it is.
 * What does not go to a terminal is never cut, so that scripts see all of it.
 */
import { printLine } from './output.js';
import { cutMiddle, displayWidth } from './width.js';

const GAP = 2;
/** Columns up to this width (times, numbers) are cut only when cutting the others is not enough. */
const SPARED_WIDTH = 20;
const LEAST_WIDTH = 5;

interface TableForm {
  /** All left-aligned, or, for numbers, all but the first right-aligned. */
  columns?: 'text' | 'numbers';
  /** The most columns of a terminal that a line may take. */
  width?: number;
}

/** The widths of the columns, the widest of them made narrower until all fit. Pure. */
function fitWidths(natural: readonly number[], width: number): number[] {
  const room = width - GAP * (natural.length - 1);
  let widths = [...natural];
  for (const least of [SPARED_WIDTH, LEAST_WIDTH]) {
    for (let cap = Math.max(...widths); cap >= least; cap--) {
      if (widths.reduce((sum, one) => sum + one, 0) <= room) return widths;
      widths = widths.map((one) => Math.min(one, cap));
    }
  }
  return widths;
}

/** Rows under headings; no trailing spaces. Pure. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  { columns = 'text', width = Number.POSITIVE_INFINITY }: TableForm = {},
): string {
  const lines = [headings, ...rows];
  const natural = headings.map((_heading, column) =>
    lines.reduce((most, line) => Math.max(most, displayWidth(line[column] ?? '')), 0),
  );
  const widths = fitWidths(natural, width);
  const aligned = (cell: string, column: number): string => {
    const room = widths[column] ?? 0;
    const text = cutMiddle(cell, room);
    const space = ' '.repeat(Math.max(0, room - displayWidth(text)));
    return columns === 'numbers' && column > 0 ? space + text : text + space;
  };
  return lines.map((line) => line.map(aligned).join(' '.repeat(GAP)).trimEnd()).join('\n');
}

/** Where the output goes: the columns of the terminal, or no limit. */
export function outputWidth(): number {
  return (process.stdout.isTTY && process.stdout.columns) || Number.POSITIVE_INFINITY;
}

export function printTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  printLine(formatTable(headings, rows, { width: outputWidth() }));
}
