/** What a group costs: the order of its records, what it does not store at all, how often room is worked out. */
import { InlineSink } from '../../../src/volume/commit/inline-sink.js';
import t from 'tap';
import { putEntryKey, entryKey, inodeKey, putInodeKey } from '../../../src/format/records/keys.js';
import { TABLE, type TableNumber } from '../../../src/format/records/tables.js';
import { BatchBuilder, SlabArena } from '../../../src/store/batch.js';
import { OrderedBatch } from '../../../src/store/batch-order.js';
import { Span } from '../../../src/store/span.js';
import { StoreReader } from '../../../src/store/reader.js';
import { Random } from '../../model/random.js';
import { held, VolumeFixture } from './volume-fixture.js';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
t.comment(`SEED=${seed}`);

t.test('records are ordered by table and bytes of the key; the last one of a key counts', (t) => {
  const random = new Random(seed);
  const builder = new BatchBuilder(new SlabArena(4096));
  const stems = [0, 5, 6, 12, 17, 18, 19, 40, 300].map((length) => random.bytes(length));
  const added: { table: TableNumber; key: Buffer; value: Buffer | undefined }[] = [];
  for (let i = 0; i < 3000; i++) {
    const stem = stems[random.below(stems.length)] as Buffer;
    const tail = Buffer.from([...random.bytes(random.below(3))].map((byte) => (byte % 3) * 127));
    const key = Buffer.concat([stem, tail, Buffer.of(random.below(2) * 255)]);
    const table = (1 + random.below(3)) as TableNumber;
    const value = random.below(4) === 0 ? undefined : Buffer.from(`${i}`.repeat(random.below(60)));
    added.push({ table, key, value });
    if (value === undefined) builder.del(table, key);
    else builder.put(table, key, value);
  }
  const last = new Map(added.map((item) => [`${item.table} ${item.key.toString('hex')}`, item]));
  const expected = [...last.values()].sort((a, b) => a.table - b.table || a.key.compare(b.key));
  const batch = new OrderedBatch(builder.finish(1));
  const span = new Span(Buffer.alloc(0));
  const found = batch.order.map((index) => ({
    table: batch.table(index),
    key: Buffer.from(batch.key(index, span).view()),
    value: batch.isDelete(index) ? undefined : Buffer.from(batch.value(index, span).view()),
  }));
  t.strictSame(found, expected);
  t.end();
});

t.test('keys written in place are those that are made', (t) => {
  const room = Buffer.alloc(400, 0xaa);
  for (const name of ['a', 'n\xe4me', '\xff'.repeat(255)]) {
    const made = entryKey(1, 2 ** 41 + 7, 2 ** 51 + 3, name, 9);
    putEntryKey(room, 13, 1, 2 ** 41 + 7, 2 ** 51 + 3, name, 9);
    t.ok(room.subarray(13, 13 + made.length).equals(made));
    t.equal(room[13 + made.length], 0xaa);
  }
  const made = inodeKey(1, 2 ** 51, 2 ** 47);
  putInodeKey(room, 3, 1, 2 ** 51, 2 ** 47);
  t.ok(room.subarray(3, 3 + made.length).equals(made));
  t.end();
});

t.test('F2: a held file that is removed and let go in one group leaves no record of that', (t) => {
  const fixture = new VolumeFixture(t);
  const { volume } = fixture;
  const inos = ['old', 'sealed'].map((name) => fixture.write(name, 'x'));
  fixture.save('s');
  inos.push(fixture.write('young', 'y'));
  fixture.flush();
  for (const name of ['old', 'sealed', 'young']) fixture.unlink(name, held);
  volume.release(inos[0] as number);
  volume.release(inos[2] as number);
  t.equal(volume.seat.changes().orphans.size, 1, 'the one that is still held');
  fixture.flush();
  volume.release(inos[1] as number);
  t.equal(volume.seat.changes().orphans.size, 1, 'an orphan that is stored is reaped by a record');
  fixture.flush();
  const reader = StoreReader.open(fixture.path);
  const orphans = [...reader.range(TABLE.orphans, undefined, undefined)];
  reader.close();
  t.equal(orphans.length, 1);
  t.equal(orphans[0]?.value[0], 0, 'reaped');
  fixture.collect();
  t.strictSame(fixture.check().findings, []);
  t.end();
});

t.test('a nameless file that gets a name, loses it and goes, all in one group or over two', (t) => {
  const fixture = new VolumeFixture(t);
  const { volume } = fixture;
  for (const flushes of [0, 1, 2, 3]) {
    const { ino } = volume.createUnnamed({ uid: 0, gid: 0 }, 1, 0o100644);
    if (flushes & 1) fixture.flush();
    volume.link(ino, 1, 'name');
    if (flushes & 2) fixture.flush();
    fixture.unlink('name', held);
    volume.release(ino);
    fixture.flush();
  }
  const reader = StoreReader.open(fixture.path);
  t.equal([...reader.range(TABLE.orphans, undefined, undefined)].length, 0);
  reader.close();
  t.strictSame(fixture.check().findings, []);
  t.end();
});

t.test('room is worked out for some changes at a time, and anew when it may have changed', (t) => {
  const fixture = new VolumeFixture(t);
  const { txgs } = fixture.volume;
  const { sink } = txgs.core;
  let asked = 0;
  let hasRoom = true;
  sink.ready = () => {
    asked++;
    return hasRoom;
  };
  t.ok(txgs.beginChange());
  t.equal(asked, 1);
  fixture.write('a', 'a');
  for (let i = 0; i < 10; i++) t.ok(txgs.beginChange());
  t.equal(asked, 1, 'still known');
  if (sink instanceof InlineSink) sink.events?.collected();
  hasRoom = false;
  t.notOk(txgs.beginChange());
  t.equal(asked, 3, 'for more, then for what there is');
  hasRoom = true;
  t.ok(txgs.beginChange());
  const before = asked;
  for (let i = 0; i < 300; i++) fixture.write(`f${i}`, '');
  hasRoom = false;
  t.notOk(txgs.beginChange(), 'the group has outgrown what was known');
  t.ok(asked > before);
  hasRoom = true;
  t.ok(txgs.beginChange());
  fixture.flush();
  hasRoom = false;
  t.notOk(txgs.beginChange(), 'a group was stored: nothing is known');
  hasRoom = true;
  t.strictSame(fixture.check().findings, []);
  t.end();
});
