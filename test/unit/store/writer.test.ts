import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import * as fc from 'fast-check';
import t, { type Test } from 'tap';
import {
  blockKey,
  deltaKey,
  inodeKey,
  placeOf,
  versionedKey,
} from '../../../src/format/records/keys.js';
import { isVersioned, TABLE, type TableNumber } from '../../../src/format/records/tables.js';
import { BatchBuilder, SlabArena } from '../../../src/store/batch.js';
import { deltaKeyOf } from '../../../src/store/batch-order.js';
import { StoreReader } from '../../../src/store/reader.js';
import { StoreWriter } from '../../../src/store/writer.js';

const FIRST = Buffer.of(0);
const LAST = Buffer.alloc(64, 0xff);

function volume(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'shadowfs-store-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return join(path, 'volume');
}

function dump(reader: StoreReader, table: TableNumber): [string, string][] {
  return [...reader.range(table, undefined, undefined)].map(({ key, value }) => [
    key.toString('hex'),
    value.toString('hex'),
  ]);
}

/** Rule D2, read from the store alone. */
function checkDelta(t: Test, reader: StoreReader): void {
  const expected = new Set<string>();
  for (const table of [1, 2, 3, 4, 5] as TableNumber[]) {
    for (const { key } of reader.range(table, undefined, undefined, { keysOnly: true })) {
      expected.add(deltaKeyOf(table, key).toString('hex'));
    }
  }
  const found = dump(reader, TABLE.delta).map(([key]) => key);
  t.strictSame(found, [...expected].sort(), 'D2: the delta map is the set of places');
}

t.test('slabs: alignment, large values, recycling gives zeros', (t) => {
  const arena = new SlabArena(64);
  const a = arena.alloc(5);
  const b = arena.alloc(5);
  t.equal(b.byteOffset % 8, 0);
  t.equal(a.buffer, b.buffer);
  const large = arena.alloc(1000);
  t.equal(large.buffer.byteLength, 1000);
  t.equal(arena.bytesUsed, 1016);
  t.equal(arena.alloc(48).buffer, a.buffer, 'a large value does not end the current slab');
  a.fill(9);
  arena.recycle();
  t.equal(arena.bytesUsed, 0);
  const again = arena.alloc(64);
  t.equal(again.buffer, a.buffer);
  t.ok(again.every((byte) => byte === 0));
  t.equal(arena.indexOf(again), 0);
  t.equal(arena.indexOf(Buffer.alloc(3)), -1);
  t.end();
});

t.test('values of all sizes are read back unchanged, from slabs and from elsewhere', (t) => {
  const path = volume(t);
  const writer = StoreWriter.open(path, { create: true });
  const reader = StoreReader.open(path);
  const arena = new SlabArena();
  const builder = new BatchBuilder(arena);
  const sizes = [0, 1, 100, 2000, 4095, 4096, 4097, 32776, 40000, 131080, 300000];
  for (const size of sizes) {
    for (const [inode, fromSlab] of [
      [1, true],
      [2, false],
    ] as const) {
      const room = fromSlab ? arena.alloc(size + 100) : Buffer.alloc(size + 100);
      for (let i = 0; i < room.length; i++) room[i] = (i * 31 + size) & 0xff;
      room[0] = 1;
      builder.put(TABLE.blocks, blockKey(1, inode, size, 5, 1), room.subarray(0, size));
    }
  }
  const stats = writer.apply(builder.finish(7));
  t.equal(stats.id, 7);
  t.equal(stats.operations, sizes.length * 2);
  t.equal(
    reader.get(TABLE.blocks, blockKey(1, 1, 1, 5, 1)),
    undefined,
    'the old state until refresh',
  );
  reader.refresh();
  for (const size of sizes) {
    for (const inode of [1, 2]) {
      const expected = Buffer.from(Uint8Array.from({ length: size }, (_, i) => i * 31 + size));
      if (size > 0) expected[0] = 1;
      const key = blockKey(1, inode, size, 5, 1);
      t.ok(expected.equals(reader.get(TABLE.blocks, key) as Buffer), `get ${size}`);
      const found = reader.seek(TABLE.blocks, key, LAST);
      t.ok(found?.key.equals(key) && found.value.equals(expected), `seek ${size}`);
      const [ranged] = reader.range(TABLE.blocks, key, LAST, { limit: 1 });
      t.ok(ranged?.key.equals(key) && ranged.value.equals(expected), `range ${size}`);
    }
  }
  checkDelta(t, reader);
  reader.close();
  writer.close();
  t.end();
});

t.test('seek and range: bounds, order, limits, both directions', (t) => {
  const path = volume(t);
  const writer = StoreWriter.open(path, { create: true });
  const keys = Array.from({ length: 700 }, (_, i) => {
    const key = Buffer.alloc(3);
    key.writeUIntBE(i * 2, 0, 3);
    return key;
  });
  writer.transaction((tx) => {
    for (const key of keys) tx.put(TABLE.meta, key, key);
    t.equal(tx.seek(TABLE.meta, Buffer.of(0, 0, 3), LAST)?.key[2], 4, 'a transaction sees itself');
    t.equal([...tx.range(TABLE.meta, undefined, undefined)].length, 700);
  });
  const reader = StoreReader.open(path);
  const at = (n: number): Buffer => {
    const key = Buffer.alloc(3);
    key.writeUIntBE(n, 0, 3);
    return key;
  };
  t.equal(reader.seek(TABLE.meta, at(4), at(5))?.key.readUIntBE(0, 3), 4);
  t.equal(reader.seek(TABLE.meta, at(3), at(5))?.key.readUIntBE(0, 3), 4);
  t.equal(reader.seek(TABLE.meta, at(3), at(4)), undefined, 'the end is excluded');
  t.equal(reader.seek(TABLE.meta, at(1399), LAST), undefined);
  t.equal(reader.seek(TABLE.history, FIRST, LAST), undefined, 'an empty table');
  const numbers = (entries: Iterable<{ key: Buffer }>): number[] =>
    Array.from(entries, ({ key }) => key.readUIntBE(0, 3));
  fc.assert(
    fc.property(
      fc.nat(1420),
      fc.nat(1420),
      fc.boolean(),
      fc.boolean(),
      fc.option(fc.nat(40)),
      (start, end, reverse, keysOnly, limit) => {
        let expected = keys.map((key) => key.readUIntBE(0, 3)).filter((n) => n >= start && n < end);
        if (reverse) expected.reverse();
        if (limit !== null) expected = expected.slice(0, limit);
        const options = { reverse, keysOnly, ...(limit !== null && { limit }) };
        const found = [...reader.range(TABLE.meta, at(start), at(end), options)];
        return (
          JSON.stringify(numbers(found)) === JSON.stringify(expected) &&
          found.every(({ key, value }) => (keysOnly ? value.length === 0 : value.equals(key)))
        );
      },
    ),
    { numRuns: 300 },
  );
  t.equal(numbers(reader.range(TABLE.meta, undefined, undefined, { reverse: true })).length, 700);
  t.equal(numbers(reader.range(TABLE.meta, undefined, at(4))).length, 2);
  t.equal(numbers(reader.range(TABLE.meta, at(1390), undefined, { reverse: true })).length, 5);
  reader.close();
  writer.close();
  t.end();
});

t.test('many reads leak no read transactions, and freed pages are used again', (t) => {
  const path = volume(t);
  const writer = StoreWriter.open(path, { create: true });
  const reader = StoreReader.open(path);
  const value = Buffer.alloc(32776, 1);
  let filePages = 0;
  for (let round = 0; round < 60; round++) {
    writer.transaction((tx) => {
      for (let i = 0; i < 20; i++) tx.put(TABLE.blocks, blockKey(1, 5, i, 3, 1), value);
    });
    reader.refresh();
    for (let i = 0; i < 200; i++) {
      reader.get(TABLE.blocks, blockKey(1, 5, i % 20, 3, 1));
      reader.seek(TABLE.blocks, blockKey(1, 5, i % 20, 9, 1), LAST);
      // An iteration that is given up half way.
      for (const _ of reader.range(TABLE.blocks, FIRST, LAST)) break;
    }
    if (round === 10) filePages = writer.stats().lastPage;
  }
  t.ok(reader.stats().readers <= 3, `${reader.stats().readers} readers`);
  t.equal(writer.stats().lastPage, filePages, 'the file stopped growing');
  reader.close();
  writer.close();
  t.end();
});

interface Change {
  table: TableNumber;
  place: number;
  layer: number;
  step: number;
  value: number | undefined;
}

const change = fc.record({
  table: fc.constantFrom<TableNumber>(1, 2, 3, 4, 5, 15),
  place: fc.nat(5),
  layer: fc.integer({ min: 1, max: 3 }),
  step: fc.nat(2),
  value: fc.option(fc.nat(255), { nil: undefined }),
}) as fc.Arbitrary<Change>;

function keyOf({ table, place, layer, step }: Change): Buffer {
  const name = Buffer.from(`a place ${place}`);
  if (!isVersioned(table)) return name;
  if (table === TABLE.blocks) return blockKey(1, 2, place, layer, step);
  if (table === TABLE.inodes) return inodeKey(1, place, layer);
  return versionedKey(table, name, layer);
}

t.test('random batches and transactions: contents and delta map as in a model', (t) => {
  const path = volume(t);
  const writer = StoreWriter.open(path, { create: true });
  const reader = StoreReader.open(path);
  const model = new Map<string, string>();
  const run = (changes: Change[], asBatch: boolean): boolean => {
    for (const item of changes) {
      const name = `${item.table}:${keyOf(item).toString('hex')}`;
      if (item.value === undefined) model.delete(name);
      else model.set(name, Buffer.of(item.value, 7).toString('hex'));
    }
    if (asBatch) {
      const builder = new BatchBuilder(new SlabArena(4096));
      for (const item of changes) {
        if (item.value === undefined) builder.del(item.table, keyOf(item));
        else builder.put(item.table, keyOf(item), Buffer.of(item.value, 7));
      }
      writer.apply(builder.finish(1));
    } else {
      writer.transaction((tx) => {
        for (const item of changes) {
          if (item.value === undefined) tx.del(item.table, keyOf(item));
          else tx.put(item.table, keyOf(item), Buffer.of(item.value, 7));
        }
      });
    }
    reader.refresh();
    const delta = new Set<string>();
    for (const name of model.keys()) {
      const [table, hex] = name.split(':') as [string, string];
      const number = Number(table) as TableNumber;
      if (isVersioned(number))
        delta.add(deltaKeyOf(number, Buffer.from(hex, 'hex')).toString('hex'));
    }
    const found = ([1, 2, 3, 4, 5, 15] as TableNumber[]).flatMap((table) =>
      dump(reader, table).map(([key, value]) => `${table}:${key}=${value}`),
    );
    const expected = [...model].map(([key, value]) => `${key}=${value}`);
    return (
      found.sort().join() === expected.sort().join() &&
      dump(reader, TABLE.delta)
        .map(([key]) => key)
        .join() === [...delta].sort().join()
    );
  };
  fc.assert(fc.property(fc.array(change, { maxLength: 40 }), fc.boolean(), run), { numRuns: 300 });
  reader.close();
  writer.close();
  t.end();
});

t.test('a failed transaction leaves nothing', (t) => {
  const path = volume(t);
  const writer = StoreWriter.open(path, { create: true });
  writer.transaction((tx) => tx.put(TABLE.meta, Buffer.from('a'), Buffer.from('1')));
  t.throws(
    () =>
      writer.transaction((tx) => {
        tx.put(TABLE.meta, Buffer.from('a'), Buffer.from('2'));
        tx.put(TABLE.inodes, inodeKey(1, 9, 4), Buffer.from('x'));
        throw new Error('stop here');
      }),
    /stop here/,
  );
  const reader = StoreReader.open(path);
  t.equal(reader.get(TABLE.meta, Buffer.from('a'))?.toString(), '1');
  t.strictSame(dump(reader, TABLE.delta), []);
  t.equal(
    writer.transaction((tx) => tx.get(TABLE.meta, Buffer.from('a'))?.toString()),
    '1',
  );
  reader.close();
  writer.close();
  t.end();
});

t.test('compressed blocks: readable with and without the option', (t) => {
  const path = volume(t);
  const text = Buffer.concat([Buffer.of(1), Buffer.from('compress me, please. '.repeat(1500))]);
  let writer = StoreWriter.open(path, { create: true, compression: true });
  writer.transaction((tx) => {
    for (let i = 0; i < 20; i++) tx.put(TABLE.blocks, blockKey(1, 5, i, 3, 1), text);
  });
  const { usedPages } = writer.stats();
  t.ok(usedPages < 60, `${usedPages} pages in use`);
  writer.close();
  writer = StoreWriter.open(path);
  const reader = StoreReader.open(path);
  writer.transaction((tx) => tx.put(TABLE.blocks, blockKey(1, 5, 20, 3, 1), text));
  t.ok(writer.stats().usedPages >= usedPages + 8, 'stored as it is');
  reader.refresh();
  for (let i = 0; i <= 20; i++) {
    t.ok(reader.get(TABLE.blocks, blockKey(1, 5, i, 3, 1))?.equals(text));
    t.ok(reader.seek(TABLE.blocks, blockKey(1, 5, i, 3, 1), LAST)?.value.equals(text));
  }
  t.equal(
    [...reader.range(TABLE.blocks, FIRST, LAST)].filter(({ value }) => value.equals(text)).length,
    21,
  );
  reader.close();
  writer.close();
  t.end();
});

t.test('read-only from another process, while the writer writes', async (t) => {
  const path = volume(t);
  const writer = StoreWriter.open(path, { create: true });
  writer.transaction((tx) => tx.put(TABLE.meta, Buffer.from('a'), Buffer.from('1')));
  t.equal(deltaKey(1, 1, placeOf(1, inodeKey(1, 2, 3))).length, 19);
  const { spawnSync } = await import('node:child_process');
  const script = `
    const { StoreReader } = await import(${JSON.stringify(join(process.cwd(), 'dist/store/reader.js'))});
    const reader = StoreReader.open(${JSON.stringify(path)}, { readOnly: true });
    process.stdout.write(reader.get(15, Buffer.from('a')).toString());
    reader.close();`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 10_000,
  });
  t.equal(child.stdout.toString(), '1', child.stderr.toString());
  writer.close();
});

t.test(
  'writer in a worker thread, batches through postMessage, reader in a thread that never yields',
  (t) => {
    const path = volume(t);
    const dist = (name: string): string => JSON.stringify(join(process.cwd(), 'dist', name));
    const state = new Int32Array(new SharedArrayBuffer(8));
    const worker = new Worker(
      `(async () => {
      const { parentPort, workerData } = require('node:worker_threads');
      const { StoreWriter } = await import(${dist('store/writer.js')});
      const writer = StoreWriter.open(workerData.path, { create: true });
      const set = (i, v) => { Atomics.store(workerData.state, i, v); Atomics.notify(workerData.state, i); };
      parentPort.on('message', (batch) => {
        if (batch === 'end') { writer.close(); parentPort.close(); return; }
        writer.apply(batch); set(1, batch.id);
      });
      set(0, 1);
    })()`,
      { eval: true, workerData: { path, state } },
    );
    worker.on('exit', () => t.end());
    worker.on('error', (error) => t.fail(String(error)));
    t.equal(Atomics.wait(state, 0, 0, 10_000), 'ok', 'the writer is open');
    const reader = StoreReader.open(path);
    const arena = new SlabArena();
    for (let id = 1; id <= 30; id++) {
      const builder = new BatchBuilder(arena);
      for (let i = 0; i < 10; i++) {
        const room = arena.alloc(32776);
        room.fill(id);
        room[0] = 1;
        builder.put(TABLE.blocks, blockKey(1, 5, i, id, 1), room);
      }
      worker.postMessage(builder.finish(id));
      while (Atomics.load(state, 1) !== id) {
        if (Atomics.wait(state, 1, id - 1, 10_000) === 'timed-out') throw new Error('no commit');
      }
      arena.recycle();
      t.equal(reader.get(TABLE.blocks, blockKey(1, 5, 0, id, 1)), undefined);
      reader.refresh();
      const found = reader.seek(TABLE.blocks, blockKey(1, 5, 9, id, 1), LAST);
      t.ok(found?.value.length === 32776 && found.value.subarray(1).every((byte) => byte === id));
    }
    t.ok(reader.stats().readers <= 3);
    checkDelta(t, reader);
    reader.close();
    worker.postMessage('end');
  },
);
