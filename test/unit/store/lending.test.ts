/** Free pages that the disk gets (rules N1–N4), in random histories of a store. */
import { cpSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { TABLE } from '../../../src/format/records/tables.js';
import { checkPages } from '../../../src/store/mdb/pages.js';
import { createVolumeFiles } from '../../../src/store/open.js';
import { StoreReader } from '../../../src/store/reader.js';
import { StoreWriter } from '../../../src/store/writer.js';
import { testSeed } from '../../mount/harness.js';
import { randomOf } from '../volume/random-history.js';

const MIB = 1024 * 1024;
const BLOCK_BYTES = 32 * 1024 + 8;

function place(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'shadowfs-lending-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return join(path, 'volume');
}

function diskBytes(path: string): number {
  return statSync(join(path, 'data.mdb')).blocks * 512;
}

/** `reap` takes any key and value without a delta map. */
function keyOf(n: number): Buffer {
  const key = Buffer.alloc(18);
  key.writeUInt32BE(n);
  return key;
}

/** With a layer, which is what a pass touches. */
function opened(path: string): StoreWriter {
  createVolumeFiles(path);
  const writer = StoreWriter.open(path);
  writer.transaction((tx) => tx.put(TABLE.layers, Buffer.alloc(6, 1), Buffer.of(1)));
  return writer;
}

/** What the history should have left: each value is one byte, repeated. */
type Model = Map<number, { byte: number; length: number }>;

function differences(reader: StoreReader, model: Model): string[] {
  const wrong: string[] = [];
  let count = 0;
  for (const { key, value } of reader.range(TABLE.reap, undefined, undefined)) {
    const n = key.readUInt32BE();
    const expected = model.get(n);
    count++;
    if (expected === undefined) wrong.push(`${n} is there`);
    else if (!value.equals(Buffer.alloc(expected.length, expected.byte)))
      wrong.push(`${n} differs`);
  }
  if (count !== model.size) wrong.push(`${count} records, not ${model.size}`);
  return wrong;
}

class History {
  readonly model: Model = new Map();
  readonly random: (below: number) => number;
  lent = 0;

  constructor(
    readonly writer: StoreWriter,
    seed: number,
  ) {
    this.random = randomOf(seed);
  }

  change(): void {
    const { random, model } = this;
    this.writer.transaction((tx) => {
      for (let i = random(120); i >= 0; i--) {
        const n = random(400);
        const value = {
          byte: random(255) + 1,
          length: [100, 3000, BLOCK_BYTES, 200_000][random(4)] ?? 1,
        };
        if (random(3) === 0) {
          tx.del(TABLE.reap, keyOf(n));
          model.delete(n);
        } else {
          tx.put(TABLE.reap, keyOf(n), Buffer.alloc(value.length, value.byte));
          model.set(n, value);
        }
      }
    });
  }

  lend(): void {
    const { lending } = this.writer;
    if (this.random(2) === 0) lending.plan();
    this.lent += lending.lend((this.random(8) + 1) * MIB).bytes;
  }
}

t.test('what is stored stays, whatever is lent and taken back', async (t) => {
  const seed = Number.parseInt(testSeed(t), 16);
  const path = place(t);
  const writer = opened(path);
  t.teardown(() => writer.close());
  const history = new History(writer, seed);
  for (let i = 0; i < 10; i++) history.change();
  // A reader of an old state sees that state, whatever becomes of pages since.
  const held = StoreReader.open(path);
  t.teardown(() => held.close());
  const atFirst = new Map(history.model);
  for (let round = 0; round < 150; round++) {
    const what = history.random(10);
    if (what < 5) history.change();
    else if (what < 8) history.lend();
    else if (what < 9) writer.pass();
    else writer.lending.takeBack(history.random(6) * MIB);
    if (round % 25 !== 0) continue;
    t.same(differences(held, atFirst), [], 'the old state');
    const reader = StoreReader.open(path);
    t.same(differences(reader, history.model), [], 'the new one');
    reader.close();
    t.same(checkPages(path).findings, []);
  }
  held.refresh();
  t.same(differences(held, history.model), []);
  for (let i = 0; i < 4; i++) writer.pass();
  writer.lending.plan();
  while (writer.lending.lend(8 * MIB).isMore);
  t.ok(writer.space().lentBytes > 10 * MIB, `${writer.space().lentBytes} bytes are lent`);
  writer.releaseTail();
  const { usedBytes, freeBytes, lentBytes } = writer.space();
  const most = usedBytes + freeBytes + 2 * MIB;
  t.ok(
    diskBytes(path) <= most,
    `${diskBytes(path)} on the disk, of ${most} at most; ${lentBytes} lent`,
  );
  t.same(differences(held, history.model), []);
});

t.test('it lasts: opened again, copied, and taken back as the file grows', async (t) => {
  const path = place(t);
  const fill = (writer: StoreWriter, from: number, count: number): void => {
    writer.transaction((tx) => {
      for (let n = from; n < from + count; n++) {
        tx.put(TABLE.reap, keyOf(n), Buffer.alloc(BLOCK_BYTES, 7));
      }
    });
  };
  let writer = opened(path);
  for (let i = 0; i < 1500; i += 300) fill(writer, i, 300);
  writer.transaction((tx) => {
    for (let n = 0; n < 1400; n++) tx.del(TABLE.reap, keyOf(n));
  });
  for (let i = 0; i < 3; i++) writer.pass();
  t.ok(writer.lending.tryPunch() === 0);
  const before = diskBytes(path);
  t.ok(writer.lending.plan() > 40 * MIB);
  for (let round = 0; round < 3; round++) {
    while (writer.lending.lend(8 * MIB).isMore);
    writer.lending.plan();
  }
  const { lentBytes, fileBytes } = writer.space();
  t.ok(lentBytes > 40 * MIB);
  t.ok(diskBytes(path) < before - 40 * MIB, 'the disk has them');
  t.ok(fileBytes < 12 * MIB, 'for a quota the file is as small as it was');
  writer.close();

  const small = diskBytes(path);
  t.ok(small < 10 * MIB, `${small} bytes`);
  writer = StoreWriter.open(path);
  t.ok(diskBytes(path) < small + MIB, 'the next opening takes nothing back');
  t.match(writer.space(), { lentBytes });
  writer.close();

  // A copy that wrote the holes as zeros.
  const copy = join(path, '..', 'copy');
  cpSync(path, copy, { recursive: true });
  const writerOfCopy = StoreWriter.open(copy);
  t.ok(diskBytes(copy) < small + 2 * MIB, 'a copy gets its holes again');
  writerOfCopy.close();
  t.same(checkPages(copy).findings, []);

  writer = StoreWriter.open(path);
  const taken = writer.lending.takeBack(20 * MIB);
  t.ok(taken >= 20 * MIB && taken < 26 * MIB);
  t.ok(diskBytes(path) >= small + 20 * MIB, 'the blocks are there');
  for (let i = 0; i < 3; i++) writer.pass();
  const { lastPage } = writer.stats();
  fill(writer, 3000, 400);
  const grown = writer.stats().lastPage - lastPage;
  t.ok(grown < 400, `they are used before the file grows, by ${grown} pages`);
  writer.close();
  t.same(checkPages(path).findings, []);
});
