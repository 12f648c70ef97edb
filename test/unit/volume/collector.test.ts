/** The collector where the model test can't look: failed commits, damage, tombstones, pins. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { deltaKey, inodeKey, inodePlace, reapKey } from '../../../src/format/records/keys.js';
import { TABLE, type TableNumber } from '../../../src/format/records/tables.js';
import type { TableReader } from '../../../src/store/reader.js';
import type { WriteTransaction } from '../../../src/store/write-transaction.js';
import { StoreWriter } from '../../../src/store/writer.js';
import { Collector } from '../../../src/volume/collector/collector.js';
import { checkVolumeAt } from '../../../src/check/check.js';
import { Volume } from '../../../src/volume/volume.js';
import { contentOf } from '../../golden/content.js';
import { allocate } from '../../../src/tree/live/space.js';
import { VolumeFixture } from './volume-fixture.js';

const MAX_ROUNDS = 200;
const EMPTY6 = Buffer.alloc(6);
const ALL_TABLES: readonly TableNumber[] = [1, 2, 3, 4, 5, 6, 7];

/** Layers without a name below and between snapshots, some of which will be folded. */
function fill(fixture: VolumeFixture): void {
  fixture.mkdir('dir');
  fixture.write('dir/stays', 'x'.repeat(9000));
  fixture.save('a');
  for (let i = 0; i < 900; i++) fixture.write(`dir/f${i}`, String(i));
  fixture.save('b');
  fixture.write('dir/stays', 'y'.repeat(5000), 3000);
  fixture.truncate('dir/stays', 100);
  for (let i = 0; i < 300; i++) fixture.unlink(`dir/f${i}`);
  fixture.save('c');
  fixture.write('last', 'z');
  for (const name of ['a', 'b']) fixture.volume.deleteSnapshot(name, 'test');
  fixture.flush();
}

function records(reader: TableReader, table: TableNumber): number {
  return [...reader.range(table, undefined, undefined, { keysOnly: true })].length;
}

/** Runs a collector on a volume that is closed; `spoil` makes the n-th transaction fail. */
function collectAt(path: string, spoil: (n: number) => boolean): { emptied: number[]; n: number } {
  const writer = StoreWriter.open(path);
  const emptied: number[] = [];
  const collector = new Collector(4096, false, (layer) => emptied.push(layer));
  let n = 0;
  for (; n < MAX_ROUNDS; n++) {
    const before = emptied.length;
    try {
      const more = writer.transaction((tx) => {
        const answer = collector.slice(tx);
        if (emptied.length > before) throw new Error('reported before it was stored');
        if (spoil(n)) throw new Error('spoiled');
        return answer;
      });
      collector.committed();
      if (!more) break;
    } catch (error) {
      if ((error as Error).message !== 'spoiled') throw error;
      collector.aborted();
      if (emptied.length > before) throw new Error('reported, and not stored');
    }
  }
  writer.close();
  return { emptied, n };
}

t.test('a transaction that fails leaves nothing behind, in memory neither', (t) => {
  const fixture = new VolumeFixture(t);
  fill(fixture);
  const expected = contentOf(fixture.volume).views;
  fixture.close();
  const runs = [() => false, (n: number) => n % 2 === 0, (n: number) => n % 3 !== 0].map(
    (spoil, i) => {
      const path = join(fixture.directory, `copy-${i}`);
      fs.mkdirSync(path);
      fs.copyFileSync(join(fixture.path, 'data.mdb'), join(path, 'data.mdb'));
      const { emptied, n } = collectAt(path, spoil);
      const volume = Volume.open({ path, writer: { kind: 'none' } });
      const { reader } = volume.core;
      const counts = ALL_TABLES.map((table) => records(reader, table));
      t.strictSame(contentOf(volume).views, expected);
      volume.close();
      t.strictSame(checkVolumeAt({ path }).findings, []);
      t.ok(n > 4 && n < MAX_ROUNDS, `${n} slices`);
      return { emptied, counts };
    },
  );
  t.ok((runs[0]?.emptied.length ?? 0) > 0);
  t.strictSame(runs[1], runs[0]);
  t.strictSame(runs[2], runs[0]);
  t.end();
});

t.test('damaged records do not stop it, nor keep it busy for ever', (t) => {
  const fixture = new VolumeFixture(t);
  fill(fixture);
  const layer = fixture.view('c').top - 1;
  const { ino } = fixture.at('dir/stays');
  const missing = 2 * 2 ** 40 + 99_999;
  fixture.damage((tx: WriteTransaction) => {
    tx.noteDelta(deltaKey(layer, TABLE.blocks, Buffer.concat([inodePlace(1, missing), EMPTY6])));
    tx.noteDelta(deltaKey(layer, TABLE.inodes, inodePlace(1, missing)));
    tx.put(TABLE.reap, reapKey(1, missing, layer), Buffer.of(1));
    tx.put(TABLE.inodes, inodeKey(1, ino, layer + 1), Buffer.from('no inode at all'));
  });
  const { n, emptied } = collectAt(fixture.path, () => false);
  t.ok(n < MAX_ROUNDS, 'it comes to an end');
  t.ok(emptied.includes(layer));
  t.end();
});

t.test('D13: tombstones go when nothing lies below them, in whatever order snapshots go', (t) => {
  for (const order of [
    ['a', 'b', 'c'],
    ['c', 'b', 'a'],
    ['b', 'a', 'c'],
    ['a', 'c', 'b'],
  ]) {
    const fixture = new VolumeFixture(t);
    fixture.write('stays', 'x');
    fixture.save('first');
    fixture.mkdir('dir');
    for (let i = 0; i < 40; i++) fixture.write(`dir/f${i}`, 'x'.repeat(5000));
    fixture.volume.xattrs.set(fixture.at('stays').ino, 'user.a', Buffer.from('1'), 0);
    fixture.write('sparse', 'x'.repeat(40_000));
    fixture.save('a');
    fixture.volume.xattrs.remove(fixture.at('stays').ino, 'user.a');
    allocate(fixture.volume, fixture.at('sparse').ino, 4096, 20_000, 3);
    for (let i = 0; i < 20; i++) fixture.unlink(`dir/f${i}`);
    fixture.save('b');
    for (let i = 20; i < 40; i++) fixture.unlink(`dir/f${i}`);
    fixture.rmdir('dir');
    fixture.save('c');
    fixture.unlink('sparse');
    fixture.save('last');
    fixture.save('end');
    for (const name of [...order, 'last']) {
      fixture.volume.deleteSnapshot(name, 'test');
      fixture.flush();
      fixture.collect();
    }
    for (let i = 0; i < 3; i++) fixture.collect();
    t.strictSame(fixture.check().findings, [], order.join());
    const { reader } = fixture.volume.core;
    // The root twice: in `first`, and as it is since.
    t.equal(records(reader, TABLE.inodes), 4, `inodes ${order.join()}`);
    t.equal(records(reader, TABLE.entries), 1, `entries ${order.join()}`);
    t.equal(records(reader, TABLE.attributes), 0, `attributes ${order.join()}`);
    t.equal(records(reader, TABLE.blocks), 1, `blocks ${order.join()}`);
    fixture.close();
  }
  t.end();
});

t.test('deleting a snapshot costs what was changed after it, not what lies below', (t) => {
  const fixture = new VolumeFixture(t);
  const perSlice = 400;
  const large = 1500;
  for (let layer = 0; layer < 3; layer++) {
    fixture.mkdir(`d${layer}`);
    for (let i = 0; i < large; i++) fixture.write(`d${layer}/f${i}`, String(i));
    fixture.save(`large-${layer}`);
  }
  // Each has as much that the next one hides, and a file that goes with all its blocks.
  for (let n = 0; n < 4; n++) {
    fixture.write('changed', `${n}`.repeat(9000));
    fixture.write(`d0/f${n}`, 'new');
    fixture.write('cut', 'x'.repeat(30_000));
    fixture.truncate('cut', 10);
    fixture.unlink(`d1/f${n}`);
    fixture.save(`s${n}`);
  }
  for (let layer = 0; layer < 3; layer++) fixture.volume.deleteSnapshot(`large-${layer}`, 'test');
  fixture.flush();
  t.ok(fixture.collect() > (3 * 3 * large) / perSlice, 'those layers are large');
  const { reader } = fixture.volume.core;
  const blocks = records(reader, TABLE.blocks);
  for (const name of ['s1', 's0', 's2']) {
    fixture.volume.deleteSnapshot(name, 'test');
    fixture.flush();
    const slices = fixture.collect();
    t.ok(slices < 10, `${slices} transactions for ${name}`);
  }
  t.ok(records(reader, TABLE.blocks) < blocks, 'and it gave blocks back');
  // What is left is what a collector that knows nothing leaves.
  const before = ALL_TABLES.map((table) => records(reader, table));
  const { path } = fixture;
  t.strictSame(fixture.check().findings, []);
  fixture.close();
  collectAt(path, () => false);
  const again = StoreWriter.open(path);
  t.same(
    ALL_TABLES.map((table) => again.transaction((tx) => records(tx, table))),
    before,
  );
  again.close();
  t.end();
});

t.test('D13: below a released top without a kept one above it nothing stays', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.write('stays', 'x');
  fixture.save('first');
  fixture.flush();
  const { reader } = fixture.volume.core;
  const counted = (): number[] =>
    [TABLE.inodes, TABLE.entries, TABLE.blocks].map((table) => records(reader, table));
  const first = counted();
  // Two layers that the tree leaves. The lower one is too large to be folded into the other.
  for (let i = 0; i < 1500; i++) fixture.write(`low${i}`, 'x');
  fixture.save('low');
  fixture.write('top', 'x');
  fixture.save('top');
  fixture.volume.restore('first', 'test', false);
  fixture.volume.deleteSnapshot('low', 'test');
  fixture.flush();
  fixture.collect();
  t.ok((counted()[0] ?? 0) > 1500, 'it is swept, and all of it needed');
  fixture.volume.deleteSnapshot('top', 'test');
  fixture.flush();
  for (let i = 0; i < 3; i++) fixture.collect();
  t.strictSame(counted(), first);
  t.strictSame(fixture.check().findings, []);
  fixture.close();
  t.end();
});

t.test('D13: what hides a base stays', (t) => {
  const fixture = new VolumeFixture(t, {}, (base) => {
    fs.mkdirSync(join(base, 'dir'));
    for (const name of ['a', 'b']) fs.writeFileSync(join(base, 'dir', name), 'x'.repeat(9000));
  });
  fixture.unlink('dir/a');
  allocate(fixture.volume, fixture.at('dir/b').ino, 0, 4096, 3);
  fixture.save('one');
  fixture.save('two');
  fixture.mkdir('dir/own');
  fixture.write('dir/own/file', 'x');
  fixture.save('three');
  fixture.unlink('dir/own/file');
  fixture.save('four');
  const expected = contentOf(fixture.volume).views['live'];
  for (const name of ['one', 'two', 'three', 'four']) {
    fixture.volume.deleteSnapshot(name, 'test');
    fixture.flush();
    fixture.collect();
  }
  fixture.close();
  t.strictSame(contentOf(fixture.volume).views['live'], expected);
  t.equal(fixture.find('dir/a'), undefined);
  t.match(fixture.content(fixture.at('dir/b')), /^\0{4096}x{4904}$/);
  t.strictSame(fixture.check().findings, []);
  t.end();
});

t.test(
  'what a restore leaves is held until it is stored; an emptied layer is read before it goes',
  (t) => {
    const fixture = new VolumeFixture(t, { keepUndo: 0 });
    fixture.write('file', 'one');
    fixture.save('one');
    fixture.write('file', 'two');
    fixture.flush();
    const { core } = fixture.volume;
    const said: string[] = [];
    const { sink } = core;
    const { pin, submit } = sink;
    sink.pin = (layers) => {
      said.push(`pin ${layers.join()}`);
      pin.call(sink, layers);
    };
    sink.submit = (group, fileset) => {
      said.push('submit');
      submit.call(sink, group, fileset);
    };
    const { top } = fixture.volume.live;
    const { from } = fixture.volume.restore('one', 'test');
    t.strictSame(said, [`pin ${top}`, 'submit'], 'held before the group is on its way');
    t.equal(fixture.content(fixture.at('file', from), from), 'two');
    fixture.flush();
    t.strictSame(said, [`pin ${top}`, 'submit', 'pin '], 'let go once it is stored');

    fixture.write('more', 'x');
    fixture.save('two');
    fixture.write('other', 'x');
    fixture.save('three');
    fixture.volume.deleteSnapshot('two', 'test');
    fixture.flush();
    const { layers, reader } = core;
    const { ino } = fixture.at('more');
    const target = fixture.view('three').top;
    let seen: boolean | undefined;
    const { remove } = layers;
    layers.remove = (number) => {
      seen ??= reader.has(TABLE.inodes, inodeKey(1, ino, target));
      return remove.call(layers, number);
    };
    fixture.collect();
    t.equal(seen, true, 'the reader has seen the fold when the layer goes');
    t.end();
  },
);
