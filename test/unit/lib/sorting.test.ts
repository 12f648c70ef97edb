/** Sorting in pieces gives what sorting at once gives. */
import t from 'tap';
import { sortInPieces } from '../../../src/lib/sorting.js';
import { workNow } from '../../../src/lib/work.js';

for (const count of [0, 1, 255, 256, 257, 1000, 5000]) {
  t.test(`${count} items, stable, in pieces`, (t) => {
    let seed = 7 + count;
    const items = Array.from({ length: count }, (_, order) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return { key: seed % 97, order };
    });
    const byKey = (a: { key: number }, b: { key: number }): number => a.key - b.key;
    const expected = [...items].sort(byKey);
    workNow(sortInPieces(items, byKey));
    t.strictSame(items, expected);
    let [pieces, compared, most] = [0, 0, 0];
    const work = sortInPieces([...items].reverse(), (a, b) => {
      compared++;
      return a.order - b.order;
    });
    while (work.next().done !== true) {
      pieces++;
      most = Math.max(most, compared);
      compared = 0;
    }
    t.ok(most <= 256 * 8, `at most ${most} comparisons in a piece`);
    t.ok(pieces >= Math.floor(count / 256));
    t.end();
  });
}
