/**
 * Child process of group-save.test.ts: so many simulated group saves from a seed on, up to the
 * first one that breaks a rule. Under tap each would take three times as long: it follows every
 * promise.
 */
import { groupHistory } from './group-world.js';

export interface GroupHistories {
  stops: number;
  committed: number;
  dropped: number;
  broken?: string;
}

const [firstSeed = 0, count = 0] = process.argv.slice(2).map(Number);
const all: GroupHistories = { stops: 0, committed: 0, dropped: 0 };
for (let seed = firstSeed; seed < firstSeed + count; seed++) {
  const { broken, world } = await groupHistory(seed);
  all.stops += world.stops;
  for (const { answer } of world.asked) {
    if (answer?.outcome === 'committed') all.committed++;
    else all.dropped++;
  }
  if (broken === undefined) continue;
  all.broken = `${broken} (SEED=${seed} HISTORIES=1)`;
  break;
}
process.stdout.write(JSON.stringify(all));
