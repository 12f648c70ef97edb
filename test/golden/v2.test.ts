/** A volume of format 2, as a killed process left it: its log is replayed, or read over it in memory. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { checkVolumeAt } from '../../src/check/check.js';
import { S_IFREG } from '../../src/lib/file-mode.js';
import { Volume } from '../../src/volume/volume.js';
import { contentOf, type VolumeContent } from './content.js';
import { factsOf } from './facts.js';

const source = join(dirname(fileURLToPath(import.meta.url)), 'v2');
const FILES = ['data.mdb', 'intent.log'];

function unpack(t: Test): { path: string; expected: VolumeContent & { facts: unknown } } {
  const path = mkdtempSync(join(tmpdir(), 'shadowfs-golden-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  for (const name of FILES) {
    writeFileSync(join(path, name), gunzipSync(readFileSync(join(source, `${name}.gz`))));
  }
  const text = readFileSync(join(source, 'content.json'), 'utf8');
  return { path, expected: JSON.parse(text) as VolumeContent & { facts: unknown } };
}

/** As JSON has it, so that absent and undefined are the same. */
const shown = (volume: Volume): unknown =>
  JSON.parse(JSON.stringify({ ...contentOf(volume), facts: factsOf(volume) }));

t.test('read only: everything is seen, nothing is written', (t) => {
  const { path, expected } = unpack(t);
  const before = FILES.map((name) => readFileSync(join(path, name)));
  const volume = Volume.open({ path, writer: { kind: 'none' } });
  t.same(shown(volume), expected);
  t.match(expected.views['live']?.['fsynced'], / 5 /, 'what only the log has');
  volume.close();
  for (const [i, name] of FILES.entries()) {
    t.ok(before[i]?.equals(readFileSync(join(path, name))), name);
  }
  t.end();
});

t.test('opened to be written: shows the same, and goes on', (t) => {
  const { path, expected } = unpack(t);
  const volume = Volume.open({ path, writer: { kind: 'inline' } });
  t.same(shown(volume), expected);
  const { ino } = volume.create({ uid: 0, gid: 0 }, 1, 'new', { mode: S_IFREG | 0o644 });
  volume.write(ino, 0, Buffer.from('written now'));
  volume.save('now', 'test');
  volume.flush();
  t.throws(() => volume.deleteSnapshot('first', 'test'), { code: 'snapshot-locked' });
  for (const { name } of expected.snapshots) {
    volume.restore(name, 'test');
    volume.flush();
    t.strictSame(contentOf(volume).views['live'], expected.views[name], name);
  }
  volume.close();
  t.strictSame(checkVolumeAt({ path }).findings, []);
  t.end();
});
