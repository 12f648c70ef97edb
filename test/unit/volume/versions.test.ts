/** `versions`: one file through all snapshots, followed by its inode. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Version, versionsOf } from '../../../src/volume/snapshots/file-versions.js';
import { VolumeFixture } from './volume-fixture.js';

function shown({ snapshots, isLive, path, size }: Version): string {
  return `${[...snapshots, ...(isLive ? ['live'] : [])].join('+')}: ${path} ${size}`;
}

t.test('equal ones are merged, renames followed, absence separates', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.save('before');
  const ino = fixture.write('file', 'one');
  fixture.save('a');
  fixture.save('b');
  fixture.write('file', 'longer');
  fixture.mkdir('dir');
  fixture.save('c');
  fixture.rename('file', 'dir/renamed');
  fixture.save('d');
  fixture.rename('dir', 'moved');
  fixture.save('e');
  fixture.unlink('moved/renamed');
  fixture.save('gone');
  const { volume } = fixture;
  t.strictSame(versionsOf(volume, ino).map(shown), [
    'a+b: file 3',
    'c: file 6',
    'd: dir/renamed 6',
    'e: moved/renamed 6',
  ]);
  fixture.restore('c');
  const versions = versionsOf(fixture.volume, ino);
  t.strictSame(versions.map(shown), [
    'a+b: file 3',
    'c: file 6',
    'd: dir/renamed 6',
    'e: moved/renamed 6',
    'live: file 6',
  ]);
  t.equal(versions[1]?.layer, fixture.view('c').top);
  t.equal(versions[0]?.mtimeS, fixture.at('file', fixture.view('a')).mtimeS);
  t.strictSame(versionsOf(volume, 12345), [], 'a number that never was');
  t.end();
});

t.test('the live tree alone; a collected history', (t) => {
  const fixture = new VolumeFixture(t);
  const ino = fixture.write('file', 'x');
  fixture.flush();
  t.strictSame(versionsOf(fixture.volume, ino).map(shown), ['live: file 1']);
  for (const name of ['a', 'b', 'c']) {
    fixture.write('other', name);
    fixture.save(name);
  }
  fixture.volume.deleteSnapshot('a', 'test');
  fixture.volume.deleteSnapshot('b', 'test');
  fixture.flush();
  fixture.collect();
  t.strictSame(versionsOf(fixture.volume, ino).map(shown), ['c+live: file 1']);
  t.end();
});

t.test('a base file: untouched, written, removed', (t) => {
  const fixture = new VolumeFixture(t, {}, (base) => {
    fs.mkdirSync(join(base, 'dir'));
    fs.writeFileSync(join(base, 'dir/file'), 'base');
  });
  fixture.save('untouched');
  const { ino } = fixture.at('dir/file');
  t.strictSame(versionsOf(fixture.volume, ino).map(shown), ['untouched+live: dir/file 4']);
  fixture.rename('dir', 'moved');
  fixture.save('renamed');
  fixture.write('moved/file', 'longer than base');
  fixture.save('written');
  fixture.unlink('moved/file');
  fixture.flush();
  fixture.close();
  t.strictSame(versionsOf(fixture.volume, ino).map(shown), [
    'untouched: dir/file 4',
    'renamed: moved/file 4',
    'written: moved/file 16',
  ]);
  t.equal(versionsOf(fixture.volume, ino)[0]?.layer, 0);
  t.end();
});
