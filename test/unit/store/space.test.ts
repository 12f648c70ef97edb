import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import t, { type Test } from 'tap';
import { blockKey, entryKey, inodeKey } from '../../../src/format/records/keys.js';
import { TABLE, type TableNumber } from '../../../src/format/records/tables.js';
import { BatchBuilder, SlabArena } from '../../../src/store/batch.js';
import { type FreeRun, readFreeRuns, readMeta } from '../../../src/store/mdb/file.js';
import { StoreReader } from '../../../src/store/reader.js';
import { usableFreePages } from '../../../src/store/space.js';
import {
  EMPTY_SHAPE,
  LARGE_VALUE_BYTES,
  type TxgShape,
  worstCaseBytes,
} from '../../../src/store/worst-case.js';
import { StoreWriter } from '../../../src/store/writer.js';

const MIB = 1024 * 1024;

function scratch(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'shadowfs-space-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Collects operations together with their shape. */
class Plan {
  readonly builder = new BatchBuilder(new SlabArena());
  readonly shape: TxgShape = { ...EMPTY_SHAPE };

  put(table: TableNumber, key: Buffer, value: Buffer): void {
    this.builder.put(table, key, value);
    this.#count(key);
    if (value.length > LARGE_VALUE_BYTES) {
      this.shape.largeValues++;
      this.shape.largeBytes += value.length;
    } else {
      this.shape.inlineBytes += value.length;
    }
  }

  del(table: TableNumber, key: Buffer): void {
    this.builder.del(table, key);
    this.#count(key);
  }

  #count(key: Buffer): void {
    this.shape.records++;
    this.shape.keyBytes += key.length;
  }
}

t.test('a txg never adds more to the file than its worst case', (t) => {
  const path = join(scratch(t), 'v');
  const writer = StoreWriter.open(path, { create: true });
  const reader = StoreReader.open(path);
  let tightest = Number.POSITIVE_INFINITY;
  const item = fc.record({
    kind: fc.constantFrom('block', 'small', 'inode', 'entry', 'delete', 'run'),
    inode: fc.nat(3000),
    index: fc.nat(30),
    layer: fc.integer({ min: 1, max: 3 }),
    length: fc.nat(40_000),
  });
  fc.assert(
    fc.property(fc.array(item, { minLength: 1, maxLength: 150 }), (items) => {
      const plan = new Plan();
      for (const { kind, inode, index, layer, length } of items) {
        if (kind === 'block') {
          plan.put(TABLE.blocks, blockKey(1, inode, index, layer, 1), Buffer.alloc(length, 1));
        } else if (kind === 'small') {
          plan.put(
            TABLE.blocks,
            blockKey(1, inode, index, layer, 1),
            Buffer.alloc(length % 2100, 1),
          );
        } else if (kind === 'inode') {
          plan.put(TABLE.inodes, inodeKey(1, inode, layer), Buffer.alloc(180 + (length % 1000)));
        } else if (kind === 'entry') {
          const name = 'n'.repeat(1 + (length % 255));
          plan.put(TABLE.entries, entryKey(1, index, inode * 7919, name, layer), Buffer.alloc(16));
        } else if (kind === 'delete') {
          plan.del(TABLE.blocks, blockKey(1, inode, index, layer, 1));
        } else {
          for (let i = 0; i < 300; i++) {
            plan.put(TABLE.inodes, inodeKey(1, inode * 1000 + i, layer), Buffer.alloc(180));
          }
        }
      }
      const before = writer.stats();
      const bound = worstCaseBytes(plan.shape, before);
      writer.apply(plan.builder.finish(1));
      reader.refresh();
      const grown = (writer.stats().lastPage - before.lastPage) * 4096;
      tightest = Math.min(tightest, bound - grown);
      if (grown > bound) throw new Error(`grew by ${grown}, bound ${bound}`);
      return true;
    }),
    { numRuns: 200 },
  );
  t.comment(`tightest margin ${tightest} bytes`);
  const one = { ...EMPTY_SHAPE, records: 1, keyBytes: 28, inlineBytes: 200 };
  const small = worstCaseBytes(one, writer.stats());
  t.ok(small < 2 * MIB, `one record is estimated at ${small} bytes`);
  t.equal(worstCaseBytes(EMPTY_SHAPE, writer.stats()), 0);
  reader.close();
  writer.close();
  t.end();
});

t.test('the list of free pages read from the file is what LMDB counts', (t) => {
  const path = join(scratch(t), 'v');
  const writer = StoreWriter.open(path, { create: true });
  const fd = openSync(join(path, 'data.mdb'), 'r');
  for (let round = 0; round < 30; round++) {
    writer.transaction((tx) => {
      for (let i = 0; i < 50; i++) {
        const key = blockKey(1, 5, (i * 37 + round * 11) % 200, 3, 1);
        if ((i + round) % 3 === 0) tx.del(TABLE.blocks, key);
        else tx.put(TABLE.blocks, key, Buffer.alloc(100 + ((i * round * 977) % 33_000), 1));
      }
    });
    const meta = readMeta(fd);
    const runs = readFreeRuns(fd, meta as NonNullable<typeof meta>);
    const pages = runs.reduce((sum, run) => sum + run.pages, 0);
    if (pages !== writer.stats().freePages)
      t.equal(pages, writer.stats().freePages, `round ${round}`);
    const seen = new Set(
      runs.flatMap(({ page, pages: n }) => Array.from({ length: n }, (_, i) => page + i)),
    );
    if (seen.size !== pages) t.fail(`round ${round}: a page is listed twice`);
  }
  t.ok(writer.stats().freePages > 0);
  closeSync(fd);
  writer.close();
  t.end();
});

t.test('usable free pages: only old ones, whole runs, neighbours joined', (t) => {
  const run = (transaction: number, page: number, pages: number): FreeRun => ({
    transaction,
    page,
    pages,
  });
  t.equal(usableFreePages([], 9, 9), 0);
  t.equal(usableFreePages([run(1, 10, 36)], 1, 9), 27, 'three quarters of whole runs');
  t.equal(usableFreePages([run(2, 10, 36)], 1, 9), 0, 'too young');
  t.equal(usableFreePages([run(1, 10, 8)], 1, 9), 0);
  t.equal(usableFreePages([run(1, 14, 32), run(1, 10, 4)], 1, 9), 27);
  t.end();
});

/** Fills until a group is not admitted, then deletes, then fills again. */
function fillAndDelete(t: Test, path: string, options: { quotaBytes?: number }): void {
  const writer = StoreWriter.open(path, { create: true, ...options });
  const reader = StoreReader.open(path);
  const stored = new Map<number, number>();
  let next = 1;
  let failed = 0;
  const apply = (plan: Plan): void => {
    try {
      writer.apply(plan.builder.finish(1));
    } catch (error) {
      failed++;
      t.fail(`a commit failed: ${String(error)} ${String((error as Error).cause)}`);
    }
    reader.refresh();
  };
  const fill = (blocks: number, length: number): number => {
    let groups = 0;
    for (; groups < 2000; groups++) {
      const plan = new Plan();
      for (let i = 0; i < blocks; i++) {
        plan.put(TABLE.blocks, blockKey(1, next + i, 0, 3, 1), Buffer.alloc(length, next + i));
        plan.put(TABLE.inodes, inodeKey(1, next + i, 3), Buffer.alloc(180, 1));
      }
      const bound = worstCaseBytes(plan.shape, writer.stats());
      if (writer.ensure(bound).availableBytes < bound) break;
      apply(plan);
      for (let i = 0; i < blocks; i++) stored.set(next + i, length);
      next += blocks;
    }
    return groups;
  };
  const deleteHalf = (): void => {
    const plan = new Plan();
    for (const inode of [...stored.keys()].filter((_, i) => i % 2 === 0)) {
      plan.del(TABLE.blocks, blockKey(1, inode, 0, 3, 1));
      plan.del(TABLE.inodes, inodeKey(1, inode, 3));
      stored.delete(inode);
    }
    apply(plan);
  };
  /** Transactions of one record: pages freed by the last two count after them. */
  const settle = (): void => {
    for (let i = 0; i < 3; i++) {
      const plan = new Plan();
      plan.put(TABLE.meta, Buffer.from('settle'), Buffer.of(i));
      apply(plan);
    }
  };
  const report: string[] = [];
  for (const [blocks, length] of [
    [16, 32776],
    [16, 32776],
    [40, 5000],
    [8, 32776],
    [100, 1000],
    [16, 32776],
  ] as const) {
    const groups = fill(blocks, length);
    const full = writer.space();
    report.push(`${groups}×${blocks}×${length}`);
    if (report.length === 1) t.ok(groups > 5, `${groups} groups fit into the empty volume`);
    if (options.quotaBytes !== undefined) {
      t.ok(full.fileBytes <= options.quotaBytes, 'the quota holds');
    }
    deleteHalf();
    settle();
  }
  t.comment(report.join(', '));
  t.comment(JSON.stringify(writer.space()));
  t.equal(failed, 0, 'no commit failed');
  let wrong = 0;
  for (const [inode, length] of stored) {
    const value = reader.get(TABLE.blocks, blockKey(1, inode, 0, 3, 1));
    if (value?.length !== length || value[length - 1] !== (inode & 0xff)) wrong++;
  }
  t.equal(wrong, 0, 'nothing that was committed is lost');
  reader.close();
  writer.close();
}

t.test('a quota: refused before it is exceeded', (t) => {
  const path = join(scratch(t), 'v');
  fillAndDelete(t, path, { quotaBytes: 24 * MIB });
  t.ok(statSync(join(path, 'data.mdb')).blocks * 512 <= 24.1 * MIB);
  t.end();
});

t.test('pages that a reader still holds are not promised', (t) => {
  const path = join(scratch(t), 'v');
  const writer = StoreWriter.open(path, { create: true, quotaBytes: 16 * MIB });
  const put = (layer: number): void => {
    writer.transaction((tx) => {
      for (let i = 0; i < 100; i++) {
        tx.put(TABLE.blocks, blockKey(1, 1, i, 3, 1), Buffer.alloc(32776, layer));
      }
    });
  };
  put(1);
  const reader = StoreReader.open(path);
  put(2);
  for (let i = 0; i < 4; i++)
    writer.transaction((tx) => tx.put(TABLE.meta, Buffer.of(1), Buffer.of(i)));
  writer.ensure(16 * MIB);
  const held = writer.space().availableBytes;
  t.equal(reader.get(TABLE.blocks, blockKey(1, 1, 99, 3, 1))?.[9], 1, 'the old state is read');
  reader.refresh();
  writer.transaction((tx) => tx.put(TABLE.meta, Buffer.of(1), Buffer.of(9)));
  const free = writer.space().availableBytes;
  t.ok(free > held + 2 * MIB, `${held} → ${free}`);
  reader.close();
  writer.close();
  t.end();
});

t.test('pages freed last become usable without a change', (t) => {
  const path = join(scratch(t), 'v');
  const writer = StoreWriter.open(path, { create: true, quotaBytes: 16 * MIB });
  writer.transaction((tx) => tx.put(TABLE.layers, Buffer.of(1), Buffer.from('{}')));
  const keys = [...Array(200).keys()].map((i) => blockKey(1, 1, i, 3, 1));
  writer.transaction((tx) => {
    for (const key of keys) tx.put(TABLE.blocks, key, Buffer.alloc(32776, 1));
  });
  writer.ensure(16 * MIB);
  writer.transaction((tx) => {
    for (const key of keys) tx.del(TABLE.blocks, key);
  });
  const before = writer.space();
  t.ok(before.youngBytes > 6 * MIB, `${before.youngBytes} young`);
  writer.pass();
  writer.pass();
  const after = writer.space();
  t.ok(after.youngBytes < MIB, `${after.youngBytes} still young`);
  t.ok(after.roomBytes > before.roomBytes + 4 * MIB, `${before.roomBytes} → ${after.roomBytes}`);
  const reader = StoreReader.open(path);
  t.equal(reader.get(TABLE.layers, Buffer.of(1))?.toString(), '{}', 'and nothing has changed');
  reader.close();
  writer.close();
  t.end();
});

t.test('a new volume has the room that is asked for at once', (t) => {
  const writer = StoreWriter.open(scratch(t), { create: true });
  for (const bytes of [MIB, 64 * MIB, 100 * MIB]) {
    const { availableBytes } = writer.ensure(bytes);
    t.ok(availableBytes >= bytes, `${availableBytes} bytes`);
  }
  writer.close();
  t.end();
});

t.test('blocks allocated in advance are found after a kill, and given back at close', (t) => {
  const path = join(scratch(t), 'v');
  const module = JSON.stringify(join(process.cwd(), 'dist/store/writer.js'));
  const child = spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `
      const { StoreWriter } = await import(${module});
      StoreWriter.open(${JSON.stringify(path)}, { create: true, quotaBytes: ${64 * MIB} }).ensure(${20 * MIB});
      process.kill(process.pid, 'SIGKILL');`,
    ],
    { timeout: 20_000 },
  );
  t.equal(child.signal, 'SIGKILL', child.stderr.toString());
  const blocks = (): number => statSync(join(path, 'data.mdb')).blocks * 512;
  t.ok(blocks() > 20 * MIB);
  const writer = StoreWriter.open(path, { quotaBytes: 64 * MIB });
  t.ok(writer.space().availableBytes >= 19 * MIB, String(writer.space().availableBytes));
  writer.close();
  t.ok(blocks() < MIB);
  t.end();
});

/** A small file system of its own; undefined when this user can't make one. */
function smallDisk(t: Test, bytes: number): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const path = scratch(t);
  const image = join(path, 'image');
  const mountpoint = join(path, 'mnt');
  mkdirSync(mountpoint);
  spawnSync('touch', [image]);
  truncateSync(image, bytes);
  if (spawnSync('mkfs.ext4', ['-q', '-F', image]).status !== 0) return undefined;
  if (spawnSync('mount', ['-o', 'loop', image, mountpoint]).status !== 0) return undefined;
  t.teardown(() => spawnSync('umount', ['-l', mountpoint]));
  return mountpoint;
}

t.test('a full disk: ENOSPC comes before the commit, no commit fails, deletes work', (t) => {
  const disk = smallDisk(t, 48 * MIB);
  if (disk === undefined) {
    t.comment('not run: needs root and loop devices');
    return t.end();
  }
  fillAndDelete(t, join(disk, 'v'), {});
  return t.end();
});

t.test('a disk filled by other programs: the commit fails with ENOSPC and leaves nothing', (t) => {
  const disk = smallDisk(t, 32 * MIB);
  if (disk === undefined) {
    t.comment('not run: needs root and loop devices');
    return t.end();
  }
  const path = join(disk, 'v');
  const writer = StoreWriter.open(path, { create: true });
  const put = (inode: number, blocks: number): void => {
    writer.transaction((tx) => {
      for (let i = 0; i < blocks; i++) {
        tx.put(TABLE.blocks, blockKey(1, inode, i, 3, 1), Buffer.alloc(32776, inode));
      }
    });
  };
  put(1, 4);
  // Without `ensure` nothing is reserved.
  spawnSync('dd', ['if=/dev/zero', `of=${join(disk, 'other')}`, 'bs=64k'], { timeout: 20_000 });
  t.throws(() => put(2, 200), { code: 'ENOSPC' } as unknown as Error);
  rmSync(join(disk, 'other'));
  put(3, 4);
  put(4, 200);
  const reader = StoreReader.open(path);
  t.equal(reader.get(TABLE.blocks, blockKey(1, 2, 0, 3, 1)), undefined);
  for (const inode of [1, 3, 4]) {
    t.equal(reader.get(TABLE.blocks, blockKey(1, inode, 3, 3, 1))?.[5], inode);
  }
  reader.close();
  writer.close();
  return t.end();
});
