/** Bytes arrive where they should and nothing else changes, from and into memory of any kind. */
import fc from 'fast-check';
import t from 'tap';
import { copyBytes } from '../../../src/lib/copy-bytes.js';

const SIZE = 600;

function memory(isShared: boolean, first: number): Uint8Array {
  const bytes = new Uint8Array(isShared ? new SharedArrayBuffer(SIZE) : new ArrayBuffer(SIZE));
  for (let i = 0; i < SIZE; i++) bytes[i] = first + i * 7;
  return bytes;
}

t.test('a copy equals the result of a loop', async (t) => {
  const place = fc.nat({ max: SIZE });
  const property = fc.property(
    fc.boolean(),
    fc.boolean(),
    place,
    place,
    place,
    (fromShared, toShared, start, at, most) => {
      const length = Math.min(most, SIZE - start, SIZE - at);
      const from = memory(fromShared, 1);
      const to = memory(toShared, 100);
      const expected = Buffer.from(to);
      for (let i = 0; i < length; i++) expected[at + i] = from[start + i] as number;
      copyBytes(from, start, length, to, at);
      return expected.equals(to) && Buffer.from(memory(false, 1)).equals(from);
    },
  );
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2000 }));
});

t.test('a copy that does not fit is an error, not a shorter copy', async (t) => {
  t.throws(() => copyBytes(memory(true, 1), 0, 500, memory(true, 1), 200), {
    code: 'ERR_OUT_OF_RANGE',
  });
});
