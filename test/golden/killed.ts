/** Golden volumes as a killed process left them: how one is kept, and that it opens. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Test } from 'tap';
import { checkVolumeAt } from '../../src/check/check.js';
import { S_IFREG } from '../../src/lib/file-mode.js';
import { Volume } from '../../src/volume/volume.js';
import { VolumeFixture } from '../unit/volume/volume-fixture.js';
import { contentOf, type VolumeContent } from './content.js';
import { factsOf } from './facts.js';

const FILES = ['data.mdb', 'intent.log'];

interface Known extends VolumeContent {
  facts: unknown;
  /** What each branch but `main` shows; absent: there is none. */
  branches?: Record<string, VolumeContent['views'][string]>;
}

const directoryOf = (name: string): string => join(dirname(fileURLToPath(import.meta.url)), name);

/** Fsyncs a few words, the last ones through the log. */
export function syncIntoLog(fixture: VolumeFixture, write: (word: string) => void): void {
  for (const word of ['one', 'two', 'three']) {
    write(word);
    // The second fsync is the log's: the first one made it.
    for (let i = 0; i < 2; i++) sync(fixture);
  }
  if (fixture.volume.core.commits.figures().logFlushes === 0)
    throw new Error('the log has answered nothing');
}

function sync({ volume }: VolumeFixture): void {
  let isDone = false;
  const fail = (error: unknown): never => {
    throw error;
  };
  volume.durable().settled(() => (isDone = true), fail);
  for (let i = 0; i < 10 && !isDone; i++) volume.pump();
  if (!isDone) throw new Error('the fsync was never answered');
}

/** As JSON has it, so that absent and undefined are the same. */
function shown(volume: Volume): Known {
  const names = volume.branches.names().slice(1);
  const live = (name: string) => contentOf(volume.at(name)).views['live'];
  const branches = Object.fromEntries(names.map((name) => [name, live(name)]));
  const all = {
    ...contentOf(volume),
    facts: factsOf(volume),
    ...(names.length > 0 && { branches }),
  };
  return JSON.parse(JSON.stringify(all)) as Known;
}

export function keepAsKilled(
  name: string,
  make: (fixture: VolumeFixture) => void,
  fillBase?: (path: string) => void,
): void {
  const done: (() => void)[] = [];
  const teardown = (body: () => void): void => void done.push(body);
  const fixture = new VolumeFixture({ teardown }, {}, fillBase);
  make(fixture);
  const target = directoryOf(name);
  mkdirSync(target, { recursive: true });
  const copy = join(fixture.directory, 'copy');
  cpSync(fixture.path, copy, { recursive: true });
  for (const file of FILES) {
    const packed = gzipSync(readFileSync(join(copy, file)), { level: 9 });
    writeFileSync(join(target, `${file}.gz`), packed);
  }
  const content = JSON.stringify(shown(fixture.volume), null, 2);
  writeFileSync(join(target, 'content.json'), `${content}\n`);
  for (const body of done) body();
}

function unpack(t: Test, name: string): { path: string; expected: Known } {
  const path = mkdtempSync(join(tmpdir(), 'shadowfs-golden-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  const source = directoryOf(name);
  for (const file of FILES) {
    writeFileSync(join(path, file), gunzipSync(readFileSync(join(source, `${file}.gz`))));
  }
  return {
    path,
    expected: JSON.parse(readFileSync(join(source, 'content.json'), 'utf8')) as Known,
  };
}

/** A copy of it, opened to be written. */
export function openedAsKilled(
  t: Test,
  name: string,
): { path: string; volume: Volume; expected: Known } {
  const { path, expected } = unpack(t, name);
  return { path, volume: Volume.open({ path, writer: { kind: 'inline' } }), expected };
}

/** `branch`: the one whose newest file only the log has. */
export function opensAsKilled(t: Test, name: string, branch = 'main'): void {
  t.test('read only: everything is seen, nothing is written', (t) => {
    const { path, expected } = unpack(t, name);
    const before = FILES.map((file) => readFileSync(join(path, file)));
    const volume = Volume.open({ path, writer: { kind: 'none' } });
    t.same(shown(volume), expected);
    const live = branch === 'main' ? expected.views['live'] : expected.branches?.[branch];
    t.match(live?.['fsynced'], / 5 /, 'what only the log has');
    volume.close();
    for (const [i, file] of FILES.entries()) {
      t.ok(before[i]?.equals(readFileSync(join(path, file))), file);
    }
    t.end();
  });

  t.test('opened to be written: shows the same, and goes on', (t) => {
    const { path, volume, expected } = openedAsKilled(t, name);
    t.same(shown(volume), expected);
    for (const at of volume.branches.names()) {
      const own = at === 'main' ? volume : volume.at(at);
      const { ino } = own.create({ uid: 0, gid: 0 }, 1, 'new', { mode: S_IFREG | 0o644 });
      own.write(ino, 0, Buffer.from('written now'));
      own.save(`now-${at}`, 'test');
      volume.flush();
      for (const { name: snapshot } of expected.snapshots) {
        own.restore(snapshot, 'test');
        volume.flush();
        t.strictSame(contentOf(own).views['live'], expected.views[snapshot], snapshot);
      }
    }
    volume.close();
    t.strictSame(checkVolumeAt({ path }).findings, []);
    t.end();
  });
}
