/** The volume at its bounds: full groups, many layers, many places. Counts work, never time. */
import assert from 'node:assert/strict';
import t from 'tap';
import { TABLE, type TableNumber } from '../../src/format/records/tables.js';
import { TXG_BYTES, TXG_RECORDS } from '../../src/volume/commit/txgs.js';
import { S_IFDIR, S_IFREG } from '../../src/lib/file-mode.js';
import { compareAll, compareLive } from './compare.js';
import { Random } from './random.js';
import { countRecords, garbage, layerNumbers } from './store-scan.js';
import { BLOCK, VolumeRun } from './volume-run.js';

const ROOT = 1;
const WHO = { uid: 0, gid: 0 };
const random = new Random(3);

type Test = Pick<typeof t, 'teardown'>;

function start(t: Test, options = {}): VolumeRun {
  const run = new VolumeRun(options);
  t.teardown(() => run.dispose());
  return run;
}

function make(run: VolumeRun, name: string, directory = ROOT): number {
  const what = { mode: S_IFREG | 0o644 };
  run.change(
    name,
    (model) => model.create(WHO, directory, name, what, run.realInode),
    () => run.volume.create(WHO, directory, name, what).ino,
  );
  return run.model.live.get(directory)?.names.get(name) as number;
}

function write(run: VolumeRun, ino: number, offset: number, data: Buffer): void {
  run.change(
    'write',
    (model) => model.write(ino, offset, data, run.real),
    () => run.volume.write(ino, offset, data),
  );
}

t.test('groups full of bytes: writers wait, everything is read while three places hold it', (t) => {
  const run = start(t);
  const data = random.bytes(512 * 1024);
  const file = make(run, 'f');
  let written = 0;
  while (run.volume.beginChange()) {
    run.note();
    data.writeUInt32LE(written);
    run.volume.write(file, written, data);
    run.model.write(file, written, data, () => {});
    written += data.length;
    assert.ok(written < 4 * TXG_BYTES, 'a group is bounded');
  }
  t.ok(written >= 2 * TXG_BYTES, 'one group closing, one full');
  t.ok(run.volume.core.closing !== undefined);
  compareLive(run);
  run.pump();
  t.ok(run.volume.beginChange(), 'stored: there is room again');
  run.note();
  // Old blocks in LMDB, middle ones closing, new ones open.
  for (let offset = 1000; offset < written; offset += 3_000_001) {
    write(run, file, offset, random.bytes(5000));
  }
  compareAll(run);
  run.save('s');
  run.crash();
  compareAll(run);
  t.end();
});

t.test('groups full of records', (t) => {
  const run = start(t);
  let made = 0;
  let closed = 0;
  let last = run.volume.core.closing;
  while (made < TXG_RECORDS) {
    make(run, `file-${made++}`);
    const { closing } = run.volume.core;
    if (closing !== undefined && closing !== last) closed++;
    last = closing;
    if (closed > 0 && made % 10_000 === 0) break;
  }
  t.ok(closed > 0, 'a group was closed for its records');
  compareLive(run);
  run.flush();
  t.equal(countRecords(run.volume.core.reader, TABLE.inodes), made + 1);
  t.end();
});

t.test('1,000 rounds of save, restore and delete leave a handful of layers', (t) => {
  const keepUndo = 3;
  const run = start(t, { keepUndo });
  const file = make(run, 'f');
  run.save('kept');
  for (let i = 0; i < 1000; i++) {
    write(run, file, (i % 20) * BLOCK, random.bytes(100));
    run.save('round');
    write(run, file, (i % 7) * BLOCK, random.bytes(100));
    if (i % 10 === 0) make(run, `file-${i}`);
    run.restore('round');
    run.unpin();
    run.deleteSnapshot('round');
    if (i % 50 === 0) {
      run.flush();
      run.collect();
    }
  }
  run.collectAll();
  // Base, kept, open; and for each undo snapshot the layer where it left the live path.
  const layers = layerNumbers(run.volume.core.reader);
  t.ok(layers.length <= 3 + 2 * keepUndo + 1, `${layers.length} layers are left`);
  run.save('end');
  run.collectAll();
  t.strictSame(garbage(run.volume.core.reader, BLOCK), []);
  run.check();
  compareAll(run);
  t.end();
});

/** Calls into the store, and records that were stepped over. */
class StoreWork {
  #count = 0;

  constructor(run: VolumeRun) {
    const { reader } = run.volume.core;
    const get = reader.get.bind(reader);
    const seek = reader.seek.bind(reader);
    const range = reader.range.bind(reader);
    reader.get = (table: TableNumber, key: Uint8Array) => {
      this.#count++;
      return get(table, key);
    };
    reader.seek = (table, from, end) => {
      this.#count++;
      return seek(table, from, end);
    };
    const counted = (): void => void this.#count++;
    reader.range = function* (...args) {
      counted();
      for (const entry of range(...args)) {
        counted();
        yield entry;
      }
    };
  }

  of(action: () => unknown): number {
    this.#count = 0;
    action();
    return this.#count;
  }
}

t.test('a place is read as fast across 1,000 abandoned layers as across one', (t) => {
  const costs: Record<string, number>[] = [];
  for (const layers of [1, 1000]) {
    const run = start(t, { keepUndo: 10_000 });
    const { volume } = run;
    const directory = volume.create(WHO, ROOT, 'd', { mode: S_IFDIR | 0o755 }).ino;
    const file = volume.create(WHO, directory, 'f', { mode: S_IFREG | 0o644 }).ino;
    volume.write(file, 0, random.bytes(5 * BLOCK));
    for (const name of ['user.a', 'user.b']) volume.xattrs.set(file, name, Buffer.of(1), 0);
    for (let i = 0; i < 3; i++) volume.create(WHO, directory, `n${i}`, { mode: S_IFREG | 0o644 });
    volume.save('s', 'test');
    for (let i = 0; i < layers; i++) {
      volume.write(file, 0, random.bytes(5 * BLOCK));
      volume.xattrs.set(file, 'user.a', Buffer.of(2), 0);
      volume.xattrs.set(file, 'user.b', Buffer.of(2), 0);
      volume.rename(directory, 'n0', directory, 'm', 0, () => false);
      volume.rename(directory, 'n1', directory, 'n2', 2, () => false);
      volume.restore('s', 'test');
    }
    // Above and below the abandoned ones.
    volume.write(file, 2 * BLOCK, random.bytes(10));
    volume.flush();
    run.reopen();
    const work = new StoreWork(run);
    const { live } = run.volume;
    const inode = (ino: number) => run.volume.inode(live, ino) ?? assert.fail('no inode');
    const out = Buffer.alloc(5 * BLOCK);
    costs.push({
      inode: work.of(() => inode(file)),
      lookup: work.of(() => run.volume.lookup(live, inode(directory), 'n0')),
      missing: work.of(() => run.volume.lookup(live, inode(directory), 'm')),
      block: work.of(() => run.volume.read(live, inode(file), 0, BLOCK, out, 0)),
      blocks: work.of(() => run.volume.read(live, inode(file), 0, 5 * BLOCK, out, 0)),
      list: work.of(() => run.volume.list(live, inode(directory), 0, () => true)),
      xattr: work.of(() => run.volume.readAttribute(live, inode(file), 'user.a')),
      xattrs: work.of(() => run.volume.listAttributes(live, inode(file))),
      seek: work.of(() => run.volume.seek(live, inode(file), 0, 'hole')),
      runs: work.of(() => run.volume.runs(live, inode(file))),
    });
  }
  const [one, many] = costs as [Record<string, number>, Record<string, number>];
  for (const [what, count] of Object.entries(many)) {
    t.ok(
      count <= (one[what] ?? 0) + 50,
      `${what}: ${one[what]} across one layer, ${count} across 1,000`,
    );
  }
  t.end();
});
