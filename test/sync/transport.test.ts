/** Connections over TLS on the loopback interface: who is let in, and what strangers can't do. */
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import { connect, type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { connect as tlsConnect } from 'node:tls';
import t, { type Test } from 'tap';
import { encodeFrame, type Frame, NO_PAYLOAD } from '../../src/format/wire/frame.js';
import type { PeerAddress } from '../../src/format/text/peer-address.js';
import type { Timers } from '../../src/sync/fabric.js';
import type { Connection, EndReason } from '../../src/sync/peers/link.js';
import { makeKeyAndCertificate } from '../../src/sync/transport/certificate.js';
import { BACKLOG_MAX_BYTES } from '../../src/sync/transport/frame-socket.js';
import { IDENTITY_FILE, identityOf } from '../../src/sync/transport/identity.js';
import { PENDING_MAX, TlsTransport } from '../../src/sync/transport/tls-transport.js';

const timers: Timers = {
  nowMs: () => performance.now(),
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

function directory(t: Test): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'shadowfs-'));
  t.teardown(() => fs.rmSync(dir, { recursive: true }));
  return dir;
}

function transportOf(t: Test, more: { greetMs?: number; silentMs?: number } = {}): TlsTransport {
  return new TlsTransport(identityOf(directory(t)), { timers, greetings: ['hello'], ...more });
}

interface Server {
  address: PeerAddress;
  connections: Connection[];
  ends: EndReason[];
  frames: Frame[];
  /** The next connection. */
  next(): Promise<Connection>;
}

/** Takes every connection; admits it when told to. */
async function serve(
  t: Test,
  transport: TlsTransport,
  host: string,
  admits = true,
): Promise<Server> {
  const waiting: ((connection: Connection) => void)[] = [];
  const server: Omit<Server, 'address'> = {
    connections: [],
    ends: [],
    frames: [],
    next: () => new Promise((resolve) => waiting.push(resolve)),
  };
  const listening = await transport.listen(
    { host, port: 0 },
    {
      onConnection: (connection, admit) => {
        if (admits) admit();
        server.connections.push(connection);
        connection.onEnd = (reason) => server.ends.push(reason);
        connection.onFrame = (frame) => server.frames.push(frame);
        waiting.shift()?.(connection);
      },
    },
  );
  t.teardown(() => {
    listening.close();
    for (const connection of server.connections) connection.end('test-over', 'over');
  });
  return { ...server, address: listening.address };
}

function dial(
  transport: TlsTransport,
  address: PeerAddress,
  fingerprint: string,
): Promise<Connection> {
  return new Promise((resolve, reject) => {
    transport.dial(address, fingerprint, {
      onConnection: resolve,
      onFailure: ({ code, message }) => reject(Object.assign(new Error(message), { code })),
    });
  });
}

function ended(connection: Connection): Promise<EndReason> {
  return new Promise((resolve) => {
    connection.onEnd = resolve;
  });
}

async function until(what: () => boolean, timeoutMs = 5_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!what()) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${String(what)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

t.test('a certificate is one for others, too', async (t) => {
  const { certificatePem, keyPem } = makeKeyAndCertificate();
  const certificate = new X509Certificate(certificatePem);
  t.ok(certificate.verify(certificate.publicKey), 'signed with its own key');
  t.equal(certificate.subject, 'CN=shadowfs');
  t.match(certificate.validTo, /9999/);
  t.match(keyPem, /PRIVATE KEY/);
  if (spawnSync('openssl', ['version']).status !== 0) {
    t.comment('openssl is not here');
    return;
  }
  const ran = spawnSync('openssl', ['x509', '-noout', '-text'], { input: certificatePem });
  t.match(ran.stdout.toString(), /Version: 3.*ED25519.*CN ?= ?shadowfs/s);
  const file = path.join(directory(t), 'certificate');
  fs.writeFileSync(file, certificatePem);
  const verified = spawnSync('openssl', ['verify', '-CAfile', file, file]);
  t.equal(verified.status, 0, verified.stderr.toString());
});

t.test('the identity is made once, for its owner alone', async (t) => {
  const dir = directory(t);
  const first = identityOf(dir);
  t.equal(fs.statSync(path.join(dir, IDENTITY_FILE)).mode & 0o777, 0o600);
  t.equal(identityOf(dir).fingerprint, first.fingerprint);
  t.match(first.fingerprint, /^[0-9a-f]{64}$/);
  fs.writeFileSync(path.join(dir, IDENTITY_FILE), 'nonsense');
  t.throws(() => identityOf(dir), { code: 'identity-damaged' });
});

for (const host of ['127.0.0.1', '::1', 'localhost', '']) {
  t.test(`frames both ways, at ${host || 'all addresses'}`, async (t) => {
    const here = transportOf(t);
    const there = transportOf(t);
    const server = await serve(t, there, host);
    const met = server.next();
    const target = { ...server.address, host: host || '127.0.0.1' };
    const mine = await dial(here, target, there.fingerprint);
    const theirs = await met;
    t.equal(theirs.fingerprint, here.fingerprint);
    t.equal(mine.fingerprint, there.fingerprint);
    for (const connection of [mine, theirs]) connection.trust(new Set(['data']));
    const payload = Buffer.alloc(1024 * 1024, 'x');
    for (let n = 0; n < 5; n++) mine.send({ kind: 'data', body: { n }, payload });
    await until(() => server.frames.length === 5);
    t.same(
      server.frames.map(({ body }) => body['n']),
      [0, 1, 2, 3, 4],
    );
    t.ok(payload.equals(server.frames[4]?.payload as Uint8Array));
    const end = ended(mine);
    theirs.end('peer-removed', 'no more');
    t.same(await end, { code: 'peer-removed', message: 'no more', fromPeer: true });
  });
}

t.test('one who is not the pinned one is not taken', async (t) => {
  const there = transportOf(t);
  const server = await serve(t, there, '127.0.0.1');
  await t.rejects(dial(transportOf(t), server.address, '00'.repeat(32)), {
    code: 'wrong-certificate',
    message: /another certificate/,
  });
  await until(() => server.ends.length === 1);
  t.match(server.ends[0], { code: 'wrong-certificate', fromPeer: true }, 'said on both sides');
  const { port } = server.address;
  await t.rejects(dial(transportOf(t), { host: '127.0.0.1', port: 1 }, ''), {
    code: 'peer-unreachable',
    message: /nobody listens at 127.0.0.1:1/,
  });
  await t.rejects(dial(transportOf(t), { host: 'no.such.host.invalid', port }, ''), {
    code: 'peer-unreachable',
  });
  await t.rejects(there.listen(server.address, { onConnection: () => undefined }), {
    code: 'address-in-use',
  });
});

t.test('TLS 1.2 is refused', async (t) => {
  const server = await serve(t, transportOf(t), '127.0.0.1');
  const socket = tlsConnect({
    ...server.address,
    maxVersion: 'TLSv1.2',
    rejectUnauthorized: false,
  });
  const message = await new Promise<string>((resolve) => {
    socket.once('error', (error) => resolve(error.message));
    socket.once('secureConnect', () => resolve('accepted'));
  });
  t.match(message, /protocol version|handshake/i);
  t.equal(server.connections.length, 0);
});

t.test('a session is not resumed: each connection shows its certificate', async (t) => {
  const server = await serve(t, transportOf(t), '127.0.0.1');
  const { keyPem, certificatePem } = makeKeyAndCertificate();
  const options = {
    ...server.address,
    key: keyPem,
    cert: certificatePem,
    rejectUnauthorized: false,
  };
  const first = tlsConnect(options);
  first.on('error', () => undefined);
  const session = await new Promise<Buffer | undefined>((resolve) => {
    first.once('session', resolve);
    setTimeout(() => resolve(undefined), 500);
  });
  const second = tlsConnect({ ...options, ...(session !== undefined && { session }) });
  await new Promise<void>((resolve) => second.once('secureConnect', () => resolve()));
  t.notOk(second.isSessionReused());
  first.destroy();
  second.destroy();
});

t.test('garbage, before and inside of TLS', async (t) => {
  const there = transportOf(t);
  const server = await serve(t, there, '127.0.0.1');
  const raw = connect(server.address);
  raw.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => raw.once('close', () => resolve()));
  raw.write(Buffer.alloc(100_000, 0xa5));
  await closed;
  t.equal(server.connections.length, 0);
  const socket = tlsConnect({ ...server.address, rejectUnauthorized: false });
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('secureConnect', () => resolve()));
  const said: Buffer[] = [];
  socket.on('data', (data) => said.push(data));
  socket.write(Buffer.alloc(100_000, 0xa5));
  await until(() => server.ends.length === 1);
  t.match(server.ends[0], { code: 'bad-frame', message: /127\.0\.0\.1 port \d+ sent .*no frame/ });
  await until(() => said.length > 0);
  t.match(Buffer.concat(said).toString('latin1'), /bad-frame/, 'and it is told');
});

t.test('a stranger can send little, and only what strangers say', async (t) => {
  const there = transportOf(t);
  const server = await serve(t, there, '127.0.0.1');
  const speak = async (frame: Frame): Promise<EndReason> => {
    const before = server.ends.length;
    const connection = await dial(transportOf(t), server.address, there.fingerprint);
    connection.send(frame);
    await until(() => server.ends.length > before);
    return server.ends[before] as EndReason;
  };
  t.match(await speak({ kind: 'data', body: {}, payload: NO_PAYLOAD }), {
    code: 'bad-frame',
    message: /unknown kind "data"/,
  });
  t.match(await speak({ kind: 'hello', body: {}, payload: Buffer.from('x') }), {
    code: 'bad-frame',
    message: /1 bytes of payload/,
  });
});

t.test('a connection that ends in the middle of a frame', async (t) => {
  const there = transportOf(t);
  const server = await serve(t, there, '127.0.0.1');
  const socket = tlsConnect({ ...server.address, rejectUnauthorized: false });
  await new Promise<void>((resolve) => socket.once('secureConnect', () => resolve()));
  const frame = encodeFrame({ kind: 'hello', body: { a: 1 }, payload: NO_PAYLOAD });
  socket.end(frame.subarray(0, frame.length - 1));
  await until(() => server.ends.length === 1);
  t.match(server.ends[0], { code: 'connection-lost', message: /in the middle of a frame/ });
});

t.test('who says nothing is dropped in time; who only holds on keeps nobody out', async (t) => {
  const there = transportOf(t, { greetMs: 400 });
  const server = await serve(t, there, '127.0.0.1', false);
  const sockets: Socket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  let closed = 0;
  for (let n = 0; n < 200; n++) {
    const socket = connect(server.address);
    socket.on('error', () => undefined);
    socket.once('close', () => closed++);
    // One byte of a handshake now and then.
    if (n % 4 === 0) socket.write(Buffer.of(0x16));
    sockets.push(socket);
  }
  const mine = await dial(transportOf(t), server.address, there.fingerprint);
  t.equal(mine.fingerprint, there.fingerprint, 'a peer comes through meanwhile');
  await until(() => closed >= 200 - PENDING_MAX);
  t.pass('those who waited longest went');
  await until(() => closed === 200);
  t.pass('and the others in time');
});

t.test('a dead peer is noticed, a quiet one stays', async (t) => {
  const there = transportOf(t, { silentMs: 300 });
  const server = await serve(t, there, '127.0.0.1');
  const quiet = await dial(transportOf(t, { silentMs: 300 }), server.address, there.fingerprint);
  const socket = tlsConnect({ ...server.address, rejectUnauthorized: false });
  socket.on('error', () => undefined);
  await until(() => server.ends.length === 1, 3_000);
  t.match(server.ends[0], { code: 'peer-silent', fromPeer: false });
  socket.destroy();
  await new Promise((resolve) => setTimeout(resolve, 900));
  t.equal(server.ends.length, 1);
  quiet.end('done', '');
});

t.test('a peer that takes nothing does not fill the memory', async (t) => {
  const there = transportOf(t);
  const server = await serve(t, there, '127.0.0.1');
  const met = server.next();
  const mine = await dial(transportOf(t), server.address, there.fingerprint);
  const theirs = await met;
  theirs.pause();
  mine.trust(new Set(['data']));
  const end = ended(mine);
  const payload = Buffer.alloc(1024 * 1024);
  for (let n = 0; n < 100; n++) mine.send({ kind: 'data', body: {}, payload });
  t.match(await end, { code: 'peer-too-slow' });
  t.ok(mine.backlogBytes <= BACKLOG_MAX_BYTES + 2 * payload.length);
});
