/**
 * Simulated histories in a process of their own, without tap, and how many of
 * them: enough to notice what a change has broken. `npm run soak:sync` runs as
 * many as one likes, from new seeds.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Of one run of a test file. */
export const HISTORIES = Number(process.env['HISTORIES'] ?? 2_000);

/** `file`: the child, beside this file. Returns what it has printed, as JSON. */
export function runHistories<Outcome>(file: string, firstSeed: number): Outcome {
  const child = fileURLToPath(new URL(file, import.meta.url));
  const loader = process.execArgv.filter((word) => word.includes('typescript'));
  const words = [...loader, child, String(firstSeed), String(HISTORIES)];
  const ran = spawnSync(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse(String(ran.stdout)) as Outcome;
}
