/** Files of the base with several names, of which their records may know none. */
import { linkSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { applyAll } from './apply-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

function fillBase(path: string): void {
  mkdirSync(join(path, 'd'));
  writeFileSync(join(path, 'd/one'), 'content');
  linkSync(join(path, 'd/one'), join(path, 'other'));
}

t.test('changed again after an apply', (t) => {
  const fixture = new VolumeFixture(t, {}, fillBase);
  const { volume } = fixture;
  const { ino } = fixture.at('other');
  volume.setAttributes(ino, { mode: 0o600 });
  // The one name that the record knows goes; the base has the other one.
  fixture.unlink('other');
  applyAll(fixture);
  const inBase = join(fixture.basePath, 'd/one');
  for (const mode of [0o640, 0o604, 0o755]) {
    volume.setAttributes(ino, { mode });
    applyAll(fixture);
    t.equal(statSync(inBase).mode & 0o777, mode);
  }
  for (const text of ['CONTENT', 'other text']) {
    volume.write(ino, 0, Buffer.from(text));
    applyAll(fixture);
    t.equal(readFileSync(inBase, 'utf8'), text);
  }
  t.strictSame(fixture.check().findings, []);
  t.end();
});
