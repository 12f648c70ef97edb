/** Names and inodes that are read many at once are those that are read one by one. */
import { crc32 } from 'node:zlib';
import t, { type Test } from 'tap';
import { CorruptionError } from '../../../src/lib/errors.js';
import { int64At, uint48At, uint64At } from '../../../src/format/big-endian.js';
import { checksum } from '../../../src/format/checksum.js';
import { decodeInode } from '../../../src/format/records/inode-record.js';
import {
  directoryPrefix,
  entryHashOf,
  entryKey,
  entryNameOf,
} from '../../../src/format/records/keys.js';
import {
  inodePlace,
  placeOf,
  PLACE_INODE_LENGTH,
  prefixEnd,
} from '../../../src/format/records/keys.js';
import { nameHash } from '../../../src/format/records/name-hash.js';
import { ROOT_INODE, TABLE } from '../../../src/format/records/tables.js';
import { decodeEntry } from '../../../src/format/records/values.js';
import { Inode } from '../../../src/volume/inode.js';
import { visitInodes } from '../../../src/volume/names/inode-reader.js';
import { type ListedName, StoredNames } from '../../../src/volume/names/directories.js';
import type { View } from '../../../src/volume/view.js';
import type { Volume } from '../../../src/volume/volume.js';
import { RandomHistory, randomOf } from '../volume/random-history.js';
import { VolumeFixture } from '../volume/volume-fixture.js';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
t.comment(`SEED=${SEED}`);

t.test('the checksum is zlib’s', async (t) => {
  const random = randomOf(SEED);
  for (let length = 0; length < 300; length++) {
    const bytes = Buffer.from(Array.from({ length: length + 7 }, () => random(256)));
    const start = random(7);
    t.equal(checksum(bytes, start, start + length), crc32(bytes.subarray(start, start + length)));
  }
});

t.test('numbers of 48 and 64 bits', async (t) => {
  const bytes = Buffer.alloc(9);
  for (const value of [
    0,
    1,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 47 + 5,
    2 ** 52 + 3,
  ]) {
    bytes.writeBigUInt64BE(BigInt(value), 1);
    t.equal(uint64At(bytes, 1), value);
    t.equal(int64At(bytes, 1), value);
    if (value < 2 ** 48) t.equal(uint48At(bytes, 3), value);
    bytes.writeBigInt64BE(BigInt(-value), 1);
    t.equal(int64At(bytes, 1) + 0, -value + 0);
  }
});

function summary({ layer, mode, nlink, size, ctimeS, ctimeNs, links }: Inode): string {
  return JSON.stringify({ layer, mode, nlink, size, ctimeS, ctimeNs, links });
}

/** Of each number below `limit` that has one, the newest record's inode. */
function oneByOne(volume: Volume, view: View, limit: number): Map<number, string> {
  const found = new Map<number, string>();
  for (const ino of numbers(limit)) {
    const version = volume.core.newest(TABLE.inodes, inodePlace(view.fileset, ino), view);
    if (version === undefined) continue;
    const inode = new Inode(ino);
    const isThere = decodeInode(version.value, inode, () => 'test');
    inode.layer = version.layer;
    found.set(ino, isThere ? summary(inode) : 'gone');
  }
  return found;
}

const LOCAL = 2 * 2 ** 40;

function numbers(limit: number): number[] {
  return [ROOT_INODE, ...Array.from({ length: limit }, (_, i) => LOCAL + i)];
}

function compareInodes(t: Test, volume: Volume, view: View, random: (n: number) => number) {
  const expected = oneByOne(volume, view, 120);
  for (const share of [1, 2, 5, 20]) {
    const chosen = numbers(120).filter(() => random(share) === 0);
    // As when a file has several names in the directory.
    const inos = chosen.flatMap((ino) => (random(4) === 0 ? [ino, ino] : [ino]));
    const found = new Map<number, string>();
    visitInodes(volume.core.reader, view, inos, (ino, layer, { value, valueLength }) => {
      const inode = new Inode(ino);
      const isThere = decodeInode(value, inode, () => 'test', valueLength);
      inode.layer = layer;
      found.set(ino, isThere ? summary(inode) : 'gone');
    });
    const wanted = [...expected].filter(([ino]) => inos.includes(ino));
    t.strictSame([...found], wanted, `one in ${share} at layer ${view.top}`);
  }
}

function compareNames(t: Test, volume: Volume, view: View, directory: number, from: number) {
  const { reader } = volume.core;
  const start = directoryPrefix(view.fileset, directory, from);
  const end = prefixEnd(start.subarray(0, PLACE_INODE_LENGTH));
  const expected: ListedName[] = [];
  for (const { key } of reader.range(TABLE.entries, start, end, { keysOnly: true })) {
    const place = placeOf(TABLE.entries, key);
    const [hash, name] = [entryHashOf(place), entryNameOf(place)];
    const version = volume.core.newest(TABLE.entries, place, view);
    if (version === undefined || expected.at(-1)?.name === name) continue;
    const { ino, type } = decodeEntry(version.value, () => 'test');
    expected.push({ hash, name, ino, type });
  }
  const found: ListedName[] = [];
  const batched: ListedName[] = [];
  const names = new StoredNames(reader, view, directory, from, (batch) => batched.push(...batch));
  for (let name = names.next(); name !== undefined; name = names.next()) found.push(name);
  t.strictSame(found, expected, `names of ${directory} at layer ${view.top}`);
  t.strictSame(batched, expected);
}

function views(volume: Volume): View[] {
  return [volume.live, ...volume.snapshots().map((snapshot) => volume.viewOf(snapshot))];
}

t.test('random histories', async (t) => {
  for (const seed of [SEED]) {
    const fixture = new VolumeFixture(t);
    const history = new RandomHistory(fixture, seed);
    for (let i = 0; i < 200; i++) history.step();
    fixture.flush();
    const { volume } = fixture;
    const random = randomOf(seed);
    for (const view of views(volume)) {
      compareInodes(t, volume, view, random);
      for (const ino of numbers(120)) {
        const from = random(2) === 0 ? 0 : nameHash(['a', 'd', 'g'][random(3)] as string);
        if (volume.inode(view, ino)?.isDirectory) compareNames(t, volume, view, ino, from);
      }
    }
    t.strictSame(fixture.check().findings, []);
  }
});

t.test('runs of foreign and of older versions, and directories of many batches', async (t) => {
  const fixture = new VolumeFixture(t);
  const { volume } = fixture;
  fixture.mkdir('d');
  for (let i = 0; i < 300; i++) fixture.write(`d/f${i}`, '');
  fixture.save('s');
  const change = (round: number): void => {
    for (const i of [3, 4, 5, 60, 61, 299]) {
      volume.setAttributes(fixture.at(`d/f${i}`).ino, { mode: 0o400 + round });
      fixture.rename(`d/f${i}`, `d/g${i}`);
      fixture.rename(`d/g${i}`, `d/f${i}`);
    }
  };
  // Abandoned layers, each with versions that only its own undo snapshot sees.
  for (let round = 0; round < 12; round++) {
    change(round);
    fixture.write(`d/new${round}`, '');
    fixture.restore('s');
  }
  // A straight line of versions.
  for (let round = 0; round < 12; round++) {
    change(round);
    fixture.save(`straight-${round}`);
  }
  const random = randomOf(SEED);
  const directory = fixture.at('d').ino;
  for (const view of views(volume)) {
    compareInodes(t, volume, view, random);
    compareNames(t, volume, view, directory, 0);
    compareNames(t, volume, view, directory, nameHash('f100'));
  }
  t.strictSame(fixture.check().findings, []);
});

t.test('a listing brings the inodes on request', async (t) => {
  const fixture = new VolumeFixture(t);
  fixture.mkdir('d');
  for (let i = 0; i < 40; i++) fixture.write(`d/f${i}`, 'x'.repeat(i));
  fixture.flush();
  fixture.close();
  const { volume } = fixture;
  volume.setAttributes(fixture.at('d/f7').ino, { mode: 0o600 });
  const directory = fixture.at('d');
  const sizes = (withInodes: boolean): number[] => {
    const found: number[] = [];
    const visit = (_name: string, ino: number): boolean => {
      const inode = volume.live.cache.get(ino);
      if (inode) found.push(inode.size);
      return true;
    };
    volume.list(volume.live, directory, 0, visit, withInodes);
    return found.sort((a, b) => a - b);
  };
  t.strictSame(sizes(false), [7], 'only the one that was looked up');
  t.strictSame(
    sizes(true),
    Array.from({ length: 40 }, (_, i) => i),
  );
  t.equal(fixture.at('d/f7').mode & 0o777, 0o600, 'what has changed in memory counts');
});

t.test('a damaged record is an error only for its own place', async (t) => {
  const fixture = new VolumeFixture(t);
  fixture.mkdir('d');
  for (let i = 0; i < 6; i++) fixture.write(`d/f${i}`, 'x');
  fixture.flush();
  const directory = fixture.at('d').ino;
  const inos = [0, 1, 2, 3, 4, 5].map((i) => fixture.at(`d/f${i}`).ino);
  const broken = inos[2] as number;
  const names: string[] = [];
  const listAll = (): void => {
    const { volume } = fixture;
    names.length = 0;
    const visit = (name: string): boolean => names.push(name) > 0;
    volume.list(volume.live, volume.inode(volume.live, directory) as Inode, 0, visit, true);
  };
  fixture.damage((tx) => {
    const [found] = [...tx.range(TABLE.inodes, inodePlace(1, broken), inodePlace(1, broken + 1))];
    if (found === undefined) throw new Error('a record');
    found.value[10] = (found.value[10] as number) ^ 1;
    tx.put(TABLE.inodes, found.key, found.value);
  });
  listAll();
  t.equal(names.length, 6);
  const { live } = fixture.volume;
  for (const ino of inos) {
    if (ino === broken) t.throws(() => fixture.volume.inode(live, ino), CorruptionError);
    else t.equal(fixture.volume.inode(live, ino)?.size, 1);
  }
  const third = names[2] as string;
  fixture.damage((tx) => {
    const prefix = entryKey(1, directory, nameHash(third), third, 0).subarray(0, -6);
    const [found] = [...tx.range(TABLE.entries, prefix, prefixEnd(prefix))];
    if (found === undefined) throw new Error('a record');
    tx.put(TABLE.entries, found.key, found.value.subarray(1));
  });
  const before = names.slice(0, 2);
  t.throws(listAll, CorruptionError);
  t.strictSame(names, before, 'the names before it are given out');
});

t.test('no other read is allowed in a walk', async (t) => {
  const fixture = new VolumeFixture(t);
  fixture.write('f', 'x');
  fixture.flush();
  const { core } = fixture.volume;
  const start = inodePlace(1, 0);
  const end = inodePlace(1, 2 ** 50);
  const during = (body: () => unknown): void =>
    core.reader.visit(TABLE.inodes, start, end, () => {
      body();
      return true;
    });
  t.throws(() => during(() => core.reader.get(TABLE.meta, start)), /walk/);
  t.throws(() => during(() => core.reader.seek(TABLE.inodes, start, end)), /walk/);
  t.throws(() => during(() => during(() => 0)), /walk/);
  let records = 0;
  during(() => records++);
  t.equal(records, 2, 'and the next one works');
});
