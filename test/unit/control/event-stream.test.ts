/** What readers of `events` get: whole lines in pieces, bounds, waiting. */
import fc from 'fast-check';
import t from 'tap';
import { Deferred } from '../../../src/lib/deferred.js';
import {
  type EventReader,
  EventReaders,
  UNREAD_LINES_MAX,
} from '../../../src/control/streams/event-stream.js';

const now = (): number => 7;

function text(read: Buffer | Deferred<Buffer>): string {
  if (Buffer.isBuffer(read)) return read.toString();
  let found = 'still waiting';
  read.settled(
    (value) => {
      found = value.toString();
    },
    (error) => {
      found = String((error as { code?: string }).code);
    },
  );
  return found;
}

const readAll = (reader: EventReader): string => text(reader.read(100_000));

t.test('every reader gets what happens while it is open', (t) => {
  const readers = new EventReaders(true, now);
  const one = readers.open();
  readers.tell({ ok: true, command: 'save', name: 'a' });
  const two = readers.open();
  readers.tell({ ok: false, command: 'save', name: 'a' });
  readers.tell({ ok: true, command: 'check' });
  readers.tell({ ok: true, command: 'restore', name: 'a' });
  const save = '{"timeMs":7,"ok":true,"command":"save","name":"a"}\n';
  const restore = '{"timeMs":7,"ok":true,"command":"restore","name":"a"}\n';
  t.equal(text(one.read(10)) + text(one.read(10)) + readAll(one), save, 'a line in pieces');
  t.equal(readAll(one), restore);
  t.equal(readAll(two), restore, 'what was before is not told');
  readers.close(two);
  readers.tell({ ok: true, command: 'delete', name: 'a' });
  t.match(readAll(one), /delete/);
  t.equal(readAll(two), 'still waiting');
  t.end();
});

t.test('several reads wait, and each can be cancelled', (t) => {
  const readers = new EventReaders(true, now);
  const reader = readers.open();
  const waiting = [reader.read(1000), reader.read(1000)];
  t.same(waiting.map(text), ['still waiting', 'still waiting']);
  const [first, second] = waiting;
  if (first instanceof Deferred) first.cancel?.();
  readers.tell({ ok: true, command: 'save', name: 'a' });
  t.equal(first === undefined ? '' : text(first), 'EINTR');
  t.match(second === undefined ? '' : text(second), /"save"/, 'who gave up takes nothing');
  t.equal(text(new EventReaders(false, now).open().read(10)), '', 'where nobody may wait it ends');
  t.end();
});

t.test('a reader that does not read holds a bounded amount, and learns of losses', (t) => {
  const readers = new EventReaders(true, now);
  const reader = readers.open();
  const count = UNREAD_LINES_MAX + 5;
  for (let n = 0; n < count; n++) readers.tell({ ok: true, command: 'save', name: String(n) });
  t.equal(readAll(reader), `{"timeMs":7,"lostCount":${UNREAD_LINES_MAX}}\n`);
  const rest = Array.from({ length: 5 }, () => readAll(reader));
  t.match(rest.at(-1), `"name":"${count - 1}"`);
  t.equal(readAll(reader), 'still waiting');
  t.end();
});

/** What comes in turn: so many events, or a read of so many bytes. */
const turns = fc.array(
  fc.oneof(
    fc.record({ events: fc.integer({ min: 1, max: UNREAD_LINES_MAX + 50 }) }),
    fc.record({ bytes: fc.integer({ min: 0, max: 120 }) }),
  ),
  { minLength: 1, maxLength: 40 },
);

t.test('whatever the reads and losses: whole lines, and none is missing untold', (t) => {
  const holds = fc.property(turns, fc.boolean(), (list, waits) => {
    const readers = new EventReaders(waits, now);
    const reader = readers.open();
    let told = 0;
    let got = '';
    const waiting: Deferred<Buffer>[] = [];
    const read = (bytes: number): boolean => {
      const answer = reader.read(bytes);
      if (!Buffer.isBuffer(answer)) {
        // Those that wait are answered in their order.
        answer.settled(
          (value) => (got += value.toString()),
          () => undefined,
        );
        waiting.push(answer);
        return false;
      }
      got += answer.toString();
      return answer.length > 0;
    };
    for (const turn of list) {
      if ('bytes' in turn) read(turn.bytes);
      else {
        for (let n = 0; n < turn.events; n++) {
          readers.tell({ ok: true, command: 'save', name: String(told++) });
        }
      }
    }
    for (const each of waiting) each.cancel?.();
    while (read(1000));
    const lines = got.split('\n');
    if (lines.pop() !== '') return false;
    let next = 0;
    for (const line of lines) {
      const event = JSON.parse(line) as { lostCount?: number; name?: string };
      if (event.lostCount !== undefined) next += event.lostCount;
      else if (event.name !== String(next++)) return false;
    }
    return next === told;
  });
  fc.assert(holds, { numRuns: 300 });
  t.pass('300 runs');
  t.end();
});

t.test('a line in pieces goes to all reads that wait; who gave up takes no other along', (t) => {
  const readers = new EventReaders(true, now);
  const reader = readers.open();
  const waiting = [reader.read(10), reader.read(10), reader.read(1000), reader.read(1000)];
  readers.tell({ ok: true, command: 'save', name: 'a' });
  const line = '{"timeMs":7,"ok":true,"command":"save","name":"a"}\n';
  t.equal(waiting.slice(0, 3).map(text).join(''), line);
  const [first, , , last] = waiting;
  if (first instanceof Deferred) first.cancel?.();
  readers.tell({ ok: true, command: 'delete', name: 'a' });
  t.match(last === undefined ? '' : text(last), /delete/, 'an answered read is not given up again');
  t.end();
});
