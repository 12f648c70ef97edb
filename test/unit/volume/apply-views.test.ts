/**
 * Rule A1: whatever an apply has done so far, each view reads what it read
 * before. Looked at after every piece of it.
 */
import { linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { contentOf } from '../../golden/content.js';
import { applying } from './apply-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

/** Files with several names, as the base has them. */
function fillBase(path: string): void {
  mkdirSync(join(path, 'd'));
  for (const name of ['b', 'two', 'three', 'd/moves']) {
    writeFileSync(join(path, name), name.repeat(100));
    linkSync(join(path, name), join(path, `d/other-of-${name.replace('/', '-')}`));
  }
}

function viewsStay(t: Test, change: (fixture: VolumeFixture) => void): void {
  const fixture = new VolumeFixture(t, {}, fillBase);
  // A file without a record is looked up by its path, and is of no interest here.
  for (const name of ['b', 'two', 'three', 'd/moves']) {
    fixture.volume.setAttributes(fixture.at(name).ino, { mode: 0o640 });
  }
  fixture.save('start');
  change(fixture);
  fixture.save('changed');
  const before = contentOf(fixture.volume).views;
  const work = applying(fixture);
  let turns = 0;
  for (let isDone = false; !isDone; turns++) {
    isDone = work.next().done === true;
    fixture.flush();
    const { views } = contentOf(fixture.volume);
    for (const [name, view] of Object.entries(before)) {
      if (JSON.stringify(views[name]) !== JSON.stringify(view)) {
        t.strictSame(views[name], view, `${name}, after piece ${turns}`);
        return;
      }
    }
  }
  t.ok(turns > 10, `${turns} pieces`);
  t.strictSame(fixture.check().findings, []);
}

t.test('a new file takes one of the names of another one', (t) => {
  viewsStay(t, (fixture) => {
    fixture.write('new', 'new');
    fixture.rename('new', 'b');
  });
  t.end();
});

t.test('names are taken, given and moved at once', (t) => {
  viewsStay(t, (fixture) => {
    fixture.write('new', 'new');
    fixture.link('b', 'third-of-b');
    fixture.rename('new', 'b');
    fixture.rename('two', 'three');
    fixture.rename('d/other-of-three', 'two');
    fixture.unlink('d/other-of-two');
    fixture.mkdir('e');
    fixture.rename('d/moves', 'e/moves');
    fixture.rename('d', 'e/d');
    fixture.write('e/d/other-of-b', 'more', 50);
  });
  t.end();
});
