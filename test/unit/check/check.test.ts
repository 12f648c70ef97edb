/** `check`: clean volumes have no findings; every kind of damage has one. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  encodeGoneInode,
  decodeInode,
  encodeInode,
} from '../../../src/format/records/inode-record.js';
import {
  xattrKey,
  blockKey,
  deltaKey,
  entryKey,
  inodeKey,
  inodePlace,
  layerKey,
  reapKey,
  uint32Key,
} from '../../../src/format/records/keys.js';
import { nameHash } from '../../../src/format/records/name-hash.js';
import { ROOT_INODE, TABLE, type TableNumber } from '../../../src/format/records/tables.js';
import {
  BLOCK_HEADER_LENGTH,
  encodeEntry,
  encodeJson,
  encodeOrphan,
  sealBlock,
} from '../../../src/format/records/values.js';
import { checkPages } from '../../../src/store/mdb/pages.js';
import { DATA_FILE } from '../../../src/store/open.js';
import { StoreReader } from '../../../src/store/reader.js';
import type { WriteTransaction } from '../../../src/store/write-transaction.js';
import { type CheckReport, checkVolumeAt } from '../../../src/check/check.js';
import { MAX_FINDINGS } from '../../../src/check/report.js';
import { Inode } from '../../../src/volume/inode.js';
import { held, VolumeFixture } from '../volume/volume-fixture.js';

function shown(report: CheckReport): string[] {
  return report.findings.map(({ kind, rule, what, where }) => `${kind} ${rule} ${what} @ ${where}`);
}

const text = (length: number, seed = 'x'): string => seed.repeat(length).slice(0, length);

/** A bit of everything, over several layers. */
function fill(fixture: VolumeFixture): void {
  fixture.mkdir('d');
  fixture.mkdir('d/e');
  fixture.write('d/f', text(10_000));
  fixture.write('small', 'hello');
  fixture.symlink('link', 'd/f');
  fixture.link('small', 'd/hard');
  fixture.volume.xattrs.set(fixture.at('d/f').ino, 'user.a', Buffer.from('1'), 0);
  fixture.save('one');
  fixture.write('d/f', 'changed', 5000);
  fixture.truncate('d/f', 6000);
  fixture.rename('d/e', 'moved');
  fixture.unlink('small');
  fixture.write('new', text(5000, 'n'));
  fixture.save('two');
  fixture.truncate('d/f', 100);
  fixture.write('d/f', text(9000, 'z'), 4096);
  fixture.rmdir('moved');
  fixture.unlink('new', held);
  fixture.save('three');
  fixture.restore('one');
  fixture.write('after', 'restore');
  fixture.flush();
}

t.test('a clean volume has no findings', (t) => {
  const fixture = new VolumeFixture(t);
  t.strictSame(shown(fixture.check()), [], 'empty');
  fill(fixture);
  t.strictSame(shown(fixture.check()), []);
  fixture.collect();
  const report = fixture.check();
  t.strictSame(shown(report), [], 'collected');
  t.ok(report.counted.records > 20);
  t.equal(report.counted.views, 5, 'the tree, one, two, three, and what the restore kept');
  t.strictSame(shown(fixture.check(false)), [], 'while it is open');
  fixture.close();
  t.strictSame(shown(fixture.check()), [], 'closed');
  t.end();
});

/** Numbers of the volume that `fill` makes, while it is open. */
interface Known {
  /** The open layer, and those of the snapshots one and two. */
  live: number;
  one: number;
  two: number;
  d: number;
  f: number;
  small: number;
  link: number;
  after: number;
}

function know(fixture: VolumeFixture): Known {
  return {
    live: fixture.volume.live.top,
    one: fixture.view('one').top,
    two: fixture.view('two').top,
    d: fixture.at('d').ino,
    f: fixture.at('d/f').ino,
    small: fixture.at('small').ino,
    link: fixture.at('link').ino,
    after: fixture.at('after').ino,
  };
}

function changeInode(
  tx: WriteTransaction,
  ino: number,
  layer: number,
  change: (inode: Inode) => void,
): void {
  const key = inodeKey(1, ino, layer);
  const inode = new Inode(ino);
  decodeInode(Buffer.from(tx.get(TABLE.inodes, key) as Buffer), inode, () => 'test');
  change(inode);
  tx.put(TABLE.inodes, key, encodeInode(inode));
}

function nameKey(directory: number, name: string, layer: number): Buffer {
  return entryKey(1, directory, nameHash(name), name, layer);
}

function block(length: number): Buffer {
  const value = Buffer.alloc(BLOCK_HEADER_LENGTH + length, 7);
  sealBlock(value, length);
  return value;
}

function changeJson(
  tx: WriteTransaction,
  table: TableNumber,
  key: Buffer,
  change: Record<string, unknown>,
): void {
  const value = JSON.parse((tx.get(table, key) as Buffer).toString()) as Record<string, unknown>;
  tx.put(table, key, encodeJson({ ...value, ...change }));
}

const meta = (name: string): Buffer => Buffer.from(name);

/** What is damaged, how, and what the findings must say of it. */
const DAMAGES: [string, (tx: WriteTransaction, known: Known) => void, RegExp][] = [
  [
    'D2: a record without its delta entry',
    (tx, { f, one }) => tx.deleteRecord(TABLE.delta, deltaKey(one, TABLE.inodes, inodePlace(1, f))),
    /D2 the delta map lacks the record @ inodes inode \d+ layer/,
  ],
  [
    'D2: a delta entry without a record',
    (tx, { live }) => tx.noteDelta(deltaKey(live, TABLE.inodes, inodePlace(1, 77))),
    /D2 the delta map has a record that is not there/,
  ],
  [
    'D2: the key is no place',
    (tx) => tx.noteDelta(Buffer.from('00000000000109aabbcc', 'hex')),
    /D2 the key is not a place of a versioned table/,
  ],
  [
    'the checksum of an inode',
    (tx, { f, one }) => {
      const key = inodeKey(1, f, one);
      const value = Buffer.from(tx.get(TABLE.inodes, key) as Buffer);
      value[30] = (value[30] as number) ^ 1;
      tx.put(TABLE.inodes, key, value);
    },
    /format inode record/,
  ],
  [
    'the checksum of a block',
    (tx, { f, one }) => {
      const key = blockKey(1, f, 1, one, 1);
      const value = Buffer.from(tx.get(TABLE.blocks, key) as Buffer);
      value[100] = (value[100] as number) ^ 1;
      tx.put(TABLE.blocks, key, value);
    },
    /format block block: EIO @ blocks inode \d+ block 1 layer/,
  ],
  [
    'the checksum of an entry',
    (tx, { one }) => tx.put(TABLE.entries, nameKey(ROOT_INODE, 'small', one), Buffer.alloc(16)),
    /format directory entry/,
  ],
  [
    'the checksum of an attribute',
    (tx, { f, one }) => tx.put(TABLE.attributes, xattrKey(1, f, 'user.a', one), block(1)),
    /format extended attribute/,
  ],
  [
    'an orphan that is neither',
    (tx, { f, live }) => tx.put(TABLE.orphans, inodeKey(1, f, live), Buffer.of(7)),
    /format the value is neither orphan nor reaped/,
  ],
  [
    'a block longer than a block',
    (tx, { f, one }) => tx.put(TABLE.blocks, blockKey(1, f, 0, one, 1), block(5000)),
    /format the block has 5000 bytes/,
  ],
  [
    'D1: a record of a layer that does not exist',
    (tx, { f }) => tx.put(TABLE.orphans, inodeKey(1, f, 999), encodeOrphan(false)),
    /D1 the layer 999 does not exist/,
  ],
  [
    'F4: a wrong name hash',
    (tx, { f, live }) =>
      tx.put(
        TABLE.entries,
        entryKey(1, ROOT_INODE, 99, 'other', live),
        encodeEntry({ ino: f, type: 8, fresh: true }),
      ),
    /format the hash is not the hash of the name/,
  ],
  [
    'a key that is too short',
    (tx) => tx.putRecord(TABLE.inodes, Buffer.alloc(5), Buffer.alloc(5)),
    /format the key has a wrong length/,
  ],
  [
    'a fileset that does not exist',
    (tx, { live }) => tx.put(TABLE.orphans, inodeKey(9, 5, live), encodeOrphan(false)),
    /format the fileset does not exist/,
  ],
  [
    'a name of an inode that does not exist',
    (tx, { live }) =>
      tx.put(
        TABLE.entries,
        nameKey(ROOT_INODE, 'ghost', live),
        encodeEntry({ ino: 2 * 2 ** 40 + 3000, type: 8, fresh: true }),
      ),
    /V1 the inode 2199023258552 does not exist @ the live tree, directory 1, name ghost/,
  ],
  [
    'a name with another type than its inode',
    (tx, { after, live }) =>
      tx.put(
        TABLE.entries,
        nameKey(ROOT_INODE, 'after', live),
        encodeEntry({ ino: after, type: 4, fresh: true }),
      ),
    /V1 the type is 4 here and 8 in the inode/,
  ],
  [
    'a name that the inode does not know',
    (tx, { after, live }) =>
      tx.put(
        TABLE.entries,
        nameKey(ROOT_INODE, 'second', live),
        encodeEntry({ ino: after, type: 8, fresh: true }),
      ),
    /V1 the inode \d+ does not know this name @ .* name second/,
  ],
  [
    'a name that was lost',
    (tx, { live }) => tx.del(TABLE.entries, nameKey(ROOT_INODE, 'after', live)),
    /V1 the name after in directory 1 does not exist @ .*path \/after/,
  ],
  [
    'a name in a file',
    (tx, { after, small, live }) => {
      const value = encodeEntry({ ino: after, type: 8, fresh: true });
      tx.put(TABLE.entries, nameKey(small, 'x', live), value);
    },
    /V1 the parent is not a directory/,
  ],
  [
    'too many links',
    (tx, { after, live }) => changeInode(tx, after, live, (inode) => (inode.nlink = 3)),
    /V1 it counts 3 links and has 1 names/,
  ],
  [
    'too few links',
    (tx, { small, one }) => changeInode(tx, small, one, (inode) => (inode.nlink = 1)),
    /V1 it counts 1 links and has 2 names @ snapshot one/,
  ],
  [
    'links of a directory',
    (tx, { d, one }) => changeInode(tx, d, one, (inode) => (inode.nlink = 7)),
    /V1 it counts 7 links instead of 3 @ snapshot one, inode \d+, path \/d/,
  ],
  [
    'a directory that is in itself',
    (tx, { d, live }) => {
      const inode = new Inode(d);
      inode.mode = 0o40755;
      inode.nlink = 2;
      inode.links = [{ parent: d, name: 'loop' }];
      inode.birthLayer = live;
      tx.put(TABLE.inodes, inodeKey(1, d, live), encodeInode(inode));
      const value = encodeEntry({ ino: d, type: 4, fresh: true });
      tx.put(TABLE.entries, nameKey(d, 'loop', live), value);
    },
    /V1 the directories form a loop|is in itself/,
  ],
  [
    'D5: no links and no orphan',
    (tx, { after, live }) => changeInode(tx, after, live, (inode) => (inode.nlink = 0)),
    /D5 it has no links and is no orphan/,
  ],
  [
    'D5: an orphan with links',
    (tx, { after, live }) => tx.put(TABLE.orphans, inodeKey(1, after, live), encodeOrphan(true)),
    /D5 an orphan has links/,
  ],
  [
    'D5: an orphan that does not exist',
    (tx, { live }) => tx.put(TABLE.orphans, inodeKey(1, 888, live), encodeOrphan(true)),
    /D5 an orphan does not exist/,
  ],
  [
    'D5: an inode was lost without its names',
    (tx, { d, live }) => tx.put(TABLE.inodes, inodeKey(1, d, live), encodeGoneInode()),
    /V1 the name f lies in the removed directory \d+/,
  ],
  [
    'D5: blocks that belong to nothing',
    (tx, { live }) => tx.put(TABLE.blocks, blockKey(1, 2 * 2 ** 40 + 3, 0, live, 1), block(9)),
    /D5 the record belongs to no inode and is not to be collected/,
  ],
  [
    'D4: a block beyond the end',
    (tx, { f, one }) => tx.put(TABLE.blocks, blockKey(1, f, 9, one, 1), block(10)),
    /D4 block 9 lies beyond the end, 10000/,
  ],
  [
    'D4: bytes beyond the end',
    (tx, { f, one }) => tx.put(TABLE.blocks, blockKey(1, f, 2, one, 1), block(3000)),
    /D4 block 2 has 3000 bytes, the file ends after 1808/,
  ],
  [
    'D4: a block that nobody looks for',
    (tx, { f, one }) => changeInode(tx, f, one, (inode) => (inode.dataLayer = 0)),
    /V1 block 0 is there, and the inode has no data layer/,
  ],
  [
    'D4: clips that do not fall',
    (tx, { f, one }) =>
      changeInode(tx, f, one, (inode) => {
        inode.clips = [
          { layer: one, step: 3, size: 10 },
          { layer: one, step: 2, size: 20 },
        ];
      }),
    /D4 the sizes of the clips do not fall/,
  ],
  [
    'D4: clips out of order, of a layer above',
    (tx, { f, one }) =>
      changeInode(tx, f, one, (inode) => {
        inode.clips = [
          { layer: one, step: 2, size: 20 },
          { layer: one + 1, step: 2, size: 10 },
        ];
      }),
    /D4 the clips are not in order/,
  ],
  [
    'F1: a data layer above the inode',
    (tx, { f, one, live }) => changeInode(tx, f, one, (inode) => (inode.dataLayer = live)),
    /F1 the data layer \d+ is not below the inode/,
  ],
  [
    'fields that can not be',
    (tx, { after, live }) =>
      changeInode(tx, after, live, (inode) => {
        inode.mtimeNs = 1e9;
        inode.allocated = 1e12;
      }),
    /format a time has 1000000000 nanoseconds[\s\S]*allocated for/,
  ],
  [
    'a symbolic link without a target',
    (tx, { link, one }) => changeInode(tx, link, one, (inode) => (inode.target = undefined)),
    /format a symbolic link has no target/,
  ],
  [
    'F2: fresh above an older name',
    (tx, { live, small }) => {
      const value = encodeEntry({ ino: small, type: 8, fresh: true });
      tx.put(TABLE.entries, nameKey(ROOT_INODE, 'small', live), value);
    },
    /F2 a name that is not new is called new/,
  ],
  [
    'D6: counters below what was given out',
    (tx) => {
      tx.put(TABLE.meta, meta('nextInode'), encodeJson({ 2: 1 }));
      tx.put(TABLE.meta, meta('nextLayer'), encodeJson(2));
      tx.put(TABLE.meta, meta('nextHistory'), encodeJson(1));
    },
    /D6 the number is not below the counter 2[\s\S]*D8 the counter 1 [\s\S]*D6 the counter 1 of alloc/,
  ],
  [
    'D8: a gap in the history',
    (tx) => tx.del(TABLE.history, layerKey(2)),
    /D8 the record 2 is missing before it @ history 3/,
  ],
  [
    'JSON that is none',
    (tx) => tx.put(TABLE.history, layerKey(1), Buffer.from('{')),
    /D8 JSON record history 1: EIO/,
  ],
  [
    'D12: a layer without its parent',
    (tx, { live }) => changeJson(tx, TABLE.layers, layerKey(live), { parent: 555 }),
    /D12 the parent 555 does not exist/,
  ],
  [
    'D12: layers in a circle',
    (tx, { one, two }) => changeJson(tx, TABLE.layers, layerKey(one), { parent: two }),
    /D12 the parent \d+ is not older/,
  ],
  [
    'D12: no base layer',
    (tx) => tx.del(TABLE.layers, layerKey(1)),
    /D12 the base layer is missing/,
  ],
  [
    'D1: a snapshot of an open layer, two open layers',
    (tx, { one }) => changeJson(tx, TABLE.layers, layerKey(one), { state: 'open' }),
    /D1 the branch has two open layers[\s\S]*D1 its layer \d+ is open/,
  ],
  [
    'D7: a fileset without its open layer',
    (tx, { one }) => changeJson(tx, TABLE.filesets, uint32Key(1), { openLayer: one }),
    /D7 the layer \d+ is not its open layer/,
  ],
  [
    'D7: a snapshot without its layer, two with one uuid',
    (tx) => {
      changeJson(tx, TABLE.snapshots, Buffer.from('one'), { layer: 555 });
      const two = tx.get(TABLE.snapshots, Buffer.from('two')) as Buffer;
      tx.put(TABLE.snapshots, Buffer.from('copy'), Buffer.from(two));
    },
    /D7 its layer 555 does not exist[\s\S]*another snapshot has its uuid/,
  ],
  [
    'F5: work that would empty an inode in use',
    (tx, { after, live }) => tx.put(TABLE.reap, reapKey(1, after, live), Buffer.of(1)),
    /F5 an inode that is in use is to be emptied/,
  ],
  [
    'F5: work of no kind, for no layer',
    (tx, { after }) => tx.put(TABLE.reap, reapKey(1, after, 999), Buffer.of(9)),
    /format the value is not work[\s\S]*F5 the layer was never given out/,
  ],
  [
    'baseids of another allocator',
    (tx) => tx.put(TABLE.baseids, Buffer.alloc(24), Buffer.alloc(8)),
    /D10 the number 0 is of another allocator/,
  ],
  [
    'no options, another format',
    (tx) => {
      tx.del(TABLE.meta, meta('options'));
      tx.put(TABLE.meta, meta('format'), encodeJson(0));
    },
    /the volume does not open[\s\S]*the format is 0[\s\S]*the options are missing/,
  ],
];

t.test('every damage is found', (t) => {
  const fixture = new VolumeFixture(t);
  fill(fixture);
  const known = know(fixture);
  fixture.close();
  const data = join(fixture.path, 'data.mdb');
  const whole = fs.readFileSync(data);
  for (const [what, damage, expected] of DAMAGES) {
    fixture.damage((tx) => damage(tx, known));
    const report = fixture.check();
    t.match(shown(report).join('\n'), expected, what);
    t.ok(report.count > 0);
    fs.writeFileSync(data, whole);
  }
  t.strictSame(shown(fixture.check()), [], 'and nothing is left of it');
  t.end();
});

/** Everything with a checksum or, for keys, the delta map behind it. */
function dump(path: string): string[] {
  const reader = StoreReader.open(path, { readOnly: true });
  const lines: string[] = [];
  for (const table of [1, 2, 3, 4, 5, 6] as TableNumber[]) {
    for (const { key, value } of reader.range(table, undefined, undefined)) {
      lines.push(`${table} ${key.toString('hex')} ${value.toString('hex')}`);
    }
  }
  reader.close();
  return lines;
}

t.test('flipped bytes: no crash, and a volume reported sound has its old content', (t) => {
  const fixture = new VolumeFixture(t);
  fill(fixture);
  for (let i = 0; i < 150; i++) fixture.write(`after-${i}`, text(10, String(i)));
  fixture.close();
  const data = join(fixture.path, 'data.mdb');
  const whole = fs.readFileSync(data);
  const before = dump(fixture.path);
  // A fixed sequence: the same bytes in every run, spread over pages and the parts of a page.
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  let found = 0;
  const pages = Math.floor(whole.length / 4096);
  for (let trial = 0; trial < 400; trial++) {
    const inPage = trial % 3 === 0 ? random(64) : random(4096);
    const offset = random(pages) * 4096 + inPage;
    const bytes = Buffer.from(whole);
    bytes[offset] = (bytes[offset] as number) ^ (1 << random(8));
    fs.writeFileSync(data, bytes);
    let report: CheckReport;
    try {
      report = fixture.check();
    } catch (error) {
      t.equal((error as { code?: string }).code, 'not-a-volume', String(error));
      found++;
      continue;
    }
    if (report.count > 0) found++;
    else {
      const known = new Set(before);
      const changed = dump(fixture.path).filter((line) => !known.has(line));
      if (changed.length > 0) t.fail(`byte ${offset} changed this unseen: ${changed.join()}`);
    }
  }
  t.ok(found > 50, `${found} of 400 flips were in use`);
  t.end();
});

t.test('a large value may lie on more pages than it needs, as LMDB leaves it', (t) => {
  const sizes = [
    [30_000, 100],
    [30_000, 5000],
    [30_000, 9000, 4000],
    [5000, 30_000, 20_000],
  ];
  const fixture = new VolumeFixture(t);
  fixture.damage((tx) => {
    for (const [n, lengths] of sizes.entries()) {
      for (const length of lengths) {
        tx.put(TABLE.meta, Buffer.from(`large${n}`), Buffer.alloc(length, 'x'));
      }
    }
  });
  t.same(checkPages(fixture.path).findings, []);
  const file = join(fixture.path, DATA_FILE);
  const whole = fs.readFileSync(file);
  // The first page of a run bears its length.
  const first = whole.indexOf('x'.repeat(4000)) & ~4095;
  const count = whole.readUInt32LE(first + 20);
  for (const wrong of [count - 1, count + 1, 0, 0xffff_ffff]) {
    const bytes = Buffer.from(whole);
    bytes.writeUInt32LE(wrong, first + 20);
    fs.writeFileSync(file, bytes);
    t.match(checkPages(fixture.path).findings, [
      { what: 'the page is not the large value it should be' },
    ]);
  }
  // Where the leaf says how long the run is.
  const place = Buffer.alloc(8);
  place.writeUIntLE(first / 4096, 0, 6);
  const length = Buffer.alloc(8);
  length.writeUIntLE(count, 0, 6);
  const at = placesOf(whole, place, length);
  t.ok(at.length > 0);
  for (const wrong of [0n, BigInt(count) + 1n, 2n ** 40n, 2n ** 64n - 1n]) {
    const bytes = Buffer.from(whole);
    for (const offset of at) bytes.writeBigUInt64LE(wrong, offset);
    fs.writeFileSync(file, bytes);
    t.not(checkPages(fixture.path).findings.length, 0, `${wrong} pages`);
  }
  fs.writeFileSync(file, whole);
  t.end();
});

/** Where the lengths of runs stand: behind the run's first page and a transaction. */
function placesOf(file: Buffer, first: Buffer, length: Buffer): number[] {
  const found: number[] = [];
  for (let at = file.indexOf(first); at >= 0; at = file.indexOf(first, at + 1)) {
    if (file.subarray(at + 16, at + 24).equals(length)) found.push(at + 16);
  }
  return found;
}

t.test('a newer format is no damage', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.damage((tx) => tx.put(TABLE.meta, meta('format'), encodeJson(99)));
  t.throws(() => fixture.check(), { code: 'newer-format' });
  t.end();
});

t.test('a truncated file, and one filled with nonsense', (t) => {
  const fixture = new VolumeFixture(t);
  fill(fixture);
  fixture.close();
  const data = join(fixture.path, 'data.mdb');
  const whole = fs.readFileSync(data);
  fs.writeFileSync(data, whole.subarray(0, 5 * 4096));
  t.match(shown(fixture.check()).join(), /store .* is damaged/);
  const nonsense = Buffer.from(whole);
  nonsense.fill(0xa5, 3 * 4096);
  fs.writeFileSync(data, nonsense);
  t.match(shown(fixture.check()).join(), /store/);
  fs.writeFileSync(data, 'nothing');
  t.match(shown(fixture.check()).join(), /store .* is damaged/);
  fs.rmSync(data);
  t.throws(() => fixture.check(), { code: 'not-a-volume' });
  t.end();
});

t.test('a base: clean, then changed underneath', (t) => {
  const fixture = new VolumeFixture(t, {}, (base) => {
    fs.mkdirSync(join(base, 'dir/deep'), { recursive: true });
    fs.writeFileSync(join(base, 'dir/file'), text(10_000));
    fs.writeFileSync(join(base, 'dir/deep/below'), 'below');
    fs.writeFileSync(join(base, 'gone'), 'gone');
    fs.linkSync(join(base, 'dir/file'), join(base, 'hard'));
    fs.symlinkSync('dir/file', join(base, 'link'));
  });
  t.strictSame(shown(fixture.check()), []);
  fixture.write('dir/file', 'changed', 4096);
  fixture.unlink('gone');
  fixture.save('one');
  fixture.write('dir/deep/below', 'more', 5);
  fixture.rename('dir', 'renamed');
  fixture.write('renamed/deep/new', 'new');
  fixture.mkdir('renamed/sub');
  fixture.unlink('hard');
  fixture.save('two');
  fixture.unlink('renamed/deep/below');
  fixture.unlink('renamed/deep/new');
  fixture.rmdir('renamed/deep');
  t.strictSame(shown(fixture.check()), []);
  fixture.collect();
  fixture.close();
  t.strictSame(shown(fixture.check()), []);
  t.match(fixture.check().counted, { views: 3 });
  fs.appendFileSync(join(fixture.basePath, 'dir/file'), 'underneath');
  fs.rmSync(join(fixture.basePath, 'dir/deep'), { recursive: true });
  const report = fixture.check();
  t.match(shown(report).join('\n'), /base D10 the base file has changed @ .*base path dir\/file/);
  t.match(shown(report).join('\n'), /base D10 the base file is not there any more @ .*deep\/below/);
  t.notMatch(shown(report).join('\n'), /damage/);
  t.end();
});

t.test('without its base directory a volume is checked as far as possible', (t) => {
  const fixture = new VolumeFixture(t, {}, (base) => {
    fs.mkdirSync(join(base, 'dir'));
    fs.writeFileSync(join(base, 'dir/file'), 'x');
  });
  fixture.write('dir/file', 'y');
  fixture.write('dir/other', 'z');
  fixture.save('one');
  fixture.close();
  t.strictSame(shown(checkVolumeAt({ path: fixture.path })), []);
  t.end();
});

t.test('progress is reported rarely, and up to the end; findings are bounded', (t) => {
  const fixture = new VolumeFixture(t);
  for (let i = 0; i < 1500; i++) fixture.write(`f${i}`, 'x');
  fixture.flush();
  const live = fixture.volume.live.top;
  fixture.close();
  const told: number[] = [];
  checkVolumeAt({ path: fixture.path }, { onProgress: (done, total) => told.push(done / total) });
  t.ok(told.length < 100);
  t.equal(told.at(-1), 1);
  t.ok(told.every((part, i) => i === 0 || part >= (told[i - 1] as number)));
  fixture.damage((tx) => {
    for (let i = 0; i < 1500; i++) tx.deleteRecord(TABLE.entries, nameKey(1, `f${i}`, live));
  });
  const report = fixture.check(false);
  t.ok(report.count >= 3000);
  t.equal(report.findings.length, MAX_FINDINGS);
  t.end();
});
