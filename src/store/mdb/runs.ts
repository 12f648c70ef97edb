/** Runs of free pages. Pure. */
import type { FreeRun } from './file.js';

/** In the order of the file, neighbours joined. */
export function mergedRuns(runs: readonly FreeRun[]): { page: number; pages: number }[] {
  const sorted = [...runs].sort((a, b) => a.page - b.page);
  const merged: { page: number; pages: number }[] = [];
  for (const { page, pages } of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && last.page + last.pages === page) last.pages += pages;
    else merged.push({ page, pages });
  }
  return merged;
}
