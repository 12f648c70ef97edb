/** The stream's codec: what goes in comes out, and nothing else is ever believed. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { CommandError } from '../../../src/lib/errors.js';
import {
  MAX_FRAME_BYTES,
  StreamDecoder,
  StreamEncoder,
  type StreamEvent,
  type StreamHeader,
} from '../../../src/format/wire/stream.js';
import { decodeRecord, type StreamRecord } from '../../../src/format/wire/stream-records.js';

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
t.comment(`SEED=${SEED}`);
const RUNS = { seed: SEED, numRuns: 300 };

const UUID = '12345678-1234-1234-1234-123456789abc';
const HEADER: StreamHeader = {
  volume: UUID,
  history: UUID,
  from: null,
  to: { uuid: UUID, name: 'one', createdMs: 1_700_000_000_000 },
  blockSize: 4096,
  compression: false,
  allocators: { 2: UUID },
};

const byteString = (min: number, max: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: min, maxLength: max })
    .map((bytes) => Buffer.from(bytes).toString('latin1'));
const fileName = byteString(1, 255).filter(
  (name) => !/[/\0]/.test(name) && name !== '.' && name !== '..',
);
const ino = fc.integer({ min: 1, max: 2 ** 52 - 1 });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const size = fc.integer({ min: 0, max: 2 ** 52 });
const time = fc.record({
  s: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
  ns: fc.integer({ min: 0, max: 999_999_999 }),
});
const links = fc.array(fc.record({ parent: ino, name: fileName }), { maxLength: 64 });
const bytes = (max: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array));
const blockIndex = fc.integer({ min: 0, max: 2 ** 40 });

const inode = fc
  .record(
    {
      kind: fc.constant('inode' as const),
      ino,
      isNew: fc.boolean(),
      hasData: fc.boolean(),
      type: fc.constantFrom(1, 2, 4, 6, 8, 10, 12),
      permissions: fc.integer({ min: 0, max: 0o7777 }),
      uid: uint32,
      gid: uint32,
      rdev: uint32,
      nlink: uint32,
      size,
      allocated: size,
      atime: time,
      mtime: time,
      ctime: time,
      btime: time,
      cut: size,
      target: byteString(0, 4096),
      links,
      removed: links,
    },
    {
      requiredKeys: [
        ...(['kind', 'ino', 'isNew', 'hasData', 'type', 'permissions', 'uid', 'gid'] as const),
        ...(['rdev', 'nlink', 'size', 'allocated', 'atime', 'mtime', 'ctime', 'btime'] as const),
        'target',
        'links',
      ],
    },
  )
  .map(({ type, permissions, target, ...rest }): StreamRecord => {
    const mode = (type << 12) | permissions;
    return { ...rest, mode, ...(type === 10 && { target }) } as StreamRecord;
  });

const record: fc.Arbitrary<StreamRecord> = fc.oneof(
  inode,
  fc.record({ kind: fc.constant('gone' as const), ino }),
  fc.record({
    kind: fc.constant('attribute' as const),
    name: byteString(1, 255).filter((name) => !name.includes('\0')),
    value: fc.option(
      bytes(70_000).filter(({ length }) => length <= 65536),
      { nil: undefined },
    ),
  }),
  fc.record({
    kind: fc.constant('entry' as const),
    name: fileName,
    ino,
    type: fc.constantFrom(1, 2, 4, 6, 8, 10, 12),
  }),
  fc.record({
    kind: fc.constant('entry' as const),
    name: fileName,
    ino: fc.constant(0),
    type: fc.constant(0),
  }),
  fc.record({ kind: fc.constant('block' as const), index: blockIndex, bytes: bytes(128 * 1024) }),
  fc.record({ kind: fc.constant('hole' as const), index: blockIndex }),
);

/** The frames of a stream, the preamble with the header first. */
function framesOf(records: readonly StreamRecord[], perFrame = 3, header = HEADER): Buffer[] {
  const encoder = new StreamEncoder(header);
  const frames: (Buffer | undefined)[] = [encoder.start()];
  for (const [i, one] of records.entries()) {
    frames.push(encoder.add(one));
    if (i % perFrame === perFrame - 1) frames.push(encoder.flush());
  }
  frames.push(encoder.flush(), encoder.finish());
  return frames.filter((frame) => frame !== undefined);
}

interface Decoded {
  events: StreamEvent[];
  records: StreamRecord[];
  isDone: boolean;
  code: string | undefined;
  held: number;
}

function decode(pieces: Iterable<Buffer>): Decoded {
  const decoder = new StreamDecoder();
  const decoded: Decoded = { events: [], records: [], isDone: false, code: undefined, held: 0 };
  try {
    for (const piece of pieces) {
      for (const event of decoder.push(piece)) {
        decoded.events.push(event);
        if (event.kind === 'records') decoded.records.push(...event.records);
      }
      decoded.held = Math.max(decoded.held, decoder.rest().length);
    }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    decoded.code = error.code;
  }
  decoded.isDone = decoder.isDone;
  return decoded;
}

function* cut(bytes: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** fast-check's objects have no prototype; those of the codec have. */
function plain<T>(value: T): T {
  if (Buffer.isBuffer(value) || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain) as T;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)])) as T;
}

/** Only whole frames of the beginning were believed. */
function isPrefix(records: readonly StreamRecord[], of: readonly StreamRecord[]): boolean {
  return isDeepStrictEqual(records, plain(of.slice(0, records.length)));
}

t.test('round trip, in pieces of any size', async (t) => {
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 20 }),
      fc.integer({ min: 1, max: 5000 }),
      (records, length) => {
        const decoded = decode(cut(Buffer.concat(framesOf(records)), length));
        assert.equal(decoded.code, undefined);
        assert.ok(decoded.isDone);
        assert.deepEqual(decoded.records, plain(records));
        assert.deepEqual(decoded.events[0], { kind: 'header', header: HEADER });
      },
    ),
    { ...RUNS, numRuns: 60 },
  );
  t.pass('held for every case');
});

t.test('a stream that is cut short is not done', async (t) => {
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 8 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (records, part) => {
        const whole = Buffer.concat(framesOf(records));
        const decoded = decode([whole.subarray(0, Math.floor(part * (whole.length - 1)))]);
        assert.ok(!decoded.isDone);
        assert.equal(decoded.code, undefined);
        assert.ok(isPrefix(decoded.records, records));
      },
    ),
    { ...RUNS, numRuns: 100 },
  );
  t.pass('held for every case');
});

t.test('a flipped bit is found where it is', async (t) => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 8 }), fc.nat(), fc.nat(7), (records, where, bit) => {
      const whole = Buffer.concat(framesOf(records));
      const at = where % whole.length;
      whole[at] = (whole[at] as number) ^ (1 << bit);
      const { code, isDone, records: seen } = decode(cut(whole, 1000));
      assert.ok(!isDone);
      // A length that has become larger waits for bytes that never come.
      const codes = ['stream-damaged', 'not-a-stream', 'newer-stream', undefined];
      assert.ok(codes.includes(code), code ?? 'incomplete');
      assert.ok(isPrefix(seen, records));
    }),
    RUNS,
  );
  t.pass('held for every case');
});

t.test('frames out of order, repeated, missing, or of another stream', async (t) => {
  const records: StreamRecord[] = Array.from({ length: 12 }, (_, i) => ({
    kind: 'hole',
    index: i,
  }));
  const frames = framesOf(records, 2);
  fc.assert(
    fc.property(fc.shuffledSubarray(frames.slice(1), { minLength: 1 }), (some) => {
      const stream = [frames[0] as Buffer, ...some];
      const isWhole = Buffer.concat(stream).equals(Buffer.concat(frames));
      const { isDone, code, records: seen } = decode(stream);
      assert.equal(isDone, isWhole);
      const isStart = Buffer.concat(frames)
        .subarray(0, Buffer.concat(stream).length)
        .equals(Buffer.concat(stream));
      assert.equal(code, isStart ? undefined : 'stream-damaged');
      assert.ok(isPrefix(seen, records));
    }),
    RUNS,
  );
  t.pass('held for every case');
  const doubled = [...frames.slice(0, 2), ...frames.slice(1)];
  t.equal(decode(doubled).code, 'stream-damaged');
  const other = framesOf(records, 2, { ...HEADER, compression: true });
  t.equal(decode([...frames.slice(0, 3), ...other.slice(3)]).code, 'stream-damaged');
});

t.test('a frame with an impossible length is refused at once', async (t) => {
  const start = new StreamEncoder(HEADER).start();
  for (const length of [0, MAX_FRAME_BYTES + 1, 2 ** 31, 2 ** 32 - 1]) {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(length);
    t.equal(decode([start, head]).code, 'stream-damaged', `${length} bytes`);
  }
});

t.test('an endless stream without content needs no memory', async (t) => {
  function* endless(): Generator<Buffer> {
    yield new StreamEncoder(HEADER).start();
    for (let i = 0; i < 500; i++) yield Buffer.alloc(64 * 1024, 0x11);
  }
  const { code, held } = decode(endless());
  t.equal(code, 'stream-damaged');
  t.ok(held <= MAX_FRAME_BYTES);
});

t.test('other data, or a newer version, is refused', async (t) => {
  t.equal(decode([Buffer.from('PK\x03\x04')]).code, 'not-a-stream');
  t.equal(decode([Buffer.from('S'), Buffer.from('H')]).code, 'not-a-stream');
  const newer = Buffer.from(new StreamEncoder(HEADER).start());
  newer.writeUInt32BE(2, 8);
  t.equal(decode([newer]).code, 'newer-stream');
});

t.test('an incomplete header is refused', async (t) => {
  const broken: unknown[] = [
    { ...HEADER, volume: 'x' },
    { ...HEADER, blockSize: 5000 },
    { ...HEADER, to: null },
    { ...HEADER, from: {} },
    { ...HEADER, allocators: { 70000: UUID } },
    { ...HEADER, resumed: { records: -1, chain: '' } },
    null,
    7,
  ];
  for (const header of broken) {
    const start = new StreamEncoder((header as StreamHeader) ?? ({} as StreamHeader)).start();
    t.equal(decode([start]).code, 'stream-damaged', JSON.stringify(header));
  }
});

t.test('a stream resumes from a position, and only there', async (t) => {
  const records: StreamRecord[] = Array.from({ length: 10 }, (_, i) => ({
    kind: 'hole',
    index: i,
  }));
  const first = decode(framesOf(records, 2).slice(0, 3));
  const last = first.events.at(-1);
  if (last?.kind !== 'records') throw new Error('no records');
  const { position } = last;
  t.equal(position.records, 4);
  const rest = framesOf(records.slice(4), 2, { ...HEADER, resumed: position });
  const second = decode(rest);
  t.ok(second.isDone);
  t.strictSame([...first.records, ...second.records], records);
  t.strictSame(second.events.at(-1), { kind: 'end', records: 10 });
  // The same bytes follow as without the interruption.
  t.strictSame(rest.slice(1), framesOf(records, 2).slice(3));
});

t.test('any bytes are a record or a RangeError', async (t) => {
  fc.assert(
    fc.property(bytes(300), (some) => {
      try {
        const { end } = decodeRecord(some, 0);
        assert.ok(end <= some.length);
      } catch (error) {
        assert.ok(error instanceof RangeError);
      }
    }),
    { ...RUNS, numRuns: 2000 },
  );
  t.pass('held for every case');
});
