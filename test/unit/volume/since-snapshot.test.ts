/** Whether the tree has changed since its snapshot, and how much, in bounded time. */
import t from 'tap';
import { sinceSnapshot } from '../../../src/volume/snapshots/since-snapshot.js';
import { VolumeFixture } from './volume-fixture.js';

t.test('what was written since the snapshot', async (t) => {
  const fixture = new VolumeFixture(t);
  const since = (): ReturnType<typeof sinceSnapshot> => sinceSnapshot(fixture.volume);
  t.match(since(), { basedOn: null, isChanged: false, changedFileCount: 0, isAtLeast: false });
  fixture.write('a', 'x'.repeat(5000));
  t.match(since(), { isChanged: true, changedFileCount: 2, changedBytes: 8192 }, 'in memory');
  fixture.flush();
  t.match(since(), { isChanged: true, changedFileCount: 2, changedBytes: 8192 }, 'stored');
  fixture.save('one');
  t.match(since(), { basedOn: { name: 'one' }, isChanged: false, changedFileCount: 0 });
  fixture.write('a', 'y');
  fixture.save('two');
  fixture.write('b', 'y');
  fixture.volume.deleteSnapshot('two', 'test');
  fixture.flush();
  const changed = { basedOn: { name: 'one' }, isChanged: true, changedFileCount: 3 };
  t.match(since(), changed, 'with the layer whose snapshot is gone');
  fixture.restore('one');
  t.match(since(), { basedOn: { name: 'one' }, isChanged: false });
});

t.test('much is not counted to the end', async (t) => {
  const fixture = new VolumeFixture(t);
  for (let n = 0; n < 2500; n++) fixture.write(`f${n}`, 'x');
  const inMemory = sinceSnapshot(fixture.volume);
  t.match(inMemory, { isAtLeast: true });
  fixture.flush();
  const startedMs = performance.now();
  const stored = sinceSnapshot(fixture.volume);
  t.comment(`${(performance.now() - startedMs).toFixed(1)} ms`);
  t.match(stored, { isAtLeast: true, isChanged: true, changedFileCount: 2000 });
});
