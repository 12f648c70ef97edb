/** The FUSE codec: layouts against hand-made bytes, and garbage that must not hurt. */
import fc from 'fast-check';
import t from 'tap';
import * as bodies from '../../../src/fuse/protocol/bodies.js';
import { isSentBy, negotiate, type Wishes } from '../../../src/fuse/protocol/negotiate.js';
import { parseKernelOverride } from '../../../src/fuse/protocol/kernel-override.js';
import { alignMessage, encodeNotifications } from '../../../src/fuse/protocol/notifications.js';
import { InitFlag, Opcode } from '../../../src/fuse/protocol/protocol.js';
import { Reply } from '../../../src/fuse/protocol/reply.js';
import { Request } from '../../../src/fuse/protocol/request.js';
import { EMPTY, FuseSession } from '../../../src/fuse/session/session.js';
import type { SessionOptions } from '../../../src/fuse/session/session-options.js';
import { undoLookups } from '../../../src/fuse/session/undo-lookups.js';
import { O_NONBLOCK } from '../../../src/libc/constants.js';
import { socketpair } from '../../../src/libc/fd-passing.js';
import { close, getStatusFlags, read, setStatusFlags, write } from '../../../src/libc/libc.js';
import type { Attributes } from '../../../src/tree/operations.js';
import { MemoryOps } from '../../mount/memory-ops.js';

/** Opcodes the kernel expects no answer to. */
const UNANSWERED: ReadonlySet<number> = new Set<number>([
  Opcode.FORGET,
  Opcode.BATCH_FORGET,
  Opcode.INTERRUPT,
  Opcode.NOTIFY_REPLY,
]);

/** A request's bytes; `length` to lie about it. */
function requestBytes(opcode: number, body: Buffer, node = 1n, length = 40 + body.length): Buffer {
  const bytes = Buffer.from(new ArrayBuffer((40 + body.length + 7) & ~7));
  bytes.writeUInt32LE(length >>> 0, 0);
  bytes.writeUInt32LE(opcode, 4);
  bytes.writeBigUInt64LE(0x1122334455667788n, 8);
  bytes.writeBigUInt64LE(node, 16);
  bytes.writeUInt32LE(1000, 24);
  bytes.writeUInt32LE(1001, 28);
  bytes.writeUInt32LE(4242, 32);
  body.copy(bytes, 40);
  return bytes;
}

function request(opcode: number, body: Buffer, node = 1n): Request {
  const made = new Request(requestBytes(opcode, body, node));
  t.equal(made.load(40 + body.length), undefined);
  return made;
}

function longs(...values: (bigint | number)[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [i, value] of values.entries())
    bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)), 8 * i);
  return bytes;
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, 4 * i);
  return bytes;
}

const code = (name: string) => ({ name: 'FsError', code: name });

t.test('headers', (t) => {
  const good = new Request(requestBytes(Opcode.LOOKUP, Buffer.from('a\xff\0', 'latin1'), 77n));
  t.equal(good.load(43), undefined);
  t.same(good.caller(), { uid: 1000, gid: 1001, pid: 4242 });
  t.equal(good.node, 77);
  t.equal(good.name(0), 'a\xff');
  t.match(good.load(39), /39 bytes/);
  t.match(good.load(44), /length field 43, received 44/);
  t.match(good.load(1e9), /bytes/);
  const copy = good.detach();
  good.bytes.fill(0);
  t.equal(copy.name(0), 'a\xff', 'a detached request has its own bytes');
  t.equal(copy.uniqueHigh, 0x11223344);

  const extended = requestBytes(Opcode.LOOKUP, Buffer.from('abc\0....extension'));
  extended.writeUInt16LE(2, 36);
  const cut = new Request(extended);
  t.equal(cut.load(57), undefined);
  t.equal(cut.bodyBytes, 1, 'extensions are cut off');
  extended.writeUInt16LE(3, 36);
  t.match(cut.load(57), /extensions of 24/);
  t.end();
});

t.test('invalid names and numbers are refused', (t) => {
  const name = (text: string) => request(Opcode.LOOKUP, Buffer.from(text, 'latin1')).name(0);
  t.throws(() => name(''), code('EIO'));
  t.throws(() => name('no terminator'), code('EIO'));
  for (const bad of ['', '.', '..', 'a/b']) t.throws(() => name(`${bad}\0`), code('EINVAL'));
  t.equal(name(`${'x'.repeat(255)}\0`).length, 255);
  t.throws(() => name(`${'x'.repeat(256)}\0`), code('ENAMETOOLONG'));
  t.throws(() => request(Opcode.LOOKUP, Buffer.from('a\0'), 1n << 53n).node, code('EOVERFLOW'));
  t.equal(request(Opcode.LOOKUP, Buffer.from('a\0'), (1n << 53n) - 1n).node, 2 ** 53 - 1);
  t.throws(
    () =>
      bodies.decodeWrite(
        request(Opcode.WRITE, Buffer.concat([longs(0, 1n << 53n), words(0, 0), longs(0, 0)])),
      ),
    code('EFBIG'),
  );
  t.throws(
    () =>
      bodies.decodeWrite(
        request(
          Opcode.WRITE,
          Buffer.concat([longs(0, 0), words(9, 0), longs(0, 0), Buffer.alloc(8)]),
        ),
      ),
    code('EIO'),
    'more data announced than there is',
  );
  t.throws(
    () => bodies.decodeReaddir(request(Opcode.READDIR, longs(0, -1, 0, 0, 0))),
    code('EOVERFLOW'),
  );
  t.end();
});

t.test('bodies', (t) => {
  const wrote = bodies.decodeWrite(
    request(
      Opcode.WRITE,
      Buffer.concat([longs(7, 0x1_0000_0001n), words(3, 4), longs(0, 0), Buffer.from('abc')]),
    ),
  );
  t.match(wrote, { fh: 7, offset: 0x1_0000_0001, flags: 4 });
  t.equal(wrote.data.toString(), 'abc');

  const set = bodies.decodeSetattr(
    request(
      Opcode.SETATTR,
      Buffer.concat([
        words(0xfff & ~(1 << 7), 0),
        longs(9, 123, 0, -5, 0, 99999999999n),
        words(500, 0, 7, 0o104755, 0, 1000, 2000, 0),
      ]),
    ),
  );
  t.same(set, {
    fh: 9,
    changes: {
      mode: 0o4755,
      uid: 1000,
      gid: 2000,
      size: 123,
      atime: { s: -5, ns: 500 },
      mtime: 'now',
      ctime: { s: 99999999999, ns: 7 },
      killSetId: true,
    },
  });
  const far = longs(0, 0, 0, 2n ** 62n, -(2n ** 63n), 0);
  const times = Buffer.concat([words((1 << 4) | (1 << 5), 0), far, Buffer.alloc(32)]);
  t.match(
    bodies.decodeSetattr(request(Opcode.SETATTR, times)).changes,
    { atime: { s: 2 ** 62 }, mtime: { s: -(2 ** 63) } },
    'what can be held, the volume knows',
  );
  t.same(
    bodies.decodeRename2(
      request(Opcode.RENAME2, Buffer.concat([longs(5), words(1, 0), Buffer.from('a\0bc\0')])),
    ),
    {
      newParent: 5,
      flags: 1,
      name: 'a',
      newName: 'bc',
    },
  );
  const xattr = Buffer.concat([words(2, 1), Buffer.from('user.a\0v\0')]);
  t.match(bodies.decodeSetxattr(request(Opcode.SETXATTR, xattr), false), {
    name: 'user.a',
    flags: 1,
  });
  const forgotten: number[][] = [];
  bodies.decodeBatchForget(
    request(Opcode.BATCH_FORGET, Buffer.concat([words(1000, 0), longs(5, 1, 6, 2)])),
    (...pair) => forgotten.push(pair),
  );
  t.same(
    forgotten,
    [
      [5, 1],
      [6, 2],
    ],
    'a count beyond the body is cut',
  );
  t.throws(
    () => bodies.decodeSymlink(request(Opcode.SYMLINK, Buffer.from('a\0\0'))),
    code('ENOENT'),
  );
  t.end();
});

const attr: Attributes = {
  inoHigh: 0x80000001,
  inoLow: 2,
  mode: 0o100644,
  nlink: 1,
  uid: 3,
  gid: 4,
  rdev: (5 << 8) | 6,
  size: 2 ** 40 + 1,
  blocks: 8,
  blksize: 4096,
  atimeS: -1,
  atimeNs: 1,
  mtimeS: 2 ** 33,
  mtimeNs: 2,
  ctimeS: 3,
  ctimeNs: 3,
  btimeS: 4,
  btimeNs: 4,
  attrTimeoutS: 1.5,
};

t.test('replies', (t) => {
  const reply = new Reply(4096);
  const body = (at: number): number => 16 + at;
  t.equal(reply.entry({ nodeId: 2 ** 52, entryTimeoutS: 1e12, attr }), 128);
  const { bytes } = reply;
  t.equal(bytes.readBigUInt64LE(body(0)), 1n << 52n);
  t.equal(bytes.readBigUInt64LE(body(16)), 0x7fffffffn, 'a time without end is bounded');
  t.equal(bytes.readBigUInt64LE(body(24)), 1n);
  t.equal(bytes.readUInt32LE(body(36)), 5e8);
  t.equal(bytes.readBigUInt64LE(body(40)), 0x8000000100000002n);
  t.equal(bytes.readBigUInt64LE(body(48)), 2n ** 40n + 1n);
  t.equal(bytes.readBigInt64LE(body(64)), -1n, 'times before 1970');
  t.equal(bytes.readBigInt64LE(body(72)), 2n ** 33n);

  t.equal(reply.statx(attr), 288);
  t.equal(bytes.readUInt16LE(body(32 + 28)), 0o100644);
  t.equal(bytes.readBigInt64LE(body(32 + 80)), 4n);
  t.same([bytes.readUInt32LE(body(32 + 128)), bytes.readUInt32LE(body(32 + 132))], [5, 6]);

  t.equal(reply.finish(1, 2, 5, 0), 16);
  t.same([bytes.readInt32LE(0), bytes.readInt32LE(4)], [16, -5]);

  bytes.fill(0xee);
  let at = reply.dirent(0, 100, 'abc', 1, 2, 0o040000, 2 ** 40);
  t.equal(at, 32);
  t.equal(bytes.toString('latin1', body(24), body(32)), 'abc\0\0\0\0\0', 'padded with zeros');
  t.same([bytes.readUInt32LE(body(16)), bytes.readUInt32LE(body(20))], [3, 4]);
  t.equal(reply.dirent(at, 63, 'x', 0, 0, 0, 0), at, 'no room');
  at = reply.direntPlus(0, 4096, 'n', 0, 9, 0o100000, 1, { nodeId: 55, entryTimeoutS: 0, attr });
  at = reply.direntPlus(at, 4096, '.', 0, 9, 0o040000, 1, undefined);
  at = reply.direntPlus(at, 4096, 'name', 0, 9, 0o100000, 1, {
    nodeId: 56,
    entryTimeoutS: 0,
    attr,
  });
  const forgotten: number[] = [];
  const ops = { forget: (node: number) => forgotten.push(node) } as unknown as MemoryOps;
  undoLookups(ops, Opcode.READDIRPLUS, reply, at);
  t.same(forgotten, [55, 56], 'a listing that was not taken is forgotten');
  t.end();
});

t.test('notifications', (t) => {
  const block = Buffer.from(
    encodeNotifications([
      { kind: 'inval-inode', node: 2 ** 40, offset: -1, length: 0 },
      { kind: 'inval-entry', parent: 1, name: 'ab', expireOnly: true },
      { kind: 'delete', parent: 5, child: 6, name: 'abc' },
      { kind: 'inc-epoch' },
      { kind: 'prune', nodes: [3, 4] },
    ]),
  );
  const seen: number[][] = [];
  let at = 0;
  while (at < block.length) {
    const length = block.readUInt32LE(at);
    seen.push([length, block.readUInt32LE(at + 4), Number(block.readBigUInt64LE(at + 8))]);
    at += alignMessage(length);
  }
  t.same(seen, [
    [40, 2, 0],
    [35, 3, 0],
    [44, 6, 0],
    [16, 8, 0],
    [48, 9, 0],
  ]);
  t.equal(block.readBigInt64LE(24), -1n);
  t.equal(block.toString('latin1', 40 + 32, 40 + 35), 'ab\0');
  t.same(
    [16, 24].map((offset) => Number(block.readBigUInt64LE(80 + offset))),
    [5, 6],
  );
  t.equal(block.toString('latin1', 80 + 40, 80 + 44), 'abc\0');
  t.end();
});

t.test('negotiation', (t) => {
  const offer = { major: 7, minor: 45, maxReadahead: 131072, flags: -1, flags2: -1 };
  const wishes = {
    maxWriteBytes: 1 << 20,
    maxBackground: 64,
    maxReadaheadBytes: 1 << 24,
    acls: true,
    pretence: {},
  };
  const full = negotiate(offer, wishes);
  if (typeof full === 'string') return t.fail(full);
  t.match(full.negotiated, {
    minor: 45,
    writeback: true,
    noOpen: true,
    incEpoch: true,
    prune: true,
    expireOnly: true,
  });
  t.match(full.reply, { maxPages: 256, maxWriteBytes: 1 << 20, maxBackground: 64 });
  t.equal(
    full.reply.flags & InitFlag.ATOMIC_O_TRUNC,
    0,
    'never: it loses truncations with no-open',
  );
  t.equal(full.reply.flags & InitFlag.ASYNC_DIO, 0, 'never: cached pages would stay old');
  t.equal(full.reply.flags & (InitFlag.EXPORT_SUPPORT | InitFlag.AUTO_INVAL_DATA), 0);
  const acls = InitFlag.DONT_MASK | InitFlag.POSIX_ACL;
  const flagsFor = (flags: number, asked: Partial<Wishes>): number => {
    const answer = negotiate({ ...offer, flags }, { ...wishes, ...asked });
    return typeof answer === 'string' ? -1 : answer.reply.flags & acls;
  };
  t.equal(flagsFor(-1, {}), acls, 'ACLs and the umask belong together');
  t.equal(flagsFor(-1, { acls: false }), 0);
  t.equal(flagsFor(-1, { kernelOverride: { posixAcl: false } }), 0);
  t.equal(flagsFor(~InitFlag.DONT_MASK, {}), 0);
  const old = negotiate({ ...offer, minor: 31, flags: InitFlag.BIG_WRITES }, wishes);
  t.match(old, {
    negotiated: { writeback: false, noOpen: false, acls: false, maxWriteBytes: 131072 },
    reply: { flags: InitFlag.BIG_WRITES, flags2: 0, maxPages: 0, minor: 31 },
  });
  t.equal(negotiate({ ...offer, minor: 30 }, wishes), 'too-old');
  t.equal(negotiate({ ...offer, major: 8 }, wishes), 'other-major');
  t.match(negotiate({ ...offer, minor: 99 }, wishes), { negotiated: { minor: 45 } });
  t.match(negotiate(offer, { ...wishes, kernelOverride: { minor: 32 } }), {
    negotiated: { killPriv: false, setxattrExtended: false, expireOnly: false, minor: 32 },
  });
  return t.end();
});

t.test('the kernel override', (t) => {
  t.same(parseKernelOverride(undefined), {});
  t.same(parseKernelOverride('minor=31,noOpen=off,maxWrite=16384,'), {
    minor: 31,
    noOpen: false,
    maxWriteBytes: 16384,
  });
  for (const bad of ['minor=x', 'minor', 'noOpen=on', 'noOpen', 'other=off', 'maxWrite=-1']) {
    t.throws(() => parseKernelOverride(bad), { code: 'bad-option' }, bad);
  }
  const offer = { major: 7, minor: 45, maxReadahead: 131072, flags: -1, flags2: -1 };
  const told = (text: string): object => {
    const answer = negotiate(offer, { acls: true, kernelOverride: parseKernelOverride(text) });
    return typeof answer === 'string' ? { answer } : answer.negotiated;
  };
  const full = {
    ...{ noOpen: true, killPriv: true, acls: true, setxattrExtended: true },
    ...{ expireOnly: true, incEpoch: true, prune: true },
  };
  t.match(told(''), full);
  t.match(told('posixAcl=off'), { ...full, acls: false });
  t.match(told('expireOnly=off'), { ...full, expireOnly: false });
  t.match(told('incEpoch=off,prune=off'), { ...full, incEpoch: false, prune: false });
  t.match(told('minor=37'), { ...full, expireOnly: false, incEpoch: false, prune: false });
  t.ok(isSentBy(45, Opcode.COPY_FILE_RANGE_64) && !isSentBy(44, Opcode.COPY_FILE_RANGE_64));
  t.ok(isSentBy(31, Opcode.LOOKUP) && !isSentBy(31, Opcode.TMPFILE) && !isSentBy(38, Opcode.STATX));
  t.end();
});

/** A session over a socket: what is written to the other end is a request. */
function socketSession(options: Partial<SessionOptions> = {}) {
  const pair = socketpair();
  if (typeof pair === 'number') throw new Error(`socketpair: ${pair}`);
  for (const fd of pair) setStatusFlags(fd, getStatusFlags(fd) | O_NONBLOCK);
  const [ours, kernels] = pair;
  const logged: string[] = [];
  const ops = new MemoryOps((_delayMs, run) => run(), 0, 0);
  const log = (message: string): void => void logged.push(message);
  const session = new FuseSession(ours, ops, {
    name: 'test',
    maxWriteBytes: 65536,
    log,
    ...options,
  });
  const answer = Buffer.alloc(256 * 1024);
  return {
    session,
    ops,
    logged,
    /** Sends the bytes, serves once and gives back what was answered. */
    ask(bytes: Buffer, length = bytes.length): Buffer {
      write(kernels, bytes, length);
      session.serveOne();
      const count = read(kernels, answer, answer.length);
      return answer.subarray(0, Math.max(0, count));
    },
    end(): void {
      close(ours);
      close(kernels);
    },
  };
}

t.test('a session answers garbage and continues', (t) => {
  const text = fc
    .string({ maxLength: 20, unit: 'binary' })
    .map((s) => Buffer.from(`${s}\0`, 'latin1'));
  const number = fc.constantFrom(
    0n,
    1n,
    2n,
    3n,
    4096n,
    1n << 32n,
    (1n << 53n) - 1n,
    1n << 53n,
    (1n << 64n) - 1n,
  );
  const piece = fc.oneof(
    number.map((n) => longs(n)),
    text,
    fc.uint8Array({ maxLength: 64 }).map((b) => Buffer.from(b)),
  );
  const body = fc.array(piece, { maxLength: 12 }).map((pieces) => Buffer.concat(pieces));
  const opcode = fc.oneof(
    fc.integer({ min: 0, max: 70 }),
    fc.constantFrom(...Object.values(Opcode), 4096, 0xffffffff),
  );
  const lie = fc.oneof(
    { weight: 9, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: -40, max: 100 }) },
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(opcode, number, body, lie), { minLength: 1, maxLength: 30 }),
      (requests) => {
        const { session, ask, end } = socketSession();
        try {
          for (const [op, node, bytes, wrongBy] of requests) {
            if (op === Opcode.INIT || op === Opcode.DESTROY) continue;
            const length = 40 + bytes.length;
            const reply = ask(requestBytes(op, bytes, node, length + wrongBy), length);
            if (wrongBy !== 0 || UNANSWERED.has(op)) {
              if (reply.length !== 0) throw new Error(`${op} is not answered`);
              continue;
            }
            if (reply.length < 16 || reply.readUInt32LE(0) !== reply.length)
              throw new Error(`${op}: one whole answer`);
            const errno = -reply.readInt32LE(4);
            if (errno < 0 || errno > 200) throw new Error(`${op}: errno ${errno}`);
            if (reply.readBigUInt64LE(8) !== 0x1122334455667788n)
              throw new Error(`${op}: its own number`);
          }
          if (session.book.unansweredWrites !== 0 || session.book.unansweredReads !== 0)
            throw new Error('counts');
        } finally {
          end();
        }
      },
    ),
    { numRuns: 400 },
  );
  t.end();
});

t.test('a session: errors, waiting changes and interrupts', (t) => {
  const { session, ops, logged, ask, end } = socketSession();
  t.teardown(end);
  t.equal(session.serveOne(), EMPTY);
  const init = Buffer.concat([words(7, 45, 131072, 0xffffffff, 0xffffffff), Buffer.alloc(44)]);
  t.equal(ask(requestBytes(Opcode.INIT, init)).length, 80);
  t.equal(session.negotiated?.minor, 45);
  const errnoOf = (reply: Buffer): number => -reply.readInt32LE(4);
  t.equal(errnoOf(ask(requestBytes(Opcode.ACCESS, longs(0)))), 38, 'ENOSYS');
  t.equal(
    errnoOf(ask(requestBytes(Opcode.LOOKUP, Buffer.from('bug\0')), 44)),
    5,
    'a mistake is EIO',
  );
  t.match(logged.pop(), /a mistake in the operations/);

  ops.behaviour.acceptsWrites = false;
  const mkdir = Buffer.concat([words(0o755, 0), Buffer.from('d\0')]);
  t.equal(ask(requestBytes(Opcode.MKDIR, mkdir), 50).length, 0, 'waits');
  session.retryWaiting();
  t.equal(session.waitingMutations, 1);
  const interrupt = longs(0x1122334455667788n);
  t.equal(
    errnoOf(ask(requestBytes(Opcode.INTERRUPT, interrupt))),
    4,
    'EINTR for what had not begun',
  );
  t.equal(session.waitingMutations, 0);
  t.equal(ask(requestBytes(Opcode.INTERRUPT, interrupt)).length, 0);
  ops.behaviour.acceptsWrites = true;
  t.equal(ask(requestBytes(Opcode.MKDIR, mkdir), 50).length, 16 + 128);
  t.equal(session.serveOne(), EMPTY);
  t.end();
});
