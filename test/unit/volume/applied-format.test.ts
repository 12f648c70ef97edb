/**
 * Rule A7: a volume of which something was applied has a format that a shadowfs
 * without apply refuses; one of which nothing was applied keeps its own.
 */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { deltaPrefix, prefixEnd } from '../../../src/format/records/keys.js';
import { BASE_LAYER, TABLE } from '../../../src/format/records/tables.js';
import { encodeJson } from '../../../src/format/records/values.js';
import { formatOf, formatUse, NEWEST_FORMAT } from '../../../src/format/records/volume-format.js';
import { BaseDirectory } from '../../../src/base/base-directory.js';
import { StoreReader } from '../../../src/store/reader.js';
import { StoreWriter } from '../../../src/store/writer.js';
import { readMeta } from '../../../src/volume/catalog.js';
import { WriterHost } from '../../../src/volume/commit/writer-host.js';
import { checkFormat } from '../../../src/volume/open-volume.js';
import { Volume } from '../../../src/volume/volume.js';
import { applyAll, applying } from './apply-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

/** The newest format of the last shadowfs that could not apply. */
const BEFORE_APPLY = 2;

function fillBase(path: string): void {
  mkdirSync(join(path, 'd'));
  writeFileSync(join(path, 'd/f'), 'one');
}

function formatIn(path: string): number | undefined {
  const reader = StoreReader.open(path);
  const format = readMeta<number>(reader, 'format');
  reader.close();
  return format;
}

const refused = { code: 'newer-format', message: /format 3; this shadowfs knows formats up to 2/ };

t.test('each use has a number of its own', (t) => {
  const both = [false, true];
  const found = both.flatMap((hasGiven) =>
    both.flatMap((hasMerges) =>
      both.flatMap((hasBranches) =>
        both.flatMap((isApplied) =>
          both.map((hasLog) => ({ hasLog, isApplied, hasBranches, hasMerges, hasGiven })),
        ),
      ),
    ),
  );
  const numbers = Array.from({ length: 32 }, (_, i) => i + 1);
  t.strictSame(found.map(formatOf), numbers);
  t.strictSame(numbers.map(formatUse), found);
  for (const other of [undefined, 0, 33, 1.5, '1']) t.equal(formatUse(other), undefined);
  t.equal(NEWEST_FORMAT, 32);
  t.end();
});

t.test('raised with the first apply, and kept', (t) => {
  const fixture = new VolumeFixture(t, {}, fillBase);
  fixture.write('d/f', 'two');
  fixture.save('before');
  t.equal(formatIn(fixture.path), 1, 'nothing was applied');
  t.doesNotThrow(() => checkFormat(fixture.path, formatIn(fixture.path), BEFORE_APPLY));
  applyAll(fixture);
  t.equal(formatIn(fixture.path), 3);
  t.throws(() => checkFormat(fixture.path, formatIn(fixture.path), BEFORE_APPLY), refused);
  fixture.close();
  t.equal(formatIn(fixture.path), 3, 'closed');
  t.equal(fixture.content(fixture.at('d/f')), 'two', "today's opens it");
  t.end();
});

t.test('raised in the transaction that first stores something in the base layer', (t) => {
  const fixture = new VolumeFixture(t, {}, fillBase);
  fixture.write('d/f', 'two');
  const work = applying(fixture);
  let isStored = false;
  for (let turns = 0; !isStored && turns < 1000; turns++) {
    work.next();
    fixture.flush();
    const reader = StoreReader.open(fixture.path);
    const base = deltaPrefix(BASE_LAYER);
    isStored = reader.seek(TABLE.delta, base, prefixEnd(base)) !== undefined;
    const format = readMeta<number>(reader, 'format');
    reader.close();
    t.equal(format, isStored ? 3 : 1, isStored ? 'stored' : 'not yet');
  }
  t.ok(isStored);
  t.end();
});

t.test('an apply that finds no difference is noted, too', (t) => {
  const fixture = new VolumeFixture(t, {}, fillBase);
  applyAll(fixture);
  fixture.close();
  t.equal(formatIn(fixture.path), 3);
  t.end();
});

t.test('what the log brings in keeps it', (t) => {
  const fixture = new VolumeFixture(t, {}, fillBase);
  fixture.logBytes = 256 * 1024;
  fixture.write('new', 'one');
  applyAll(fixture);
  const { volume } = fixture;
  for (const word of ['one', 'two', 'three']) {
    fixture.write('new', word);
    for (let i = 0; i < 2; i++) {
      volume.durable().settled(
        () => undefined,
        (error) => t.fail(String(error)),
      );
      for (let j = 0; j < 10; j++) volume.pump();
    }
  }
  t.equal(formatIn(fixture.path), 4, 'the log holds something');
  // As a killed process leaves it.
  const path = join(fixture.directory, 'copy');
  cpSync(fixture.path, path, { recursive: true });
  const open = (kind: 'none' | 'inline'): Volume => {
    const base = { path: fixture.basePath, directory: BaseDirectory.open(fixture.basePath) };
    return Volume.open({ path, base, writer: { kind } });
  };
  const read = open('none');
  t.equal(readMeta(read.store, 'format'), 3, 'read over the log');
  read.close();
  t.equal(formatIn(path), 4, 'and not touched');
  const opened = open('inline');
  t.equal(formatIn(path), 3, 'replayed');
  opened.close();
  t.equal(formatIn(path), 3);
  t.end();
});

t.test('A5: the writer keeps applied layers before it is told anything', (t) => {
  const fixture = new VolumeFixture(t, {}, fillBase);
  fixture.write('d/f', 'two');
  const { layer } = applyAll(fixture);
  fixture.write('d/f', 'three');
  fixture.save('after');
  fixture.close();
  const emptied: number[] = [];
  const setup = { path: fixture.path, compression: false, quotaBytes: 0, blockSize: 4096 };
  for (const isNamed of [true, false]) {
    if (!isNamed) {
      const writer = StoreWriter.open(fixture.path);
      writer.transaction((tx) => tx.del(TABLE.meta, Buffer.from('applied')));
      writer.close();
    }
    const host = new WriterHost({ ...setup, hasBase: true }, (gone) => emptied.push(gone));
    while (host.collect());
    host.close();
    t.strictSame(emptied, isNamed ? [] : [layer]);
  }
  t.end();
});

t.test('a volume that was applied before this was noted is noted when it is opened', (t) => {
  const fixture = new VolumeFixture(t, {}, fillBase);
  fixture.write('d/f', 'two');
  applyAll(fixture);
  fixture.close();
  const writer = StoreWriter.open(fixture.path);
  writer.transaction((tx) => tx.put(TABLE.meta, Buffer.from('format'), encodeJson(1)));
  writer.close();
  fixture.flush();
  t.equal(formatIn(fixture.path), 3);
  t.end();
});

t.test('a format that nobody knows is refused, and not touched', (t) => {
  const fixture = new VolumeFixture(t, {}, fillBase);
  fixture.close();
  const writer = StoreWriter.open(fixture.path);
  writer.transaction((tx) =>
    tx.put(TABLE.meta, Buffer.from('format'), encodeJson(NEWEST_FORMAT + 1)),
  );
  writer.close();
  t.throws(() => fixture.volume, {
    code: 'newer-format',
    message: new RegExp(`format ${NEWEST_FORMAT + 1}.* up to ${NEWEST_FORMAT}`),
  });
  t.end();
});
