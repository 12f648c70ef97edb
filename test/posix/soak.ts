/**
 * Fuzzing for as long as wanted: `npm run soak -- --minutes 60`. Every round is
 * a new seed in one of the modes; what differs is printed as it is found. Ends
 * with 1 when there was a difference. Every mount is checked at its end.
 */
import { parseArgs } from 'node:util';
import { fuzz } from './differential.js';
import { fuzzModes } from './modes.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    operations: { type: 'string', default: '3000' },
    /** Only modes with this in their title. */
    only: { type: 'string', default: '' },
    /** Print failing scripts as they are. */
    'no-shrink': { type: 'boolean', default: false },
    /** End at the first difference. */
    bail: { type: 'boolean', default: false },
  },
});

const modes = fuzzModes().filter(({ title }) => title.includes(values.only));
const untilMs = performance.now() + Number(values.minutes) * 60_000;
let rounds = 0;
let differences = 0;
for (let seed = Number(values.seed); performance.now() < untilMs; seed++) {
  const mode = modes[rounds++ % modes.length];
  if (mode === undefined) throw new Error(`no mode has "${values.only}" in its title`);
  console.log(`seed ${seed}, ${mode.title}`);
  const found = await fuzz(mode, seed, Number(values.operations), !values['no-shrink']);
  if (found === undefined) continue;
  differences++;
  console.log(found);
  if (values.bail) break;
}
console.log(
  `${rounds} rounds of ${values.operations} operations, ${differences} with a difference`,
);
process.exitCode = differences === 0 ? 0 : 1;
