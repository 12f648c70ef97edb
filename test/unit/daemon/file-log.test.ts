/** `log`: which commands changed a file. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { fileLog, type LogEntry } from '../../../src/daemon/commands/file-log.js';
import { applyAll } from '../volume/apply-fixture.js';
import { VolumeFixture } from '../volume/volume-fixture.js';

function shown({ command, name, change, oldPath, path, details = [] }: LogEntry): string {
  const from = oldPath === undefined ? '' : `${oldPath} -> `;
  const what = details.length === 0 ? '' : ` (${details.join()})`;
  return `${command ?? 'now'} ${name?.replace(/^undo-.*/, 'undo') ?? '-'}: ${change} ${from}${path}${what}`;
}

function log(fixture: VolumeFixture, path: string): string[] {
  fixture.flush();
  return fileLog(fixture.volume, path).map(shown);
}

t.test('saves, restores and what is not saved', async (t) => {
  const fixture = new VolumeFixture(t);
  fixture.mkdir('dir');
  fixture.save('before');
  fixture.write('dir/f', 'one');
  fixture.save('a');
  fixture.write('other', 'x');
  fixture.save('untouched');
  fixture.write('dir/f', 'longer');
  fixture.save('b');
  fixture.rename('dir/f', 'g');
  fixture.save('c');
  t.strictSame(log(fixture, 'g'), [
    'save a: added dir/f',
    'save b: changed dir/f (content,times)',
    'save c: renamed dir/f -> g',
  ]);
  t.strictSame(log(fixture, 'other'), ['save untouched: added other']);
  fixture.write('g', 'not saved');
  t.strictSame(log(fixture, 'g').slice(3), ['now -: changed g (content,times)']);
  fixture.restore('a');
  t.strictSame(log(fixture, 'dir/f'), [
    'save a: added dir/f',
    'save b: changed dir/f (content,times)',
    'save c: renamed dir/f -> g',
    'now undo: changed g (content,times)',
    'restore a: renamed g -> dir/f (content,times)',
  ]);
  fixture.unlink('dir/f');
  t.strictSame(log(fixture, 'dir/f').slice(5), ['now -: removed dir/f']);
  t.strictSame(log(fixture, 'never'), []);
});

t.test('what a deleted snapshot stored belongs to the next one', async (t) => {
  const fixture = new VolumeFixture(t);
  fixture.save('empty');
  fixture.write('f', 'one');
  fixture.save('a');
  fixture.write('f', 'other');
  fixture.save('b');
  fixture.volume.deleteSnapshot('a', 'test');
  fixture.flush();
  fixture.collect();
  t.strictSame(log(fixture, 'f'), ['save b: added f']);
});

t.test('files of the base', async (t) => {
  const fixture = new VolumeFixture(t, {}, (base) => {
    fs.mkdirSync(join(base, 'dir'));
    for (const name of ['f', 'dir/g']) fs.writeFileSync(join(base, name), 'base');
  });
  fixture.save('a');
  fixture.write('f', 'new');
  fixture.save('b');
  t.strictSame(log(fixture, 'f'), ['save a: added f', 'save b: changed f (content,times)']);
  t.strictSame(log(fixture, 'dir/g'), ['save a: added dir/g'], 'never touched');
});

t.test('applies that changed the file in the base', async (t) => {
  const fixture = new VolumeFixture(t, {}, (base) => {
    fs.mkdirSync(join(base, 'dir'));
    for (const name of ['f', 'dir/g', 'dir/h']) fs.writeFileSync(join(base, name), 'base');
  });
  fixture.at('dir/h');
  fixture.write('f', 'new!');
  fixture.write('made', 'made');
  fixture.save('a');
  applyAll(fixture);
  fixture.write('dir/g', 'part');
  fixture.write('f', 'more');
  applyAll(fixture, ['dir']);
  fixture.unlink('made');
  fixture.save('b');
  applyAll(fixture);
  t.strictSame(log(fixture, 'f'), [
    'save a: added f',
    'apply -: applied f (content,times)',
    'save b: changed f (content,times)',
    'apply -: applied f (content,times)',
  ]);
  t.strictSame(
    log(fixture, 'dir/g').filter((line) => line.includes('apply')),
    ['apply -: applied dir/g (content,times)'],
    'by the apply of its directory alone',
  );
  t.strictSame(
    log(fixture, 'made').map((line) => line.replace(/ \(.*/, '')),
    [
      'save a: added made',
      'apply -: applied made',
      'save b: removed made',
      'apply -: applied made',
    ],
  );
  t.strictSame(
    log(fixture, 'dir/h').filter((line) => line.includes('apply')),
    [],
  );
});
