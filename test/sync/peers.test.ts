/** Two mounts that are paired: invite, join, list, restart, remove, and all that is refused. */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import fs from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { encodeFrame, NO_PAYLOAD } from '../../src/format/wire/frame.js';
import { decodeToken, encodeToken, invitationId } from '../../src/format/wire/pairing-token.js';
import { greetingFrame, proofOf } from '../../src/sync/peers/pairing.js';
import { makeKeyAndCertificate, fingerprintOf } from '../../src/sync/transport/certificate.js';
import {
  asUser,
  type Answer,
  eachIdentity,
  pause,
  processGone,
  type World,
} from '../mount/harness.js';

const LOCAL = ['--listen', '127.0.0.1:0'];
const WAIT_MS = 20_000;

type Peer = Answer & { lastError: { code: string; message: string } | null };

async function mounts(world: World, ...names: string[]): Promise<void> {
  world.env['SHADOWFS_PEER_PAUSE_MS'] = '1000';
  for (const name of names) {
    await world.sh(`mkdir -p ${name}`);
    await world.mount([world.path(name)]);
  }
}

async function invite(world: World, name: string, more: string[] = []): Promise<string> {
  const answer = await world.shadowfs(['peer', 'invite', world.path(name), ...LOCAL, ...more]);
  return String(answer['token']);
}

const join = (world: World, token: string, name: string, more: string[] = []): Promise<Answer> =>
  world.shadowfs(['peer', 'join', token, world.path(name), ...more]);

async function peersOf(world: World, name: string): Promise<Peer[]> {
  const ran = await world.tryShadowfs(['peer', 'list', world.path(name), '--json']);
  return ran.out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Peer);
}

const status = async (world: World, name: string): Promise<Record<string, unknown>> =>
  (await world.shadowfs(['status', '-C', world.path(name)]))['peering'] as Record<string, unknown>;

/** Asks until the only peer of `name` is as wanted. */
async function peerWhen(world: World, name: string, what: (peer: Peer) => boolean): Promise<Peer> {
  let peers: Peer[] = [];
  for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += 100) {
    peers = await peersOf(world, name);
    const [peer] = peers;
    if (peers.length === 1 && peer !== undefined && what(peer)) return peer;
    await pause(100);
  }
  throw new Error(`${name}: ${JSON.stringify(peers)}`);
}

const isConnected = (peer: Peer): boolean => peer['connected'] === true;
const isAlone = (peer: Peer): boolean => peer['connected'] === false;

eachIdentity(t, 'invite, join, list, restart of both, remove', async (t, world) => {
  await mounts(world, 'one', 'two');
  const token = await invite(world, 'one', ['--name', 'standby']);
  const joined = await join(world, token, 'two', ['--name', 'primary']);
  t.match(joined, { ok: true, name: 'primary', direction: 'upstream' });
  const above = await peerWhen(world, 'one', isConnected);
  const below = await peerWhen(world, 'two', isConnected);
  t.match(above, { name: 'standby', direction: 'downstream', addresses: [] });
  t.match(below, { name: 'primary', direction: 'upstream', addresses: [/^127\.0\.0\.1:\d+$/] });
  const one = await world.shadowfs(['status', '-C', world.path('one')]);
  const two = await world.shadowfs(['status', '-C', world.path('two')]);
  t.equal(above['volume'], two['uuid']);
  t.equal(below['volume'], one['uuid']);
  t.not(above['fingerprint'], below['fingerprint']);
  t.match(one['peering'], { peerCount: 1, connectedCount: 1, openInvitationCount: 0 });
  await world.sh('echo own > two/own; sync two/own');
  t.match(
    await world.shadowfs(['role', '-C', world.path('two')]),
    { role: 'none' },
    'over a directory nothing could ever come in full: it does not follow, and takes changes',
  );
  for (const { volumePath } of [one, two]) {
    const stat = fs.statSync(path.join(String(volumePath), 'identity.pem'));
    t.equal(stat.mode & 0o777, 0o600, 'the key is for its owner alone');
  }
  t.match(await world.tryShadowfs(['peer', 'list', world.path('one')]), {
    out: /standby +downstream +connected for \d+ seconds? .* 127\.0\.0\.1/,
  });
  for (const [restarted, other] of [
    ['one', 'two'],
    ['two', 'one'],
  ] as const) {
    await world.umount(world.path(restarted));
    t.match(await peerWhen(world, other, isAlone), { lastError: { code: /^peer-/ } });
    await world.mount([world.path(restarted)]);
    await peerWhen(world, restarted, isConnected);
    await peerWhen(world, other, isConnected);
    t.pass(`${restarted} was mounted again: connected`);
  }
  const pid = await world.daemonPid(world.path('two'));
  process.kill(pid, 'SIGKILL');
  await processGone(pid);
  await peerWhen(world, 'one', isAlone);
  await world.mount([world.path('two')]);
  await peerWhen(world, 'one', isConnected);
  t.pass('killed: connected again');
  const history = await world.tryShadowfs(['history', '-C', world.path('one'), '--json']);
  t.match(history.out, /"peer-invite".*"peer-accept","name":"standby"/s);
  t.notMatch(history.out, decodeToken(token).secret.toString('hex'));

  t.match(await world.refused(['peer', 'remove', 'standbi', world.path('one')]), {
    code: 'no-such-peer',
    near: ['standby'],
  });
  await world.shadowfs(['peer', 'remove', 'standby', world.path('one')]);
  t.same(await peersOf(world, 'one'), []);
  t.match(await peerWhen(world, 'two', isAlone), {
    lastError: { code: /^(peer-removed|peer-unreachable)$/ },
  });
  t.match(await status(world, 'one'), { peerCount: 0, listening: null });
  await world.shadowfs(['peer', 'remove', 'primary', world.path('two')]);
  const again = await invite(world, 'one');
  await join(world, again, 'two');
  await peerWhen(world, 'two', isConnected);
  t.pass('paired anew');
  await world.umount(world.path('one'));
  t.match(await peersOf(world, 'one'), [{ direction: 'downstream' }], 'also when not mounted');
  await world.mount([world.path('one')]);
});

asUser(t, 'control files', async (_t, world) => {
  await mounts(world, 'one', 'two');
  await world.sh(`
    exec 3<>one/.control/peer-invite; echo 'listen=127.0.0.1:0 valid=5m' >&3
    token=$(sed 's/.*"token":"\\([^"]*\\)".*/\\1/' <&3); exec 3>&-
    echo "$token name=above" > two/.control/peer-join
    grep -q '"name":"above"' two/.control/peers
    if echo nobody > two/.control/peer-remove; then exit 1; fi
    grep -q no-such-peer two/.control/result
    if echo 'listen=nowhere' > one/.control/peer-invite; then exit 1; fi
    if echo 'valid=1year' > one/.control/peer-invite; then exit 1; fi
    if echo > one/.control/peer-join; then exit 1; fi
    if echo 'above force=perhaps' > two/.control/peer-remove; then exit 1; fi
    echo above > two/.control/peer-remove; test ! -s two/.control/peers`);
});

asUser(t, 'tokens that are refused', async (t, world) => {
  await mounts(world, 'one', 'two', 'three');
  const at = (name: string): string => world.path(name);
  const refused = (token: string, name: string): Promise<Answer> =>
    world.refused(['peer', 'join', token, at(name)]);
  const token = await invite(world, 'one');
  t.match(await refused(token, 'one'), { code: 'own-invitation' });
  t.match(await refused(token.slice(0, -5), 'two'), { code: 'bad-invitation' });
  t.match(await refused('nonsense', 'two'), { code: 'bad-invitation' });
  const newer = Buffer.from(token, 'base64url').subarray(0, -4);
  newer[0] = 99;
  const sum = createHash('sha256').update(newer).digest().subarray(0, 4);
  t.match(await refused(Buffer.concat([newer, sum]).toString('base64url'), 'two'), {
    code: 'newer-invitation',
  });
  const parsed = decodeToken(token);
  const forged = encodeToken({ ...parsed, secret: Buffer.alloc(16, 7) });
  t.match(await refused(forged, 'two'), { code: 'unknown-invitation' });
  await pause(100);
  t.match(
    await status(world, 'one'),
    { lastRefused: { code: 'unknown-invitation' } },
    'seen there, too',
  );
  const elsewhere = encodeToken({ ...parsed, fingerprint: '00'.repeat(32) });
  t.match(await refused(elsewhere, 'two'), {
    code: 'peer-unreachable',
    message: /another certificate/,
  });
  await join(world, token, 'two');
  t.match(await refused(token, 'two'), { code: 'peer-exists' });
  t.match(await refused(token, 'three'), { code: 'used-invitation' });
  await pause(100);
  t.match(await status(world, 'one'), { lastRefused: { code: 'used-invitation' } });
  const short = await invite(world, 'one', ['--valid', '1s']);
  await pause(1_500);
  t.match(await refused(short, 'three'), { code: 'expired-invitation' });
  t.match(await peersOf(world, 'three'), []);

  // one → two → three → one, and two → one.
  await join(world, await invite(world, 'two'), 'three');
  t.match(await refused(await invite(world, 'two'), 'one'), { code: 'peer-ring', errno: 'ELOOP' });
  await peerWhen(world, 'three', ({ upstreams }) => (upstreams as string[]).length === 1);
  t.match(await refused(await invite(world, 'three'), 'one'), {
    code: 'peer-ring',
    message: /which follows/,
  });
  t.match(await status(world, 'three'), { lastRefused: { code: 'peer-ring' } });
  await world.umount(at('one'));
  const gone = await world.refused(['peer', 'join', short, at('three')]);
  t.match(gone, { code: 'peer-unreachable', message: /nobody listens/ });
  t.equal((await peersOf(world, 'one')).length, 1, 'nothing was half done');
});

interface Stranger {
  socket: Socket;
  fingerprint: string;
  /** All it was told. */
  said(): string;
}

/** One with a certificate of its own. */
async function stranger(port: number): Promise<Stranger> {
  const { keyPem, certificatePem } = makeKeyAndCertificate();
  const socket = tlsConnect({
    host: '127.0.0.1',
    port,
    key: keyPem,
    cert: certificatePem,
    rejectUnauthorized: false,
  });
  socket.on('error', () => undefined);
  const told: Buffer[] = [];
  socket.on('data', (data) => told.push(data));
  await new Promise<void>((resolve) => socket.once('secureConnect', () => resolve()));
  const der = Buffer.from(certificatePem.replace(/-----.*-----|\n/g, ''), 'base64');
  return {
    socket,
    fingerprint: fingerprintOf(der),
    said: () => Buffer.concat(told).toString('latin1'),
  };
}

async function isTold({ said, socket }: Stranger, what: RegExp): Promise<void> {
  for (let waitedMs = 0; waitedMs < WAIT_MS && !what.test(said()); waitedMs += 20) await pause(20);
  if (!what.test(said())) throw new Error(`told ${JSON.stringify(said())}, not ${String(what)}`);
  socket.destroy();
}

asUser(t, 'strangers at the port', async (t, world) => {
  world.env = { SHADOWFS_PEER_GREET_MS: '2000', SHADOWFS_PEER_SILENT_MS: '3000' };
  await mounts(world, 'one', 'two');
  const token = await invite(world, 'one');
  await join(world, token, 'two');
  await peerWhen(world, 'one', isConnected);
  const { volume, addresses } = decodeToken(token);
  const { port = 0 } = addresses[0] ?? {};
  const [peer] = await peersOf(world, 'one');
  const pid = await world.daemonPid(world.path('one'));
  const self = { volume: String(peer?.['volume']), name: 'me', epoch: 0, upstreams: [] };
  const hello = greetingFrame('hello', self, volume);

  const pretender = await stranger(port);
  pretender.socket.write(encodeFrame(hello));
  await isTold(pretender, /wrong-certificate/);
  await pause(100);
  const pretended = { code: 'wrong-certificate', claims: String(peer?.['name']) };
  t.match(
    await status(world, 'one'),
    { lastRefused: pretended },
    'it is shown as who it is: a stranger',
  );
  const unknown = await stranger(port);
  const other = { ...self, volume: '12345678-1234-1234-1234-123456789abc' };
  unknown.socket.write(encodeFrame(greetingFrame('hello', other, volume)));
  await isTold(unknown, /unknown-peer/);
  const newer = await stranger(port);
  newer.socket.write(encodeFrame({ ...hello, body: { ...hello.body, protocol: 99 } }));
  await isTold(newer, /newer-protocol/);
  const misled = await stranger(port);
  misled.socket.write(encodeFrame(greetingFrame('hello', self, other.volume)));
  await isTold(misled, /wrong-volume/);
  await pause(100);
  t.match(await status(world, 'one'), {
    lastRefused: { code: 'wrong-volume', from: /127\.0\.0\.1/ },
  });
  t.match(
    await peersOf(world, 'one'),
    [{ connected: true, lastError: null }],
    'whoever they said they were: nothing of it is shown with the peer',
  );

  // A proof that was made for another certificate, as one who stands between the two would bring.
  const open = decodeToken(await invite(world, 'one'));
  const between = await stranger(port);
  const invitation = invitationId(open.secret);
  const inviter = { volume, fingerprint: open.fingerprint };
  const joiner = { volume: other.volume, fingerprint: '11'.repeat(32) };
  const stolen = proofOf('joiner', open.secret, joiner, inviter);
  between.socket.write(
    encodeFrame(greetingFrame('join', other, volume, { invitation, proof: stolen })),
  );
  await isTold(between, /wrong-proof/);
  const right = await stranger(port);
  const proof = proofOf(
    'joiner',
    open.secret,
    { ...joiner, fingerprint: right.fingerprint },
    inviter,
  );
  right.socket.write(encodeFrame(greetingFrame('join', other, volume, { invitation, proof })));
  await isTold(right, /joined/);
  t.equal((await peersOf(world, 'one')).length, 2, 'with its own certificate it is let in');
  await world.shadowfs(['peer', 'remove', 'me', world.path('one')]);

  for (const bytes of [Buffer.alloc(200_000, 0x16), Buffer.from('GET / HTTP/1.0\r\n\r\n')]) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(bytes);
    await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  }
  const noFrame = await stranger(port);
  noFrame.socket.write(Buffer.alloc(50_000, 0xa5));
  await isTold(noFrame, /bad-frame/);
  const huge = await stranger(port);
  const frame = encodeFrame({ kind: 'hello', body: {}, payload: NO_PAYLOAD });
  frame.writeUInt32BE(2 ** 32 - 1, 8);
  huge.socket.write(frame);
  await isTold(huge, /bad-frame/);

  let closed = 0;
  const slow = Array.from({ length: 200 }, () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.once('close', () => closed++);
    socket.write(Buffer.of(0x16, 0x03));
    return socket;
  });
  await pause(500);
  await world.umount(world.path('two'));
  await world.mount([world.path('two')]);
  await peerWhen(world, 'two', isConnected);
  t.pass('meanwhile the peer comes through');
  for (let waitedMs = 0; waitedMs < WAIT_MS && closed < 200; waitedMs += 50) await pause(50);
  t.equal(closed, 200, 'who only holds on is dropped');
  for (const socket of slow) socket.destroy();
  const files = fs.readdirSync(`/proc/${pid}/fd`).length;
  t.ok(files < 100, `${files} open files`);
  await world.sh('echo still > one/works');
  t.equal(await world.daemonPid(world.path('one')), pid, 'the same process serves');
});

asUser(t, 'a peer whose key was made anew is not taken for it', async (t, world) => {
  await mounts(world, 'one', 'two');
  await join(world, await invite(world, 'one'), 'two');
  await peerWhen(world, 'two', isConnected);
  const { volumePath } = await world.shadowfs(['status', '-C', world.path('two')]);
  await world.umount(world.path('two'));
  await world.sh(`rm ${String(volumePath)}/identity.pem`);
  await world.mount([world.path('two')]);
  const below = await peerWhen(world, 'two', ({ lastError }) => lastError !== null);
  t.match(below, { connected: false, lastError: { code: 'wrong-certificate' } });
  const [above] = await peersOf(world, 'one');
  t.match(above, { connected: false, lastError: { code: /^(peer-stopping|connection-lost)$/ } });
  t.match(
    await status(world, 'one'),
    {
      lastRefused: {
        code: 'wrong-certificate',
        message: /another certificate/,
        claims: String(above?.['name']),
      },
    },
    'there it is a stranger like any other, and is shown as one',
  );
});
