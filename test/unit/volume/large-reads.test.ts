/** Large values read past LMDB's map, reading ahead, and reads that are put off. */
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { RetryLater } from '../../../src/lib/errors.js';
import { blockKey } from '../../../src/format/records/keys.js';
import { TABLE, type TableNumber } from '../../../src/format/records/tables.js';
import { DeferredReads, TURNS } from '../../../src/fuse/session/deferred-reads.js';
import type { Request } from '../../../src/fuse/protocol/request.js';
import { BatchBuilder, SlabArena } from '../../../src/store/batch.js';
import { StoreReader } from '../../../src/store/reader.js';
import { isTreePage, type LeafRecord, type ValueSpan } from '../../../src/store/mdb/tree-page.js';
import type { ValueFile } from '../../../src/store/mdb/value-file.js';
import { StoreWriter } from '../../../src/store/writer.js';
import { AHEAD_BYTES, FILES_FOLLOWED, ReadAhead } from '../../../src/volume/files/read-ahead.js';
import { randomOf } from './random-history.js';
import { VolumeFixture } from './volume-fixture.js';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
t.comment(`SEED=${SEED}`);
const FIRST = Buffer.of(0);
const LAST = Buffer.alloc(64, 0xff);

function volume(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'shadowfs-large-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return join(path, 'volume');
}

const LENGTHS = [0, 20, 1900, 2040, 4072, 4073, 8000, 32776, 70000];

/** Puts and deletes some values, in the store and in `live`. */
function change(
  live: Map<string, Buffer>,
  writer: StoreWriter,
  random: (limit: number) => number,
  id: number,
): void {
  const arena = new SlabArena();
  const builder = new BatchBuilder(arena);
  const touched = new Set<string>();
  for (let i = 0; i < 40; i++) {
    const key = blockKey(1, 1 + random(4), random(400), 1 + random(3), 0);
    const name = key.toString('hex');
    if (touched.has(name)) continue;
    touched.add(name);
    if (live.has(name) && random(3) === 0) {
      builder.del(TABLE.blocks, key);
      live.delete(name);
      continue;
    }
    const value = arena.alloc(LENGTHS[random(LENGTHS.length)] as number);
    value.fill(random(256));
    if (value.length > 0) value[0] = 1;
    live.set(name, Buffer.from(value));
    builder.put(TABLE.blocks, key, value);
  }
  writer.apply(builder.finish(id));
}

/** Where the value lies, if the key is there and the value has pages of its own. */
function spanOf(values: ValueFile, table: TableNumber, key: Buffer): ValueSpan | undefined {
  let span: ValueSpan | undefined;
  const visit = (record: LeafRecord): boolean => {
    ({ span } = record);
    return false;
  };
  values.walk(table, key, Buffer.concat([key, Buffer.of(0)]), visit);
  return span;
}

const hexOf = ({ keyBytes, keyStart, keyEnd }: LeafRecord): string =>
  keyBytes.toString('hex', keyStart, keyEnd);

function wrongOnes(live: Map<string, Buffer>, values: ValueFile): number {
  let wrong = 0;
  for (const [name, value] of live) {
    const place = spanOf(values, TABLE.blocks, Buffer.from(name, 'hex'));
    const isLarge = value.length > 2030;
    if ((place !== undefined) !== isLarge) wrong++;
    if (place !== undefined && !values.wait(place).equals(value)) wrong++;
    if (place !== undefined && values.read(place)?.equals(value) !== true) wrong++;
  }
  return wrong;
}

t.test('values are found where LMDB finds them, through many commits', (t) => {
  const path = volume(t);
  const random = randomOf(SEED);
  const writer = StoreWriter.open(path, { create: true });
  const reader = StoreReader.open(path);
  const values = reader.values as ValueFile;
  const live = new Map<string, Buffer>();
  for (let round = 0; round < 30; round++) {
    change(live, writer, random, round + 1);
    if (random(4) === 0) {
      // Behind the newest state, as while a group is being stored: the reader's own counts.
      for (const { key } of reader.range(TABLE.blocks, undefined, undefined, { keysOnly: true })) {
        const place = spanOf(values, TABLE.blocks, key);
        const value = reader.get(TABLE.blocks, key);
        t.ok(value);
        if (place !== undefined && value?.equals(values.wait(place)) !== true) t.fail('old state');
      }
    }
    reader.refresh();
    t.equal(wrongOnes(live, values), 0, `round ${round}`);
    const keys: string[] = [];
    t.ok(values.walk(TABLE.blocks, FIRST, LAST, (record) => keys.push(hexOf(record)) > 0));
    t.strictSame(keys, [...live.keys()].sort());
    const [from, end] = [blockKey(1, 2, 100, 2 ** 47, 0), blockKey(1, 3, 50, 2 ** 47, 0)];
    const some: string[] = [];
    t.ok(values.walk(TABLE.blocks, from, end, (record) => some.push(hexOf(record)) < 7));
    const expected = [...live.keys()].sort();
    const inside = expected.filter((k) => k >= from.toString('hex') && k < end.toString('hex'));
    t.strictSame(some, inside.slice(0, 7), 'in bounds, and no further than wanted');
  }
  t.equal(spanOf(values, TABLE.blocks, blockKey(9, 9, 9, 9, 9)), undefined);
  t.equal(spanOf(values, TABLE.snapshots, FIRST), undefined, 'an empty table');
  reader.close();
  t.equal(reader.values, undefined);
  writer.close();
  t.end();
});

t.test('a page of something else is no page of a tree', (t) => {
  t.notOk(isTreePage(Buffer.alloc(4096), 0));
  t.notOk(isTreePage(Buffer.alloc(4096, 0xff), 7));
  t.end();
});

for (const compression of [false, true]) {
  t.test(`large files, compressed: ${compression}`, (t) => {
    const fixture = new VolumeFixture(t, { compression, blockSize: 32768 });
    const random = randomOf(SEED + 1);
    const size = 3 * 1024 * 1024 + 777;
    const content = Buffer.alloc(size);
    for (let at = 0; at < size; at++) content[at] = compression ? at >> 12 : random(256);
    fixture.write('file', content);
    fixture.truncate('file', 2 * size);
    fixture.flush();
    const whole = Buffer.concat([content, Buffer.alloc(size)]);
    const out = Buffer.alloc(1024 * 1024);
    const { volume } = fixture;
    for (let i = 0; i < 200; i++) {
      const offset = random(2 * size);
      const length = Math.min(1 + random(i % 2 === 0 ? 5000 : out.length), out.length);
      const got = volume.read(volume.live, fixture.at('file'), offset, length, out, 0);
      const expected = whole.subarray(offset, offset + length);
      if (!out.subarray(0, got).equals(expected)) t.fail(`read ${length} at ${offset}`);
      if (i % 10 === 9) {
        const piece = Buffer.alloc(1 + random(100_000), i);
        const at = random(2 * size - piece.length);
        piece.copy(whole, at);
        fixture.write('file', piece, at);
        if (i % 20 === 19) fixture.flush();
      }
    }
    let at = 0;
    for (; at < 2 * size; at += 131072) {
      const got = volume.read(volume.live, fixture.at('file'), at, 131072, out, 0);
      if (!out.subarray(0, got).equals(whole.subarray(at, at + 131072))) t.fail(`in order, ${at}`);
    }
    t.strictSame(fixture.check().findings, []);
    t.end();
  });
}

t.test('of blocks that are read at once a damaged one is found, and only that one', (t) => {
  const fixture = new VolumeFixture(t, { blockSize: 32768 });
  const content = randomBytes(32 * 32768);
  fixture.write('file', content);
  fixture.flush();
  const file = join(fixture.path, 'data.mdb');
  const damaged = 5;
  const fd = openSync(file, 'r+');
  const start = readFileSync(file).indexOf(content.subarray(damaged * 32768, damaged * 32768 + 64));
  writeSync(fd, Buffer.of((content[damaged * 32768 + 40] as number) ^ 1), 0, 1, start + 40);
  closeSync(fd);
  const { volume } = fixture;
  const out = Buffer.alloc(content.length);
  const read = (from: number, blocks: number): boolean => {
    const at = from * 32768;
    const length = blocks * 32768;
    volume.read(volume.live, fixture.at('file'), at, length, out, 0);
    return out.subarray(0, length).equals(content.subarray(at, at + length));
  };
  t.throws(() => read(0, 32), { message: /block 5/ });
  t.throws(() => read(damaged, 1), { message: /block 5/ });
  t.ok(read(0, damaged));
  t.ok(read(damaged + 1, 32 - damaged - 1));
  t.end();
});

/** How often LMDB is asked, the file is walked and the disk is read, while `body` runs. */
function lookUps(fixture: VolumeFixture, body: () => void): Record<string, number> {
  const { reader } = fixture.volume.core;
  const values = reader.values as ValueFile;
  const counts: Record<string, number> = {};
  const calls = { reader: ['get', 'seek', 'range', 'visit'], values: ['walk'] } as const;
  const count = (object: object, name: string): void => {
    const own = object as Record<string, unknown>;
    const call = own[name] as (...args: unknown[]) => unknown;
    own[name] = (...args: unknown[]) => {
      counts[name] = (counts[name] ?? 0) + 1;
      return call.apply(object, args);
    };
  };
  for (const name of calls.reader) count(reader, name);
  for (const name of calls.values) count(values, name);
  body();
  for (const name of calls.reader) Reflect.deleteProperty(reader, name);
  for (const name of calls.values) Reflect.deleteProperty(values, name);
  return counts;
}

t.test('a read looks its blocks up once', (t) => {
  const fixture = new VolumeFixture(t, { blockSize: 32768 });
  fixture.write('large', randomBytes(4 * 1024 * 1024 + 5));
  fixture.write('small', randomBytes(100_000));
  fixture.write('one', 'x');
  fixture.flush();
  const { volume } = fixture;
  const out = Buffer.alloc(256 * 1024);
  const read = (name: string, offset: number, length: number): Record<string, number> => {
    const file = fixture.at(name);
    return lookUps(fixture, () => volume.read(volume.live, file, offset, length, out, 0));
  };
  t.strictSame(read('large', 1_000_000, out.length), { walk: 1 }, 'from the file');
  t.strictSame(read('large', 4 * 1024 * 1024, 5), { walk: 1 }, 'also what lies beside its key');
  t.strictSame(read('small', 0, 100_000), { visit: 1 }, 'from the map, values and all');
  t.strictSame(read('one', 0, 1), { visit: 1 });
  const large = fixture.at('large');
  const { live, blocks } = volume;
  const counted = lookUps(fixture, () => t.equal(blocks.dataBlocks(live, large, 100), 100));
  t.strictSame(counted, { walk: 2 }, 'piece by piece');
  const change = (): void => void volume.write(large.ino, 40_000, Buffer.from('y'));
  t.strictSame(lookUps(fixture, change), { walk: 1 }, 'a part of a block is written');
  const cut = (): void => fixture.truncate('small', 40_000);
  t.strictSame(lookUps(fixture, cut).visit, 1);
  t.strictSame(fixture.check().findings, []);
  t.end();
});

t.test('where the file can’t be read LMDB is asked', (t) => {
  const fixture = new VolumeFixture(t, { blockSize: 4096 });
  const content = randomBytes(600_000);
  fixture.write('file', content);
  fixture.flush();
  const { volume } = fixture;
  const values = volume.core.reader.values as ValueFile;
  const walk = values.walk.bind(values);
  const out = Buffer.alloc(content.length);
  for (const seen of [0, 1, 40]) {
    let left = seen;
    // As if a page on the way were not one of a tree.
    values.walk = (table, start, end, visit) => {
      walk(table, start, end, (record) => left-- > 0 && visit(record));
      return false;
    };
    out.fill(0);
    volume.read(volume.live, fixture.at('file'), 0, out.length, out, 0);
    t.ok(out.equals(content), `after ${seen} blocks`);
    t.equal(volume.blocks.dataBlocks(volume.live, fixture.at('file'), 1000), 147);
  }
  t.end();
});

t.test('a cold block is put off while others wait, and read when they do not', (t) => {
  const fixture = new VolumeFixture(t, { blockSize: 32768 });
  fixture.write('file', Buffer.alloc(1024 * 1024, 7));
  fixture.flush();
  const { volume } = fixture;
  const { values } = volume.core.reader;
  t.ok(values);
  const file = fixture.at('file');
  const out = Buffer.alloc(100_000);
  const read = (): number => volume.read(volume.live, file, 40_000, out.length, out, 0);
  // As if nothing were in memory, whatever this machine has in its page cache.
  (values as ValueFile).read = () => undefined;
  const { waits } = volume;
  waits.mode = 'yield';
  let asked = 0;
  waits.othersWait = () => ++asked > 0;
  t.throws(read, RetryLater);
  t.equal(asked, 1);
  waits.othersWait = () => false;
  t.equal(read(), out.length);
  t.ok(out.equals(Buffer.alloc(out.length, 7)));
  waits.othersWait = () => true;
  waits.patiently(() => t.equal(read(), out.length, 'what may wait is not put off'));
  t.equal(waits.mode, 'yield');
  // A change that reads (copy_file_range) would be done twice.
  const other = fixture.write('other', 'x');
  t.equal(volume.copyRange(file.ino, 0, other, 0, 500_000), 500_000);
  t.strictSame(fixture.check().findings, []);
  t.end();
});

t.test('what is fetched ahead', (t) => {
  const ahead = new ReadAhead(32768);
  const most = AHEAD_BYTES / 32768;
  t.strictSame(ahead.next(1, 0, 0, 1000), { from: 1, end: 5 }, 'a beginning: a little');
  t.equal(ahead.next(2, 500, 500, 1000), undefined, 'in the middle: nothing');
  t.equal(ahead.next(2, 100, 100, 1000), undefined);
  t.equal(ahead.next(2, 700, 703, 1000), undefined);
  t.ok(ahead.next(2, 704, 707, 1000), 'now it goes on');
  let asked = 5;
  let sizes = 0;
  for (let first = 1; first < 1000; first += 4) {
    const last = Math.min(first + 3, 999);
    const span = ahead.next(1, first, last, 1000);
    if (span === undefined) continue;
    t.equal(span.from, Math.max(asked, last + 1), 'nothing twice, nothing left out');
    t.ok(span.end > span.from && span.end <= 1000 && span.end - last <= 2 * most);
    t.ok(span.from > last, 'beyond what is being read');
    sizes = Math.max(sizes, span.end - span.from);
    asked = span.end;
  }
  t.equal(asked, 1000);
  t.equal(sizes, most);
  t.equal(ahead.next(1, 996, 999, 1000), undefined, 'the end');
  // Large requests: what the next one reads has been asked for.
  for (let first = 0, until = 0; first < 900; first += 32) {
    t.ok(first === 0 || until >= first + 32, 'the whole request');
    until = Math.max(until, ahead.next(3, first, first + 31, 1000)?.end ?? 0);
  }
  for (let ino = 10; ino < 10 + FILES_FOLLOWED; ino++) ahead.next(ino, 0, 0, 100);
  t.equal(ahead.next(1, 999, 999, 2000), undefined, 'no longer followed');
  t.end();
});

t.test('reads that were put off have their turn', (t) => {
  const reads = new DeferredReads();
  const [a, b] = [{ opcode: 1 } as Request, { opcode: 2 } as Request];
  t.equal(reads.next(), undefined);
  t.equal(reads.overdue(), undefined);
  reads.push(a);
  reads.push(b);
  for (let i = 0; i < TURNS; i++) t.equal(reads.overdue(), undefined);
  t.equal(reads.overdue(), a, 'after so many others');
  for (let i = 0; i < TURNS; i++) t.equal(reads.overdue(), undefined);
  t.notOk(reads.isEmpty);
  t.equal(reads.next(), b);
  t.ok(reads.isEmpty);
  t.end();
});
