/** What readers of `events` get: whole lines in pieces, bounds, waiting. */
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

t.test('a read waits, several of them, and can be given up', (t) => {
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

t.test('who does not read holds a bounded amount, and is told', (t) => {
  const readers = new EventReaders(true, now);
  const reader = readers.open();
  const count = UNREAD_LINES_MAX + 5;
  for (let n = 0; n < count; n++) readers.tell({ ok: true, command: 'save', name: String(n) });
  t.equal(readAll(reader), `{"timeMs":7,"lost":${UNREAD_LINES_MAX}}\n`);
  const rest = Array.from({ length: 5 }, () => readAll(reader));
  t.match(rest.at(-1), `"name":"${count - 1}"`);
  t.equal(readAll(reader), 'still waiting');
  t.end();
});
