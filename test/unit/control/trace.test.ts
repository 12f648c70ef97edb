/** What a trace shows, holds and leaves out; its lines as text. */
import fc from 'fast-check';
import t from 'tap';
import { Deferred } from '../../../src/lib/deferred.js';
import { traceText } from '../../../src/cli/commands/trace-text.js';
import { matchesGlob, parseTraceFilter } from '../../../src/control/streams/trace-filter.js';
import {
  type TraceReader,
  TraceReaders,
  UNREAD_ENTRIES_MAX,
} from '../../../src/control/streams/trace-stream.js';
import type { TraceEntry } from '../../../src/measure/trace-entry.js';

/** A few of them. */
const KINDS = ['GETATTR', 'LOOKUP', 'READ', 'RENAME', 'WRITE'];

const entry = (path: string, more: Partial<TraceEntry> = {}): TraceEntry => ({
  timeMs: 1,
  op: 'LOOKUP',
  path,
  pid: 5,
  errno: 0,
  tookMs: 0.01234,
  ...more,
});

function following(waits = true) {
  const later: (() => void)[] = [];
  const followed: boolean[] = [];
  const readers = new TraceReaders(
    waits,
    (_delayMs, run) => later.push(run),
    (sink) => followed.push(sink !== undefined),
    KINDS,
  );
  return { readers, later, followed };
}

const linesOf = (read: Buffer | Deferred<Buffer>): Record<string, unknown>[] => {
  if (read instanceof Deferred) throw new Error('still waiting');
  return read
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
};
const all = (reader: TraceReader): Record<string, unknown>[] => linesOf(reader.read(0, 10_000_000));

t.test('patterns', (t) => {
  t.ok(matchesGlob('src/a.ts', 'src/*.ts') && matchesGlob('src/b/a.ts', 'src/*.ts'));
  t.ok(matchesGlob('abc', 'a?c') && matchesGlob('', '*') && matchesGlob('abab', '*ab'));
  t.notOk(matchesGlob('abc', 'a?') || matchesGlob('abc', 'b*') || matchesGlob('ab', 'abc'));
  const startMs = performance.now();
  t.notOk(matchesGlob('a'.repeat(4000), `${'*a'.repeat(50)}b`));
  t.ok(performance.now() - startMs < 2000, 'no pattern takes long');
  for (const bad of ['name', 'colour=red', 'slow=-1', 'slow=x', 'slow=', 'op="', 'op=', 'op=NO']) {
    t.throws(() => parseTraceFilter(bad, KINDS), { code: 'bad-command-line' }, bad);
  }
  t.end();
});

t.test('every reader gets the requests that match its filter', (t) => {
  const { readers, followed } = following();
  const one = readers.open();
  const two = readers.open();
  two.write(0, Buffer.from('op=read,write path=*.log slow=5\n'));
  t.same(followed, [true], 'requests are told while somebody listens');
  t.ok(readers.wants('LOOKUP', 1));
  readers.note(entry('d/a.log'));
  readers.note(entry('d/a.log', { op: 'READ', tookMs: 6, sizeBytes: 3 }));
  readers.note(entry('d/a.txt', { op: 'READ', tookMs: 6 }));
  t.equal(all(one).length, 3);
  t.match(all(two), [{ op: 'READ', path: 'd/a.log', sizeBytes: 3, tookMs: 6, pid: 5 }]);
  one.close();
  t.notOk(readers.wants('LOOKUP', 1e6), 'what nobody wants costs no path');
  two.close();
  t.same(followed, [true, false]);
  t.end();
});

t.test('a read waits, gathers, and can be cancelled', (t) => {
  const { readers, later } = following();
  const reader = readers.open();
  const read = reader.read(0, 1000) as Deferred<Buffer>;
  let got = '';
  read.settled(
    (bytes) => (got = bytes.toString()),
    () => (got = 'given up'),
  );
  readers.note(entry('a'));
  readers.note(entry('b'));
  t.same([got, later.length], ['', 1]);
  later[0]?.();
  t.equal(got.split('\n').length, 3, 'both lines at once');
  const second = reader.read(0, 1000) as Deferred<Buffer>;
  second.settled(
    () => (got = 'read'),
    (error) => (got = (error as { code: string }).code),
  );
  t.throws(() => reader.read(0, 1000), { code: 'EBUSY' });
  second.cancel?.();
  t.equal(got, 'EINTR');
  t.equal((following(false).readers.open().read(0, 10) as Buffer).length, 0, 'or ends there');
  t.end();
});

t.test(
  'a slow reader holds a bounded amount and learns of losses; long lines come in pieces',
  (t) => {
    const { readers } = following();
    const reader = readers.open();
    for (let n = 0; n < UNREAD_ENTRIES_MAX + 7; n++) readers.note(entry(`f${n}`));
    const lines = all(reader);
    t.equal(lines.length, UNREAD_ENTRIES_MAX + 1);
    t.match(lines.at(-1), { droppedCount: 7 });
    readers.note(entry('x'.repeat(300)));
    const first = reader.read(0, 100) as Buffer;
    t.equal(first.length, 100);
    t.equal(linesOf(Buffer.concat([first, reader.read(0, 1000) as Buffer])).length, 1);
    t.end();
  },
);

t.test('whatever the reads: whole lines, and what was left out is told where it was', (t) => {
  const turn = fc.record({
    entries: fc.integer({ min: 0, max: UNREAD_ENTRIES_MAX + 5 }),
    reads: fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 4 }),
  });
  const holds = fc.property(fc.array(turn, { minLength: 1, maxLength: 5 }), (list) => {
    const { readers } = following(false);
    const reader = readers.open();
    let told = 0;
    let got = '';
    for (const { entries, reads } of list) {
      for (let n = 0; n < entries; n++) readers.note(entry(String(told++)));
      for (const length of reads) got += (reader.read(0, length) as Buffer).toString();
    }
    got += (reader.read(0, 10_000_000) as Buffer).toString();
    if (got !== '' && !got.endsWith('\n')) return false;
    let next = 0;
    for (const line of linesOf(Buffer.from(got))) {
      if (typeof line['droppedCount'] === 'number') next += line['droppedCount'];
      else if (line['path'] !== String(next++)) return false;
    }
    return next === told;
  });
  fc.assert(holds, { numRuns: 50 });
  t.pass('50 runs');
  t.end();
});

t.test('a read is not told of an end because another one took what it gathered for', (t) => {
  const { readers, later } = following();
  const reader = readers.open();
  const first = reader.read(0, 1000) as Deferred<Buffer>;
  readers.note(entry('a'));
  first.cancel?.();
  t.equal(linesOf(reader.read(0, 1000)).length, 1);
  let got = 'still waiting';
  (reader.read(0, 1000) as Deferred<Buffer>).settled(
    (bytes) => (got = bytes.toString()),
    () => undefined,
  );
  later[0]?.();
  t.equal(got, 'still waiting');
  readers.note(entry('b'));
  later[1]?.();
  t.match(got, /"path":"b"/);
  t.end();
});

t.test('the text of a line', (t) => {
  t.match(
    traceText({ ...entry('a\nb'), errno: 'ENOENT' }),
    / +5 +LOOKUP +12\.3 +ENOENT +"a\\x0ab"$/,
  );
  t.match(
    traceText({ ...entry('a', { op: 'RENAME', newPath: 'b' }), errno: null }),
    /RENAME .* ok +a -> b$/,
  );
  t.match(
    traceText({ ...entry('', { pid: 0, op: 'READDIR', sizeBytes: 96 }), errno: null }),
    / - +READDIR .* 96 +\.$/,
  );
  t.match(traceText({ timeMs: 1, droppedCount: 7 }), /7 requests left out/);
  t.end();
});
