/** Truncation markers: rule D4 against a plain list of what was cut when. */
import t from 'tap';
import {
  areSameClips,
  clipFaults,
  type Clips,
  clippedBase,
  clipsAfter,
  firstDifference,
  isClipped,
} from '../../../src/format/clips.js';
import { MAX_CLIPS } from '../../../src/format/records/tables.js';
import { randomOf } from '../volume/random-history.js';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
t.comment(`SEED=${SEED}`);
const BLOCK = 4096;

t.test('what a clip hides', async (t) => {
  const clips: Clips = [{ layer: 5, step: 3, size: 10_000 }];
  const cases: [offset: number, layer: number, step: number, isHidden: boolean][] = [
    [10_000, 5, 2, true],
    [10_000, 4, 9, true],
    [9999, 4, 9, false],
    [10_000, 5, 3, false],
    [10_000, 6, 0, false],
    [2 ** 45, 5, 2, true],
  ];
  for (const [offset, layer, step, isHidden] of cases) {
    t.equal(isClipped(clips, offset, layer, step), isHidden, `${offset} at ${layer}/${step}`);
  }
  t.notOk(isClipped([], 0, 1, 1));
});

t.test('how much of a base file counts', async (t) => {
  const at = (size: number) => ({ layer: 2, step: 2, size });
  t.equal(clippedBase([], 10_000, BLOCK), 10_000);
  t.equal(clippedBase([at(BLOCK + 1)], 10_000, BLOCK), 2 * BLOCK, 'up to the end of a block');
  t.equal(clippedBase([at(BLOCK), at(0)], 10_000, BLOCK), 0);
  t.equal(clippedBase([at(20_000)], 10_000, BLOCK), 10_000, 'cut behind its end');
});

t.test('truncations one after the other', async (t) => {
  const random = randomOf(SEED);
  for (let round = 0; round < 200; round++) {
    let clips: Clips = [];
    const cuts: { layer: number; step: number; size: number }[] = [];
    let [layer, step] = [1, 1];
    for (let i = 0; i < 30; i++) {
      if (random(3) === 0) [layer, step] = [layer + 1 + random(3), 1];
      step++;
      const cut = { layer, step, size: random(12) * BLOCK };
      const after = clipsAfter(clips, cut);
      if (after === undefined) {
        t.equal(clips.filter(({ size }) => size < cut.size).length, MAX_CLIPS);
        continue;
      }
      clips = after;
      cuts.push(cut);
      t.strictSame(clipFaults(clips), []);
      const [versionLayer, versionStep] = [1 + random(layer + 2), random(step + 2)];
      for (let index = 0; index < 13; index++) {
        const isHidden = cuts.some(
          (one) =>
            index * BLOCK >= one.size &&
            (versionLayer < one.layer || (versionLayer === one.layer && versionStep < one.step)),
        );
        const found = isClipped(clips, index * BLOCK, versionLayer, versionStep);
        if (found !== isHidden) t.fail(`block ${index} of ${versionLayer}/${versionStep}`);
      }
    }
  }
});

t.test('what two versions of an inode were cut to', async (t) => {
  const [a, b, c] = [
    { layer: 4, step: 2, size: 9 },
    { layer: 3, step: 2, size: 6 },
    { layer: 2, step: 2, size: 3 },
  ] as const;
  t.ok(areSameClips([a, b], [{ ...a }, { ...b }]));
  t.notOk(areSameClips([a, b], [a]));
  t.notOk(areSameClips([a], [{ ...a, step: 3 }]));
  t.equal(firstDifference([a, b], [a, b]), undefined);
  t.equal(firstDifference([b], [a, b]), 9);
  t.equal(firstDifference([a, c], [a, b]), 3, 'either of them');
});

t.test('what check finds', async (t) => {
  const [old, young] = [
    { layer: 2, step: 2, size: 3 },
    { layer: 4, step: 2, size: 9 },
  ];
  t.strictSame(clipFaults([young, old]), []);
  t.strictSame(clipFaults([old, young]), [
    'the sizes of the clips do not fall',
    'the clips are not in order',
  ]);
  const many = Array.from({ length: MAX_CLIPS + 1 }, (_, i) => ({
    layer: 20 - i,
    step: 1,
    size: 100 - i,
  }));
  t.strictSame(clipFaults(many), [`it has ${MAX_CLIPS + 1} clips`]);
});
