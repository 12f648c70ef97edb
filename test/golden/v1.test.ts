/** Volumes of format 1, as they were stored once: they open, show the same, and go on. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import t from 'tap';
import { S_IFREG } from '../../src/lib/file-mode.js';
import { checkVolumeAt } from '../../src/check/check.js';
import { Volume } from '../../src/volume/volume.js';
import { contentOf, type VolumeContent } from './content.js';

const source = join(dirname(fileURLToPath(import.meta.url)), 'v1');
type Test = Pick<typeof t, 'teardown'>;

function unpack(t: Test, name: string): { path: string; expected: VolumeContent } {
  const path = fs.mkdtempSync(join(tmpdir(), 'shadowfs-golden-'));
  t.teardown(() => fs.rmSync(path, { recursive: true, force: true }));
  const data = gunzipSync(fs.readFileSync(join(source, `${name}.mdb.gz`)));
  fs.writeFileSync(join(path, 'data.mdb'), data);
  const text = fs.readFileSync(join(source, `${name}.json`), 'utf8');
  return { path, expected: JSON.parse(text) as VolumeContent };
}

for (const name of ['plain', 'compressed']) {
  t.test(`${name}: shows what it showed, can be written, restored and collected`, (t) => {
    const { path, expected } = unpack(t, name);
    t.strictSame(checkVolumeAt({ path }).findings, []);
    const volume = Volume.open({ path, writer: { kind: 'inline' } });
    t.strictSame(contentOf(volume), expected);
    const who = { uid: 0, gid: 0 };
    const { ino } = volume.create(who, 1, 'new', { mode: S_IFREG | 0o644 });
    volume.write(ino, 0, Buffer.from('written now'));
    volume.save('now', 'test');
    volume.flush();
    for (const { name: snapshot } of expected.snapshots) {
      volume.restore(snapshot, 'test');
      volume.flush();
      t.strictSame(contentOf(volume).views['live'], expected.views[snapshot], snapshot);
    }
    volume.close();
    t.strictSame(checkVolumeAt({ path }).findings, []);
    t.end();
  });
}

t.test('based: sound without its base, with its history', (t) => {
  const { path, expected } = unpack(t, 'based');
  t.strictSame(checkVolumeAt({ path }).findings, []);
  const volume = Volume.open({ path, reattach: true, writer: { kind: 'none' } });
  const { snapshots, history } = contentOf(volume, false);
  t.strictSame(snapshots, expected.snapshots);
  t.strictSame(history, expected.history);
  volume.close();
  t.end();
});
