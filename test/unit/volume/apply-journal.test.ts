/** The journal of an apply (rules A4, A10, A13): its file, whole or not at all, in pieces. */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import v8 from 'node:v8';
import { crc32 } from 'node:zlib';
import t, { type Test } from 'tap';
import { Deferred } from '../../../src/lib/deferred.js';
import { settledWith, workNow } from '../../../src/lib/work.js';
import { recoverApplyNow } from '../../../src/volume/apply/carry-out.js';
import type { JournalHead, Step } from '../../../src/volume/apply/journal.js';
import {
  journalState,
  type OpenJournal,
  openJournal,
  writeJournal,
} from '../../../src/volume/apply/journal-file.js';
import { applyAll, applying } from './apply-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

const TIMES = { atimeS: 1, atimeNs: 2, mtimeS: 3, mtimeNs: 4 };
const HEAD: JournalHead = {
  state: 'switching',
  staging: '.shadowfs-apply-01234567',
  times: TIMES,
  layer: 7,
  applied: [{ path: '', layer: 7 }],
  history: { source: 'test', details: {}, timeMs: 1 },
};
const flush = (): Deferred<void> => settledWith<void>(undefined);

function directory(t: Test): string {
  const path = fs.mkdtempSync(join(tmpdir(), 'shadowfs-journal-'));
  t.teardown(() => fs.rmSync(path, { recursive: true }));
  return path;
}

function* drops(count: number): Generator<Step> {
  for (let i = 0; i < count; i++)
    yield { do: 'drop', path: `d/f\xff${i}`, host: i, trash: `t${i}` };
}

function opened(volume: string): OpenJournal {
  const journal = openJournal(volume);
  if (journal === undefined) throw new Error('there is no journal');
  return journal;
}

/** What a reader that wants all of it gets. */
function readAll(volume: string): Step[] {
  const journal = opened(volume);
  try {
    const count = workNow(journal.verify());
    const steps = [...journal.steps()] as Step[];
    if (steps.length !== count) throw new Error(`${steps.length} steps, not ${count}`);
    return steps;
  } finally {
    journal.close();
  }
}

for (const count of [0, 1, 20_000]) {
  t.test(`A13: ${count} steps come back in order, in frames of a bounded size`, (t) => {
    const volume = directory(t);
    workNow(writeJournal(volume, HEAD, drops(count), flush));
    t.equal(journalState(volume), 'switching');
    const journal = opened(volume);
    t.strictSame(journal.head, HEAD);
    journal.close();
    t.strictSame(readAll(volume), [...drops(count)]);
    t.ok(Math.max(...frames(volume).map(([from, end]) => end - from)) < 64 * 1024);
    t.strictSame(fs.readdirSync(volume), ['apply.journal']);
    t.end();
  });
}

/** Where the frames begin and end. */
function frames(volume: string): [number, number][] {
  const bytes = fs.readFileSync(join(volume, 'apply.journal'));
  const found: [number, number][] = [];
  for (let at = 8; at < bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at);
    found.push([at, end]);
    at = end;
  }
  return found;
}

t.test('A13: a torn end, bytes too many and each wrong byte are found', (t) => {
  const volume = directory(t);
  workNow(writeJournal(volume, HEAD, drops(2000), flush));
  const file = join(volume, 'apply.journal');
  const whole = fs.readFileSync(file);
  const all = frames(volume);
  t.ok(all.length > 4, 'head, several frames of steps, seal');
  const damaged = (bytes: Buffer, what: string): void => {
    fs.writeFileSync(file, bytes);
    t.throws(() => readAll(volume), { name: 'CorruptionError' }, what);
  };
  for (const [from, end] of all) {
    damaged(whole.subarray(0, from), `cut off before ${from}`);
    if (end < whole.length) damaged(whole.subarray(0, end - 1), `cut off in ${from}`);
    for (const at of [from, from + 4, from + 8, from + 20, end - 1]) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] as number) ^ 4;
      damaged(bytes, `another byte at ${at}`);
    }
  }
  damaged(Buffer.alloc(0), 'nothing');
  damaged(whole.subarray(0, 5), 'a part of the first word');
  damaged(Buffer.concat([whole, Buffer.from('x')]), 'something after the seal');
  const [, second, third] = all as [[number, number], [number, number], [number, number]];
  damaged(
    Buffer.concat([
      whole.subarray(0, second[0]),
      whole.subarray(third[0], third[1]),
      whole.subarray(second[0], second[1]),
      whole.subarray(third[1]),
    ]),
    'frames in another order',
  );
  fs.writeFileSync(file, whole);
  t.equal(readAll(volume).length, 2000);
  t.end();
});

t.test('A4: one that can not be written leaves the one before', (t) => {
  const volume = directory(t);
  workNow(writeJournal(volume, { ...HEAD, state: 'staging' }, [], flush));
  const full = (): Deferred<void> => {
    const failed = new Deferred<void>();
    failed.reject(new Error('no space'));
    return failed;
  };
  t.throws(() => workNow(writeJournal(volume, HEAD, drops(9), full)), /no space/);
  t.equal(journalState(volume), 'staging');
  t.strictSame(fs.readdirSync(volume), ['apply.journal']);
  t.end();
});

t.test('a piece of writing or reading is short, however many steps there are', (t) => {
  const volume = directory(t);
  let [taken, most] = [0, 0];
  const counted = function* (): Generator<Step> {
    for (const step of drops(5000)) {
      taken++;
      yield step;
    }
  };
  const work = writeJournal(volume, HEAD, counted(), flush);
  for (let done = false; !done; ) {
    taken = 0;
    done = work.next().done === true;
    most = Math.max(most, taken);
  }
  t.ok(most <= 9, `${most} steps in a piece`);
  const journal = opened(volume);
  let pieces = 0;
  for (const _piece of journal.verify()) pieces++;
  t.equal(pieces, frames(volume).length - 2);
  journal.close();
  t.end();
});

/** As versions before wrote it. */
function writeOld(volume: string, state: JournalHead['state'], journal: OpenJournal): void {
  const steps = state === 'staging' ? [] : [...journal.steps()];
  const body = Buffer.from(JSON.stringify({ ...(journal.head as object), state, steps }));
  const sum = crc32(body).toString(16).padStart(8, '0');
  fs.writeFileSync(join(volume, 'apply.journal'), Buffer.concat([Buffer.from(`${sum}\n`), body]));
}

function tree(path: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of fs.readdirSync(path, { recursive: true }) as string[]) {
    const at = join(path, name);
    found[name] = fs.statSync(at).isDirectory() ? '/' : fs.readFileSync(at, 'utf8');
  }
  return found;
}

/** Runs an apply until its journal has that state. */
function cutOff(t: Test, state: JournalHead['state']): { fixture: VolumeFixture; base: string } {
  let base = '';
  const fixture = new VolumeFixture(t, {}, (path) => {
    base = path;
    fs.mkdirSync(join(path, 'd'));
    fs.writeFileSync(join(path, 'd/f'), 'as it was');
    fs.writeFileSync(join(path, 'gone'), 'gone');
  });
  fixture.write('d/f', 'changed');
  fixture.unlink('gone');
  fixture.write('new', 'new');
  fixture.rename('d', 'e');
  const work = applying(fixture);
  for (let turns = 0; turns < 1000; turns++) {
    work.next();
    fixture.flush();
    if (journalState(fixture.path) === state) return { fixture, base };
  }
  throw new Error('there was no journal');
}

t.test('the journal of the version before: an apply is completed', (t) => {
  const { fixture, base } = cutOff(t, 'switching');
  const journal = opened(fixture.path);
  writeOld(fixture.path, 'switching', journal);
  journal.close();
  t.equal(recoverApplyNow(fixture.volume, fixture.path), 'completed');
  t.strictSame(tree(base), { e: '/', 'e/f': 'changedas', new: 'new' });
  t.equal(journalState(fixture.path), undefined);
  t.end();
});

t.test('the journal of the version before: an apply is undone', (t) => {
  const { fixture, base } = cutOff(t, 'staging');
  const journal = opened(fixture.path);
  writeOld(fixture.path, 'staging', journal);
  journal.close();
  t.equal(recoverApplyNow(fixture.volume, fixture.path), 'undone');
  t.strictSame(tree(base), { d: '/', 'd/f': 'as it was', gone: 'gone' });
  t.equal(journalState(fixture.path), undefined);
  t.end();
});

t.test('A13: a torn journal changes nothing, and is told', (t) => {
  const { fixture, base } = cutOff(t, 'switching');
  const before = tree(base);
  const file = join(fixture.path, 'apply.journal');
  fs.truncateSync(file, fs.statSync(file).size - 1);
  t.throws(() => recoverApplyNow(fixture.volume, fixture.path), { name: 'CorruptionError' });
  t.strictSame(tree(base), before);
  t.end();
});

t.test('an apply that does not fit into memory is refused, and its parts are not', (t) => {
  const { getHeapStatistics } = v8;
  t.teardown(() => {
    v8.getHeapStatistics = getHeapStatistics;
  });
  let base = '';
  const fixture = new VolumeFixture(t, {}, (path) => {
    base = path;
    fs.mkdirSync(join(path, 'd'));
  });
  for (const name of ['d/a', 'd/b', 'e']) fixture.write(name, name);
  fixture.flush();
  v8.getHeapStatistics = () => {
    const now = getHeapStatistics();
    return { ...now, used_heap_size: now.heap_size_limit };
  };
  t.throws(() => applyAll(fixture), { code: 'apply-too-large', errno: 'ENOMEM' });
  t.strictSame(tree(base), { d: '/' });
  t.equal(journalState(fixture.path), undefined);
  v8.getHeapStatistics = getHeapStatistics;
  applyAll(fixture, ['d']);
  t.strictSame(tree(base), { d: '/', 'd/a': 'd/a', 'd/b': 'd/b' });
  applyAll(fixture);
  t.strictSame(tree(base), { d: '/', 'd/a': 'd/a', 'd/b': 'd/b', e: 'e' });
  t.strictSame(fixture.check().findings, []);
  t.end();
});
