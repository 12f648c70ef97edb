/**
 * Child process of agent.test.ts: so many simulated histories from a seed on, up to the first
 * one that breaks a rule. Under tap each would take three times as long: it follows every promise.
 */
import { agentHistory } from './agent-history.js';

export interface Histories {
  stops: number;
  refused: number;
  pruned: number;
  /** Command → how often. */
  done: Record<string, number>;
  broken?: string;
}

const [firstSeed = 0, count = 0] = process.argv.slice(2).map(Number);
const all: Histories = { stops: 0, refused: 0, pruned: 0, done: {} };
for (let seed = firstSeed; seed < firstSeed + count; seed++) {
  const { broken, world } = await agentHistory(seed);
  all.stops += world.stops;
  all.refused += world.refused;
  all.pruned += world.pruned;
  for (const [what, times] of Object.entries(world.done))
    all.done[what] = (all.done[what] ?? 0) + times;
  if (broken === undefined) continue;
  all.broken = `${broken} (SEED=${seed} HISTORIES=1; SAY=1 tells what happens)`;
  break;
}
process.stdout.write(JSON.stringify(all));
