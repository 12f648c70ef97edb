/**
 * Random system calls by several processes on a mount and on a plain directory
 * side by side. `SEED=… test/run test/posix/fuzz.test.ts` runs a failing seed again.
 */
import t from 'tap';
import { fuzz, runInWorld } from './differential.js';
import { FOUND } from './found.js';
import { fuzzModes } from './modes.js';

const OPERATIONS = 500;
/** The same in every run, which must not fail by chance; `npm run soak` draws new ones. */
const seed = Number.parseInt(process.env['SEED'] ?? '5', 16);

for (const mode of fuzzModes()) {
  t.test(mode.title, async (t) => {
    const difference = await fuzz(mode, seed, OPERATIONS);
    t.equal(difference, undefined, difference ?? 'both sides agree');
  });
}

for (const mode of fuzzModes().filter(({ overBase, writeback }) => !overBase && !writeback)) {
  t.test(`what was found once, ${mode.title}`, async (t) => {
    const difference = await runInWorld(mode, FOUND, true);
    t.equal(difference, undefined, difference?.text ?? 'both sides agree');
  });
}
