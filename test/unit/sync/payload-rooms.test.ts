/** Memory for large payloads is used again, once, and only after it was given back. */
import t from 'tap';
import { MAX_PAYLOAD_LENGTH } from '../../../src/format/wire/frame.js';
import { PayloadRooms } from '../../../src/sync/transport/payload-rooms.js';

const LARGE = 800_000;

t.test('a room is used again when it was given back', async (t) => {
  const rooms = new PayloadRooms();
  const first = rooms.take(LARGE);
  const second = rooms.take(LARGE + 1);
  t.equal(first.length, LARGE);
  t.equal(second.length, LARGE + 1);
  t.ok(first.buffer instanceof SharedArrayBuffer);
  t.not(first.buffer, second.buffer);
  rooms.giveBack(first.subarray(0, 10));
  rooms.giveBack(first);
  t.equal(rooms.take(MAX_PAYLOAD_LENGTH).buffer, first.buffer);
  t.not(rooms.take(LARGE).buffer, first.buffer, 'given back twice, it is one room all the same');
});

t.test('other memory is let alone', async (t) => {
  const rooms = new PayloadRooms();
  const small = rooms.take(100);
  t.notOk(small.buffer instanceof SharedArrayBuffer);
  t.equal(small.byteOffset, 0);
  t.equal(small.buffer.byteLength, 100, 'nothing else is in it');
  const strange = Buffer.from(new SharedArrayBuffer(2 * MAX_PAYLOAD_LENGTH));
  for (const bytes of [small, strange, rooms.take(LARGE).subarray(1), Buffer.alloc(LARGE)]) {
    rooms.giveBack(bytes);
    t.not(rooms.take(LARGE).buffer, bytes.buffer);
  }
});

t.test('a few free ones are kept', async (t) => {
  const rooms = new PayloadRooms();
  const taken = Array.from({ length: 20 }, () => rooms.take(LARGE));
  for (const bytes of taken) rooms.giveBack(bytes);
  const known = new Set(taken.map(({ buffer }) => buffer));
  const again = Array.from({ length: 20 }, () => rooms.take(LARGE));
  t.equal(again.filter(({ buffer }) => known.has(buffer)).length, 8);
});
