/** Figures of `space` where random work seldom goes; space-model.test.ts has the rest. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CommandError } from '../../../src/lib/errors.js';
import { Volume } from '../../../src/volume/volume.js';
import { encodeGoneInode } from '../../../src/format/records/inode-record.js';
import { InodeHiding } from '../../../src/volume/space/hiding.js';
import { LargestFiles } from '../../../src/volume/space/largest.js';
import { measureSpace, type SpaceReport } from '../../../src/volume/space/space.js';
import { VolumeFixture } from './volume-fixture.js';

const BLOCK = 4096;
/** Two pages, its node in the leaf, and its entry of the delta map. */
const STORED = 2 * 4096 + (8 + 28 + 24 + 2) + (8 + 7 + 18 + 1 + 2);

function only(report: SpaceReport, name: string): number {
  return report.snapshots.find((one) => one.name === name)?.onlyBytes ?? Number.NaN;
}

t.test('a cut at the edge of blocks that were written together', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.write('f', 'x'.repeat(4 * BLOCK));
  fixture.save('one');
  fixture.truncate('f', BLOCK);
  fixture.save('two');
  const report = measureSpace(fixture.volume);
  const blocks = Math.floor(only(report, 'one') / STORED);
  t.equal(blocks, 3);
  t.ok(only(report, 'two') < STORED, 'its block is that of the live tree');
  t.end();
});

t.test('what its own layer has cut off is needed by nobody', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.write('f', 'x'.repeat(4 * BLOCK));
  fixture.flush();
  fixture.truncate('f', BLOCK);
  fixture.flush();
  const { totals } = measureSpace(fixture.volume);
  t.equal(totals.pendingBytes, 3 * STORED);
  fixture.collect();
  t.equal(measureSpace(fixture.volume).totals.pendingBytes, 0);
  t.end();
});

t.test('a file that came back, and is removed again', (t) => {
  const hiding = new InodeHiding(() => 10);
  const gone = Buffer.from(encodeGoneInode());
  hiding.add(7, 5, gone, false);
  hiding.add(7, 1, gone, false);
  hiding.sort();
  t.same([hiding.count, hiding.placeAt(0), hiding.placeAt(1)], [2, 1, 5]);
  t.end();
});

t.test('names, and what is meant by them', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.write('f', 'x'.repeat(BLOCK));
  fixture.save('monday');
  fixture.volume.branchCommands.fork('side', {}, 'test');
  fixture.volume.branchCommands.fork('monday', {}, 'test');
  fixture.flush();
  const { volume } = fixture;
  const meant = (words: string[], branches: string[] = []): unknown => {
    const { snapshots, branches: others } = measureSpace(volume, { words, branches }).set ?? {};
    return [snapshots, others];
  };
  t.same(meant(['side', 'm*']), [['monday'], ['side']]);
  t.same(meant(['monday']), [['monday'], []], 'a snapshot first');
  t.same(meant([], ['monday']), [[], ['monday']]);
  t.same(meant(['latest', 'main']), [['monday'], ['main']]);
  const refused = (words: string[], branches: string[] = []): unknown => {
    try {
      return measureSpace(volume, { words, branches });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return [error.code, error.message];
    }
  };
  t.same(refused(['mondax']), [
    'no-such-snapshot',
    'no snapshot or branch "mondax"; did you mean monday?',
  ]);
  t.match(refused(['z*']), ['no-such-snapshot', /matches "z\*"/]);
  t.match(refused([], ['sid']), ['no-such-branch', /side/]);
  t.end();
});

t.test('the largest files, by the path where they were', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.mkdir('d');
  for (let i = 1; i <= 5; i++) fixture.write(`d/f${i}`, 'x'.repeat(i * BLOCK));
  fixture.save('one');
  fixture.rename('d', 'e');
  for (let i = 1; i <= 5; i++) fixture.unlink(`e/f${i}`);
  fixture.flush();
  const { files } = measureSpace(fixture.volume, { words: ['one'], files: 2 });
  t.match(files, [
    { path: 'd/f5', snapshot: 'one' },
    { path: 'd/f4', snapshot: 'one' },
  ]);
  t.equal(Math.floor((files?.[0]?.bytes ?? 0) / STORED), 5);
  t.end();
});

t.test('a heap of the largest', (t) => {
  const largest = new LargestFiles(3);
  for (const bytes of [5, 1, 9, 3, 8, 2]) largest.add({ ino: bytes, fileset: 1, bytes, top: 1 });
  t.same(
    largest.list().map(({ bytes }) => bytes),
    [9, 8, 5],
  );
  t.end();
});

t.test('what is only in the intent log is counted as it will be stored', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.logBytes = 256 * 1024;
  const { volume } = fixture;
  const sync = (): void => {
    volume.durable();
    for (let i = 0; i < 10; i++) volume.pump();
  };
  // The first ones make the log.
  for (const content of ['x', 'y', 'z']) {
    fixture.write('f', content);
    sync();
  }
  fixture.flush();
  const stored = measureSpace(volume);
  t.ok(stored.isExact);
  fixture.write('g', 'y'.repeat(3 * BLOCK));
  sync();
  const path = join(fixture.directory, 'crashed');
  cpSync(fixture.path, path, { recursive: true });
  const crashed = Volume.open({ path, writer: { kind: 'none' } });
  const report = measureSpace(crashed);
  crashed.close();
  t.notOk(report.isExact);
  const more = report.totals.liveBytes - stored.totals.liveBytes;
  t.equal(Math.floor(more / STORED), 3);
  t.end();
});
