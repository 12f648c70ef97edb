/** Tokens, addresses and stored records of peers. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { CommandError, CorruptionError } from '../../../src/lib/errors.js';
import { parseDuration } from '../../../src/format/text/duration.js';
import {
  decodeToken,
  encodeToken,
  type PairingToken,
} from '../../../src/format/wire/pairing-token.js';
import { formatAddress, parseAddress } from '../../../src/format/text/peer-address.js';
import {
  decodePeering,
  encodeInvitation,
  encodePeer,
  invitationKey,
  isPeerName,
  LISTEN_KEY,
  peerKey,
  peerNameFrom,
  type PeerRecord,
} from '../../../src/format/records/peer-record.js';

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
t.comment(`SEED=${SEED}`);
const RUNS = { seed: SEED, numRuns: 300 };

const UUID = '12345678-1234-1234-1234-123456789abc';
const FINGERPRINT = 'ab'.repeat(32);

const PLAIN = { noNullPrototype: true };
const address = fc.record(
  {
    host: fc.constantFrom('localhost', '10.0.0.7', '2001:db8::1', 'fe80::1%eth0', 'a.example.org'),
    port: fc.integer({ min: 1, max: 65535 }),
  },
  PLAIN,
);
const token: fc.Arbitrary<PairingToken> = fc.record(
  {
    volume: fc.uuid(),
    fingerprint: fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .map((b) => Buffer.from(b).toString('hex')),
    secret: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => Buffer.from(b)),
    addresses: fc.array(address, { minLength: 1, maxLength: 16 }),
  },
  PLAIN,
);

t.test('a token decodes to its contents', async () => {
  fc.assert(
    fc.property(token, (what) => assert.deepEqual(decodeToken(` ${encodeToken(what)}\n`), what)),
    RUNS,
  );
});

t.test('an incomplete token is refused', async () => {
  const isRefused = (text: string): void =>
    assert.throws(
      () => decodeToken(text),
      (error) => error instanceof CommandError && error.code === 'bad-invitation',
    );
  fc.assert(
    fc.property(token, fc.nat(), fc.nat(), (what, at, by) => {
      const text = encodeToken(what);
      isRefused(text.slice(0, at % text.length));
      const bytes = Buffer.from(text, 'base64url');
      const place = at % bytes.length;
      bytes[place] = (bytes[place] as number) ^ ((by % 255) + 1);
      isRefused(bytes.toString('base64url'));
    }),
    RUNS,
  );
  fc.assert(fc.property(fc.string(), isRefused), RUNS);
});

t.test('a token of a newer version is refused', async (t) => {
  const body = Buffer.concat([Buffer.of(2), Buffer.from('whatever comes then')]);
  const sum = createHash('sha256').update(body).digest().subarray(0, 4);
  const text = Buffer.concat([body, sum]).toString('base64url');
  t.throws(() => decodeToken(text), { code: 'newer-invitation', message: /newer version/ });
});

t.test('addresses', async (t) => {
  fc.assert(
    fc.property(address, (what) => assert.deepEqual(parseAddress(formatAddress(what)), what)),
    RUNS,
  );
  t.same(parseAddress(':7433'), { host: '', port: 7433 });
  t.same(parseAddress('*:0'), { host: '', port: 0 });
  t.same(parseAddress('[::1]:80'), { host: '::1', port: 80 });
  for (const text of [
    '',
    'host',
    'host:',
    'host:70000',
    '::1:80',
    'a b:1',
    '[x y]:1',
    'h:1x',
    '-a:1',
  ]) {
    t.throws(() => parseAddress(text), { code: 'bad-address' }, text);
  }
});

t.test('names and times', async (t) => {
  for (const name of ['office', 'vm:a', 'büro', 'a.b_c-d+e@f', 'x'.repeat(64)])
    t.ok(isPeerName(name));
  for (const name of ['', '-x', 'a b', 'a/b', 'a\nb', 'x'.repeat(65), 7]) t.notOk(isPeerName(name));
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => isPeerName(peerNameFrom(text))),
    RUNS,
  );
  t.equal(parseDuration('15m'), 900_000);
  t.equal(parseDuration('2d'), 172_800_000);
  for (const text of ['', '1', 'h', '1.5h', '-1h', '1y']) t.equal(parseDuration(text), undefined);
});

const PEER: PeerRecord = {
  volume: UUID,
  name: 'office',
  fingerprint: FINGERPRINT,
  direction: 'upstream',
  addresses: [{ host: '10.0.0.7', port: 7433 }],
  sinceMs: 1_700_000_000_000,
  upstreams: [UUID],
  lastHeardMs: 0,
};
const INVITATION = { id: '0123', secret: 'abcd', name: '', createdMs: 1, expiresMs: 2 };

t.test('stored records', async (t) => {
  t.same(decodePeering(peerKey(UUID), encodePeer(PEER)), { kind: 'peer', peer: PEER });
  t.same(decodePeering(invitationKey('0123'), encodeInvitation(INVITATION)), {
    kind: 'invitation',
    invitation: INVITATION,
  });
  t.same(decodePeering(Buffer.from('receiving'), Buffer.from('{}')), { kind: 'other' });
  const wrong: [Buffer, object][] = [
    [peerKey('no-uuid'), PEER],
    [peerKey(UUID), { ...PEER, fingerprint: 'ab' }],
    [peerKey(UUID), { ...PEER, direction: 'sideways' }],
    [peerKey(UUID), { ...PEER, addresses: [{ host: 'a b', port: 1 }] }],
    [peerKey(UUID), { ...PEER, upstreams: ['x'] }],
    [peerKey(UUID), { ...PEER, name: '' }],
    [invitationKey('0123'), { ...INVITATION, secret: 'xyz' }],
    [LISTEN_KEY, { host: '', port: 70_000 }],
  ];
  for (const [key, value] of wrong) {
    const bytes = Buffer.from(JSON.stringify(value));
    t.throws(() => decodePeering(key, bytes), CorruptionError, JSON.stringify(value));
  }
});
