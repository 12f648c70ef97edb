/**
 * Freeze (rules A11, A12): everything that views read from the base comes into
 * the volume, whatever happens to the base meanwhile, and then it may go.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Work, workNow } from '../../../src/lib/work.js';
import { CommandError } from '../../../src/lib/errors.js';
import {
  type FreezeHost,
  type FreezeOutcome,
  freezeBase,
} from '../../../src/volume/freeze/freeze.js';
import { contentOf } from '../../golden/content.js';
import { applyAll, hostOf } from './apply-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

function fillBase(path: string): void {
  fs.mkdirSync(join(path, 'd/e'), { recursive: true });
  fs.writeFileSync(join(path, 'd/f'), 'f'.repeat(9000));
  fs.writeFileSync(join(path, 'd/e/deep'), 'deep');
  fs.writeFileSync(join(path, 'one'), 'one name');
  fs.linkSync(join(path, 'one'), join(path, 'd/other'));
  fs.symlinkSync('d/f', join(path, 'link'));
  fs.writeFileSync(join(path, 'gone'), 'gone'.repeat(3000));
  fs.writeFileSync(join(path, 'sparse'), '');
  fs.truncateSync(join(path, 'sparse'), 50_000);
  fs.writeFileSync(join(path, 'caf\u00e9'), 'name');
  fs.mkdirSync(join(path, 'empty'), { mode: 0o700 });
}

/** Snapshots, records of the tree's own, and something that is only in the base. */
function based(t: Test, options = {}): VolumeFixture {
  const fixture = new VolumeFixture(t, options, fillBase);
  fixture.save('start');
  fixture.write('d/f', 'changed', 5000);
  fixture.unlink('gone');
  fixture.rename('d/e', 'moved');
  fixture.write('made', 'made');
  fixture.save('worked');
  fixture.unlink('one');
  fixture.truncate('sparse', 100);
  fixture.flush();
  return fixture;
}

function freezeHost(fixture: VolumeFixture): FreezeHost {
  return {
    pause: hostOf(fixture).pause,
    onProgress: () => undefined,
    isStopped: () => false,
    reader: { uid: process.getuid?.() ?? 0, groups: new Set(process.getgroups?.() ?? []) },
    source: 'test',
    isForced: false,
  };
}

function freezing(fixture: VolumeFixture, host: Partial<FreezeHost> = {}): Work<FreezeOutcome> {
  return freezeBase(fixture.volume, { ...freezeHost(fixture), ...host });
}

function freeze(fixture: VolumeFixture, host: Partial<FreezeHost> = {}): FreezeOutcome {
  const outcome = workNow(freezing(fixture, host), () => fixture.flush());
  outcome.base?.close();
  fixture.flush();
  return outcome;
}

function shown(fixture: VolumeFixture): string[] {
  const { findings } = fixture.check();
  return findings.map(({ kind, rule, what, where }) => `${kind} ${rule} ${what} @ ${where}`);
}

const viewsOf = (fixture: VolumeFixture): unknown => contentOf(fixture.volume).views;

function empty(path: string): void {
  fs.rmSync(path, { recursive: true });
  fs.mkdirSync(path);
}

/** Content as a thrower gives it. */
function refusalOf(body: () => unknown): CommandError {
  try {
    body();
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

t.test('every view is what it was, without the base', (t) => {
  const fixture = based(t);
  const before = viewsOf(fixture);
  const { files, directories, storedBytes } = freeze(fixture);
  t.ok(files >= 7 && directories === 4, `${files} files, ${directories} directories`);
  t.ok(storedBytes >= 9000 + 12_000);
  t.strictSame(viewsOf(fixture), before, 'at once');
  t.equal(fixture.volume.base, undefined);
  t.strictSame(shown(fixture), []);
  empty(fixture.basePath);
  t.strictSame(viewsOf(fixture), before, 'the base is empty');
  fixture.close();
  t.strictSame(viewsOf(fixture), before, 'opened over an empty directory');
  t.strictSame(shown(fixture), []);
  t.match(fixture.volume.status(), { frozenMs: Number });
  t.equal(fixture.volume.history().at(-1)?.command, 'freeze');
  t.match(
    refusalOf(() => freeze(fixture)),
    { code: 'no-base' },
  );
  fixture.write('d/f', 'again');
  fixture.unlink('d/other');
  fixture.restore('start');
  fixture.collect();
  t.strictSame(shown(fixture), [], 'and it goes on');
  t.end();
});

t.test('after an apply, too', (t) => {
  const fixture = based(t);
  applyAll(fixture);
  fixture.write('made', 'made again');
  fixture.write('d/f', 'after', 8000);
  fixture.save('later');
  const before = viewsOf(fixture);
  freeze(fixture);
  empty(fixture.basePath);
  t.strictSame(viewsOf(fixture), before);
  t.strictSame(shown(fixture), []);
  t.end();
});

t.test('cut off after any piece, the next one goes on', (t) => {
  let isDone = false;
  for (let turns = 1; !isDone; turns += 19) {
    const fixture = based(t, { blockSize: 4096 });
    const before = viewsOf(fixture);
    const work = freezing(fixture);
    for (let i = 0; i < turns && !isDone; i++) {
      const { value, done } = work.next();
      isDone = done === true;
      if (value !== undefined) fixture.flush();
      if (i % 5 === 0) fixture.flush();
    }
    if (isDone) break;
    t.strictSame(viewsOf(fixture), before, `after ${turns}`);
    fixture.close();
    t.strictSame(viewsOf(fixture), before, `after ${turns}, opened again`);
    t.strictSame(shown(fixture), [], `after ${turns}`);
    freeze(fixture);
    empty(fixture.basePath);
    t.strictSame(viewsOf(fixture), before, `after ${turns}, frozen`);
    t.strictSame(shown(fixture), [], `after ${turns}, frozen`);
    fixture.close();
  }
  t.end();
});

t.test('the tree is written to meanwhile', (t) => {
  const fixture = based(t);
  const snapshots = ['start', 'worked'] as const;
  const before = contentOf(fixture.volume).views;
  const work = freezing(fixture);
  let turn = 0;
  for (;;) {
    const { value, done } = work.next();
    if (done === true) break;
    if (value !== undefined) fixture.flush();
    turn++;
    if (turn === 3) fixture.write('d/f', 'meanwhile', 100);
    if (turn === 9) fixture.rename('moved', 'd/back');
    if (turn === 15) fixture.save('meanwhile');
    if (turn === 20 && fixture.find('link')) fixture.unlink('link');
    if (turn === 30) fixture.truncate('d/other', 3);
  }
  fixture.flush();
  const after = contentOf(fixture.volume).views;
  empty(fixture.basePath);
  for (const name of snapshots) t.strictSame(after[name], before[name], name);
  t.strictSame(contentOf(fixture.volume).views, after);
  t.strictSame(shown(fixture), []);
  t.end();
});

t.test('what nobody has touched may change in the base meanwhile', (t) => {
  for (let at = 2; at < 60; at += 9) {
    const fixture = new VolumeFixture(t, {}, fillBase);
    fixture.save('start');
    const work = freezing(fixture);
    for (let turn = 0; ; turn++) {
      const { value, done } = work.next();
      if (done === true) break;
      if (value !== undefined) fixture.flush();
      if (turn !== at) continue;
      fs.writeFileSync(join(fixture.basePath, 'd/f'), 'g'.repeat(5000));
      fs.writeFileSync(join(fixture.basePath, 'd/new'), 'new');
    }
    fixture.flush();
    empty(fixture.basePath);
    const content = fixture.content(fixture.at('d/f'));
    t.ok(content === 'g'.repeat(5000) || content === 'f'.repeat(9000), `one or the other at ${at}`);
    t.strictSame(shown(fixture), [], `at ${at}`);
    fixture.close();
  }
  t.end();
});

t.test('a base that does not match is refused before anything is copied', (t) => {
  const fixture = based(t);
  fs.writeFileSync(join(fixture.basePath, 'd/f'), 'other');
  const refused = refusalOf(() => freeze(fixture));
  t.match(refused, { code: 'freeze-refused', errno: 'EBUSY' });
  t.match(refused.details['obstacles'], [{ path: 'd/f', reason: 'changed' }]);
  fs.rmSync(join(fixture.basePath, 'd/f'));
  t.match(refusalOf(() => freeze(fixture)).details['obstacles'], [{ reason: 'vanished' }]);
  t.equal(fixture.volume.hasBaseRecords, false, 'nothing is in the base layer');
  t.end();
});

/** What can be read of a file in the live tree: its bytes, or the error. */
function readable(fixture: VolumeFixture, path: string): string {
  try {
    return fixture.content(fixture.at(path));
  } catch (error) {
    return (error as { code: string }).code;
  }
}

t.test('forced: what the base has no more is given up and named, the rest is whole', (t) => {
  const fixture = based(t);
  const { basePath } = fixture;
  // Records refer to another state of it, to a file that is gone, and to one that nobody can name.
  fs.writeFileSync(join(basePath, 'd/f'), 'by others');
  fs.rmSync(join(basePath, 'd/other'));
  fs.rmSync(join(basePath, 'one'));
  fs.rmSync(join(basePath, 'sparse'));
  const moved = join(basePath, 'd/e');
  fs.renameSync(moved, join(basePath, 'elsewhere'));
  t.match(
    refusalOf(() => freeze(fixture)).details['obstacles'],
    ['d/e', 'd/f', 'one', 'sparse'].map((path) => ({ path })),
    'not by itself',
  );
  const { lost, lostCount } = freeze(fixture, { isForced: true });
  t.equal(lostCount, lost.length);
  const reasons = Object.fromEntries(lost.map(({ path, reason }) => [path, reason]));
  t.match(reasons, { 'd/f': 'changed', sparse: 'vanished' });
  t.equal(fixture.volume.base, undefined);
  t.strictSame(shown(fixture), [], 'check finds nothing wrong');
  empty(basePath);
  fixture.close();
  t.equal(readable(fixture, 'made'), 'made');
  t.equal(readable(fixture, 'd/f'), 'EIO', 'never the bytes of another file, never zeros');
  const record = fixture.volume.history().at(-1);
  t.match(record, { command: 'freeze', details: { lostCount } });
  fixture.write('d/f', 'x'.repeat(9000));
  t.equal(readable(fixture, 'd/f'), 'x'.repeat(9000), 'written anew, it is whole');
  fixture.save('later');
  fixture.restore('start');
  fixture.collect();
  t.strictSame(shown(fixture), [], 'and it goes on');
  t.end();
});

t.test('forced, where nothing is lost: as ever', (t) => {
  const fixture = based(t);
  const before = viewsOf(fixture);
  t.match(freeze(fixture, { isForced: true }), { lost: [], lostCount: 0 });
  t.strictSame(viewsOf(fixture), before);
  t.strictSame(shown(fixture), []);
  t.end();
});

t.test('stopped, it says how far it came, and goes on from there', (t) => {
  const fixture = based(t);
  const before = viewsOf(fixture);
  let looks = 0;
  const stopped = refusalOf(() => freeze(fixture, { isStopped: () => ++looks > 12 }));
  t.match(stopped, { code: 'freeze-stopped', errno: 'ECANCELED' });
  t.strictSame(viewsOf(fixture), before);
  t.strictSame(shown(fixture), []);
  freeze(fixture);
  empty(fixture.basePath);
  t.strictSame(viewsOf(fixture), before);
  t.end();
});

t.test('no room: refused before anything is copied', (t) => {
  const fixture = based(t, { quotaBytes: 32 * 1024 * 1024 });
  const big = Buffer.alloc(40 * 1024 * 1024, 'x');
  fs.writeFileSync(join(fixture.basePath, 'big'), big);
  t.match(
    refusalOf(() => freeze(fixture)),
    { code: 'freeze-full', errno: 'ENOSPC' },
  );
  t.equal(fixture.volume.hasBaseRecords, false);
  t.end();
});

t.test('A12: check names what is still read from the base', async (t) => {
  const fixture = based(t);
  const { TABLE } = await import('../../../src/format/records/tables.js');
  const { encodeJson } = await import('../../../src/format/records/values.js');
  freeze(fixture);
  const base = { path: fixture.basePath, device: 1, hostInode: 1, btimeS: 0, btimeNs: 0 };
  fixture.damage((tx) => tx.put(TABLE.meta, Buffer.from('base'), encodeJson(base)));
  t.match(shown(fixture).join('\n'), /A12 the volume is frozen, and has a base/);
  const other = based(t);
  other.damage((tx) => {
    tx.put(TABLE.meta, Buffer.from('frozen'), encodeJson({ timeMs: 5, base }));
    tx.del(TABLE.meta, Buffer.from('base'));
  });
  t.match(shown(other).join('\n'), /A12 the volume is frozen, and this is read from the base/);
  t.end();
});
