/** Messages over links: what is sent is heard, in any size; what is no message ends the link. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { type Frame, MAX_PAYLOAD_LENGTH } from '../../src/format/wire/frame.js';
import type { Link } from '../../src/sync/peers/link.js';
import { LinkFabric, MESSAGE_MAX_BYTES } from '../../src/sync/peers/link-fabric.js';

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
t.comment(`SEED=${SEED}`);

class FakeLink implements Link {
  readonly backlogBytes = 0;
  readonly name = 'other';
  onFrame: ((frame: Frame) => void) | undefined;
  onDrain: undefined;
  onClose: undefined;
  closed: string | undefined;
  other: FakeLink | undefined;
  constructor(readonly peer: string) {}
  send(frame: Frame): void {
    this.other?.onFrame?.(frame);
  }
  pause(): void {}
  resume(): void {}
  close(reason: string): void {
    this.closed = reason;
  }
}

function pair() {
  const one = new LinkFabric<unknown>('one', (action) => action());
  const two = new LinkFabric<unknown>('two', (action) => action());
  const toTwo = new FakeLink('two');
  const toOne = new FakeLink('one');
  toTwo.other = toOne;
  toOne.other = toTwo;
  one.linkUp(toTwo);
  two.linkUp(toOne);
  const heard: [string, unknown][] = [];
  two.receive((from, message) => heard.push([from, message]));
  return { one, two, toOne, toTwo, heard };
}

t.test('what is sent is heard', async () => {
  const bytes = fc.uint8Array({ maxLength: 50 }).map((list) => Buffer.from(list));
  const message = fc.record(
    {
      call: fc.nat(),
      text: fc.string(),
      list: fc.array(fc.string()),
      bytes,
      more: fc.array(bytes),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(message, (what) => {
      const { one, heard } = pair();
      one.send(['two', 'three'], what);
      assert.deepEqual(heard, [['one', what]]);
    }),
    { seed: SEED, numRuns: 200 },
  );
});

t.test('large ones, to oneself, to nobody', async (t) => {
  const { one, two, toTwo, heard } = pair();
  const large = {
    text: 'x'.repeat(3 * MAX_PAYLOAD_LENGTH),
    bytes: Buffer.alloc(2 * MAX_PAYLOAD_LENGTH, 7),
  };
  one.send(['two'], large);
  t.same(heard.pop(), ['one', large]);
  t.throws(() => one.send(['two'], 'x'.repeat(MESSAGE_MAX_BYTES)), { code: 'message-too-long' });
  two.send(['two'], { n: 1 });
  t.same(heard.pop(), ['two', { n: 1 }]);
  one.linkDown(toTwo);
  one.send(['two'], { n: 2 });
  t.same(heard, []);
});

t.test('bytes are never made into text on the way', async (t) => {
  const { one, heard } = pair();
  const bytes = Object.assign(Buffer.alloc(1000, 7), {
    toJSON: () => t.fail('an array of numbers was made'),
  });
  one.send(['two'], { list: [{ bytes }] });
  t.match(heard.pop(), ['one', { list: [{ bytes: Buffer.alloc(1000, 7) }] }]);
});

t.test('what is no message ends the link', async (t) => {
  const wrong: [Record<string, unknown>, string][] = [
    [{}, '{}'],
    [{ json: 3 }, '{}'],
    [{ json: -1 }, '{}'],
    [{ json: 1 }, '{}'],
    [{ json: 22 }, '{"b":{"$bytes":[0,9]}}12345678'],
    [{ json: 23 }, '{"b":{"$bytes":[-1,2]}}12345678'],
    [{ json: 15 }, '{"$bytes":true}12345678'],
    [{ json: 2 }, ''],
  ];
  for (const [body, text] of wrong) {
    const { toOne, toTwo, heard } = pair();
    toTwo.send({ kind: 'message', body, payload: Buffer.from(text) });
    t.ok(toOne.closed, text);
    t.same(heard, []);
  }
  const { toOne, toTwo } = pair();
  const payload = Buffer.alloc(MAX_PAYLOAD_LENGTH);
  for (let n = 0; n <= 8; n++) toTwo.send({ kind: 'message', body: { more: true }, payload });
  t.match(toOne.closed, /more than 8388608 bytes/);
});
