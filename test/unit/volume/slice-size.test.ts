/** How much the collector does between two flushes. */
import t from 'tap';
import { SLICE_PLACES, SliceSize } from '../../../src/volume/collector/slice-size.js';

t.test('more between two flushes where they take long, step by step, and less again', async (t) => {
  const size = new SliceSize();
  t.equal(size.places, SLICE_PLACES);
  size.took(8, 2);
  t.equal(size.places, SLICE_PLACES, 'a quick disk: small slices');
  size.took(8, 400);
  t.equal(size.places, 2 * SLICE_PLACES, 'not more than twice as much at once');
  for (let i = 0; i < 10; i++) size.took((size.places / SLICE_PLACES) * 8, 400);
  const most = size.places;
  t.ok(most > 4 * SLICE_PLACES, 'as much as is worth a slow flush');
  t.ok((most / SLICE_PLACES) * 8 <= 61, 'but programs do not wait much longer for it');
  size.took(200, 10);
  t.equal(size.places, SLICE_PLACES);
  size.took(0, 10);
  t.equal(size.places, SLICE_PLACES, 'nothing was done');
});
