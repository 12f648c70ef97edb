/** Frames between peers: any cut gives the same frames, and nothing is believed that can't be. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import {
  encodeFrame,
  type Frame,
  FRAME_HEADER_LENGTH,
  FrameDecoder,
  FrameError,
  MAX_BODY_LENGTH,
  MAX_PAYLOAD_LENGTH,
} from '../../../src/format/wire/frame.js';
import { checksum } from '../../../src/format/checksum.js';

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
t.comment(`SEED=${SEED}`);
const RUNS = { seed: SEED, numRuns: 300 };

const KINDS = ['hello', 'have', 'data'];
const LIMITS = {
  kinds: new Set(KINDS),
  bodyMax: MAX_BODY_LENGTH,
  payloadMax: MAX_PAYLOAD_LENGTH,
};

const frames: fc.Arbitrary<Frame[]> = fc.array(
  fc.record({
    kind: fc.constantFrom(...KINDS),
    body: fc.dictionary(
      fc.string({ minLength: 1, maxLength: 8 }).filter((key) => key !== '__proto__'),
      fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string())),
      { maxKeys: 5, noNullPrototype: true },
    ),
    payload: fc.uint8Array({ maxLength: 5_000 }),
  }),
  { maxLength: 6 },
);

function decode(pieces: Iterable<Uint8Array>, decoder = new FrameDecoder(LIMITS)): Frame[] {
  return [...pieces].flatMap((piece) => [...decoder.push(piece)]);
}

const plain = ({ kind, body, payload }: Frame): object => ({
  kind,
  body,
  payload: Buffer.from(payload).toString('hex'),
});

t.test('any cut of the bytes gives the same frames', async () => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 700 })), (list, cuts) => {
      const bytes = Buffer.concat(list.map(encodeFrame));
      const pieces: Buffer[] = [];
      let at = 0;
      for (const cut of cuts) {
        // The same memory is used again by who reads a socket.
        pieces.push(Buffer.from(bytes.subarray(at, at + cut)));
        at += cut;
      }
      pieces.push(bytes.subarray(at));
      const decoder = new FrameDecoder(LIMITS);
      const found = pieces.flatMap((piece) => {
        const got = [...decoder.push(piece)];
        piece.fill(0xff);
        return got;
      });
      assert.deepEqual(found.map(plain), list.map(plain));
      assert.equal(decoder.isInside, false);
    }),
    RUNS,
  );
});

t.test(
  'a flipped bit gives frames or a FrameError, and never exceeds the memory limit',
  async () => {
    fc.assert(
      fc.property(frames, fc.nat(), (list, bit) => {
        const bytes = Buffer.concat(list.map(encodeFrame));
        if (bytes.length === 0) return;
        const at = (bit >> 3) % bytes.length;
        bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
        try {
          decode([bytes]);
        } catch (error) {
          assert.ok(error instanceof FrameError, String(error));
        }
      }),
      RUNS,
    );
  },
);

t.test('garbage is refused at once', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: FRAME_HEADER_LENGTH, maxLength: 300 }), (bytes) => {
      assert.throws(() => decode([bytes]), FrameError);
    }),
    RUNS,
  );
});

/** A header that is right but for what is changed in it. */
function header(change: (bytes: Buffer) => void): Buffer {
  const bytes = encodeFrame({ kind: 'data', body: {}, payload: new Uint8Array(0) });
  change(bytes);
  bytes.writeUInt32BE(checksum(bytes, 0, FRAME_HEADER_LENGTH - 4), FRAME_HEADER_LENGTH - 4);
  return bytes;
}

t.test('invalid lengths in a header are refused', async (t) => {
  const cases: [string, Buffer, RegExp][] = [
    ['4 GiB of payload', header((b) => b.writeUInt32BE(2 ** 32 - 1, 8)), /4294967295 bytes of pay/],
    ['one byte too many', header((b) => b.writeUInt32BE(MAX_PAYLOAD_LENGTH + 1, 8)), /1048577/],
    ['4 GiB of text', header((b) => b.writeUInt32BE(2 ** 32 - 1, 4)), /4294967295 bytes of text/],
    ['no kind', header((b) => b.writeUInt8(0, 3)), /a kind of 0 bytes/],
    ['a long kind', header((b) => b.writeUInt8(255, 3)), /a kind of 255 bytes/],
    ['another version', header((b) => b.writeUInt8(9, 2)), /version 9/],
  ];
  for (const [name, bytes, message] of cases) {
    t.throws(() => decode([bytes]), { name: 'FrameError', message }, name);
  }
  const before = process.memoryUsage().arrayBuffers;
  const endless = header((b) => b.writeUInt32BE(MAX_PAYLOAD_LENGTH, 8));
  const decoder = new FrameDecoder(LIMITS);
  t.equal([...decoder.push(endless)].length, 0);
  t.ok(process.memoryUsage().arrayBuffers - before < 3 * MAX_PAYLOAD_LENGTH);
  t.ok(decoder.isInside);
});

t.test('invalid frames are refused', async (t) => {
  const unknown = encodeFrame({ kind: 'other', body: {}, payload: new Uint8Array(0) });
  t.throws(() => decode([unknown]), /unknown kind "other"/);
  const noObject = encodeFrame({ kind: 'data', body: [] as never, payload: new Uint8Array(0) });
  t.throws(() => decode([noObject]), /no JSON object/);
  const stranger = new FrameDecoder({ ...LIMITS, payloadMax: 0 });
  const data = encodeFrame({ kind: 'data', body: {}, payload: Buffer.from('x') });
  t.throws(() => decode([data], stranger), /announces 1 bytes of payload/);
  const tooLong = { kind: 'data', body: { text: 'x'.repeat(MAX_BODY_LENGTH) } };
  t.throws(() => encodeFrame({ ...tooLong, payload: new Uint8Array(0) }), /too long/);
});
