/**
 * Made the volumes in v1/, which every later version must open. It is kept to
 * say what they hold; run again it would write what the format is *now*, so
 * run it only while format 1 is not released:
 *
 *   node --import @tapjs/typescript/import test/golden/make-v1.ts --anew && npm run format
 *
 * - plain: all kinds of files; names of 1 and 255 bytes and of bytes that are
 *   no UTF-8; 70 hard links; files that were cut, extended and cut again (clips,
 *   more than the eight that are kept, holes); attributes, one removed; a file
 *   removed while open; snapshots of both kinds, one deleted and collected.
 * - compressed: blocks as LZ4.
 * - based: records over a base that is not there any more: a file of which one
 *   block was written, a renamed directory, whiteouts, a base link.
 *
 * Beside each volume lies what it shows (content.ts).
 */
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { readMeta } from '../../src/store/mdb/file.js';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFREG, S_IFSOCK } from '../../src/lib/file-mode.js';
import { allocate } from '../../src/tree/live/space.js';
import { held, VolumeFixture, WHO } from '../unit/volume/volume-fixture.js';
import { contentOf } from './content.js';

const target = join(dirname(fileURLToPath(import.meta.url)), 'v1');
const done: (() => void)[] = [];
const teardown = { teardown: (body: () => void) => done.push(body) };

/** Bytes that don't compress to nothing, the same every time. */
function bytes(length: number, seed: number): Buffer {
  const out = Buffer.alloc(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    out[i] = i % 8 < 6 ? seed : state >>> 24;
  }
  return out;
}

function store(fixture: VolumeFixture, name: string, withViews = true): void {
  fixture.flush();
  const content = contentOf(fixture.volume, withViews);
  const report = fixture.check();
  if (report.count > 0) throw new Error(JSON.stringify(report.findings));
  fixture.close();
  const path = join(fixture.path, 'data.mdb');
  const fd = fs.openSync(path, 'r');
  const meta = readMeta(fd);
  fs.closeSync(fd);
  const end = ((meta?.lastPage ?? 0) + 1) * (meta?.pageBytes ?? 0);
  fs.mkdirSync(target, { recursive: true });
  const data = fs.readFileSync(path).subarray(0, end);
  fs.writeFileSync(join(target, `${name}.mdb.gz`), gzipSync(data, { level: 9 }));
  fs.writeFileSync(join(target, `${name}.json`), `${JSON.stringify(content, null, 2)}\n`);
}

function plain(): void {
  const fixture = new VolumeFixture(teardown);
  const { volume } = fixture;
  fixture.mkdir('directory');
  fixture.mkdir('directory/deep');
  fixture.write('directory/deep/file', bytes(10_000, 1));
  fixture.write('a', 'a');
  fixture.write('n'.repeat(255), 'long name');
  fixture.write('\xff\xfe not utf-8', 'bytes');
  fixture.write('f\xc3\xbcr', 'utf-8');
  fixture.symlink('link', 'directory/deep');
  for (const [name, type, rdev] of [
    ['fifo', S_IFIFO, 0],
    ['socket', S_IFSOCK, 0],
    ['character', S_IFCHR, 0x103],
    ['block', S_IFBLK, 0x801],
  ] as const) {
    volume.create(WHO, 1, name, { mode: type | 0o640, rdev });
  }
  fixture.write('hard', 'linked');
  fixture.mkdir('links');
  for (let i = 0; i < 70; i++) fixture.link('hard', `links/${i}`);
  const { ino } = fixture.at('a');
  volume.xattrs.set(ino, 'user.kept', Buffer.from('kept'), 0);
  volume.xattrs.set(ino, 'user.removed', Buffer.from('removed'), 0);
  volume.xattrs.set(ino, 'user.large', bytes(5000, 3), 0);
  volume.setAttributes(ino, { uid: 1000, gid: 100, mode: 0o4711, atime: { s: -5, ns: 7 } });
  fixture.write('cut', bytes(40_000, 4));
  fixture.write('sparse', 'end', 30_000);
  fixture.write('held', 'held while open');
  fixture.save('first');
  volume.xattrs.remove(ino, 'user.removed');
  fixture.truncate('cut', 0);
  fixture.write('cut', bytes(8000, 5), 20_000);
  fixture.rename('directory/deep', 'moved');
  fixture.unlink('held', held);
  fixture.unlink('links/7');
  fixture.save('second');
  fixture.truncate('cut', 18_000);
  fixture.truncate('cut', 25_000);
  for (let size = 24_000; size > 2000; size -= 2000) {
    fixture.truncate('cut', 40_000);
    fixture.write('cut', bytes(3000, size), size);
    fixture.truncate('cut', size + 500);
  }
  allocate(volume, fixture.at('moved/file').ino, 4096, 4096, 3);
  fixture.save('third');
  fixture.write('a', 'wreck');
  fixture.unlink('link');
  fixture.save('to be deleted');
  fixture.write('a', 'more wreck');
  fixture.volume.deleteSnapshot('to be deleted', 'test');
  fixture.restore('second');
  fixture.write('after', 'after the restore');
  fixture.collect();
  store(fixture, 'plain');
}

function compressed(): void {
  const fixture = new VolumeFixture(teardown, { compression: true, blockSize: 32_768 });
  fixture.write('file', Buffer.alloc(200_000, 'compresses well '));
  fixture.write('random', bytes(50_000, 9));
  fixture.save('one');
  fixture.write('file', 'changed', 100_000);
  store(fixture, 'compressed');
}

function based(): void {
  const fixture = new VolumeFixture(teardown, {}, (base) => {
    fs.mkdirSync(join(base, 'dir/sub'), { recursive: true });
    fs.writeFileSync(join(base, 'dir/large'), bytes(50_000, 2));
    fs.writeFileSync(join(base, 'dir/sub/file'), 'file');
    fs.writeFileSync(join(base, 'gone'), 'gone');
    fs.symlinkSync('dir', join(base, 'link'));
  });
  fixture.save('untouched');
  fixture.write('dir/large', 'one block', 9000);
  fixture.rename('dir', 'renamed');
  fixture.unlink('gone');
  fixture.rename('link', 'renamed/link');
  fixture.save('changed');
  fixture.truncate('renamed/large', 5000);
  fixture.volume.create(WHO, 1, 'own', { mode: S_IFREG | 0o600 });
  store(fixture, 'based', false);
}

// Whatever runs all files of a directory must not make them anew.
if (process.argv.includes('--anew')) {
  plain();
  compressed();
  based();
  for (const body of done) body();
}
