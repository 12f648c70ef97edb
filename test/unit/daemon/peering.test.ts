/** The serving thread's side of pairing, on a real volume and with the other thread played. */
import t, { type Test } from 'tap';
import { Deferred } from '../../../src/lib/deferred.js';
import type { Answer, CommandArguments } from '../../../src/control/command.js';
import { Peering, type PeeringCommand } from '../../../src/daemon/peers/peering.js';
import type {
  PeeringToVolume,
  ToConnections,
} from '../../../src/daemon/peers/connections-calls.js';
import { decodeToken, encodeToken, invitationId } from '../../../src/format/wire/pairing-token.js';
import { CommandError } from '../../../src/lib/errors.js';
import type {
  JoinAnswer,
  ListenAnswer,
  PeeringConfig,
} from '../../../src/sync/peers/peering-messages.js';
import { VolumeFixture } from '../volume/volume-fixture.js';
import { type JoinedCalls, joinedCalls } from './joined-calls.js';

const OTHER = '11111111-1111-1111-1111-111111111111';
const THIRD = '22222222-2222-2222-2222-222222222222';
const FINGERPRINT = 'ab'.repeat(32);
const HOUR_MS = 3_600_000;

type Outcome = { answer?: Answer; error?: Error & { code?: string } };

/** Each ends with `check`. */
function test(name: string, body: (t: Test, side: Side) => void): void {
  t.test(name, async (t) => {
    const side = new Side(t);
    body(t, side);
    side.fixture.flush();
    t.same(side.fixture.check().findings, []);
  });
}

class Side {
  readonly fixture: VolumeFixture;
  configured: { config: PeeringConfig; isNeeded: boolean }[] = [];
  /** What somebody waits for who has asked for an invitation. */
  listening = new Deferred<ListenAnswer>();
  /** What somebody waits for who joins. */
  joining = new Deferred<JoinAnswer>();
  calls!: JoinedCalls<ToConnections, PeeringToVolume>;
  later: { delayMs: number; run: () => void }[] = [];
  peering: Peering;

  constructor(t: Test) {
    this.fixture = new VolumeFixture(t);
    this.peering = this.#open();
  }

  #open(): Peering {
    const { volume, clock } = this.fixture;
    const peering = new Peering({
      table: volume.peers,
      volume: volume.uuid,
      selfName: 'here',
      readOnly: false,
      epoch: () => 3,
      change: (_name, change) => {
        const done = new Deferred<Answer>();
        try {
          const answer = { ...change() };
          volume.flush();
          done.resolve(answer);
        } catch (error) {
          done.reject(error);
        }
        return done;
      },
      later: (delayMs, run) => this.later.push({ delayMs, run }),
      connections: {
        start: () => undefined,
        configure: (config, isNeeded) => this.configured.push({ config, isNeeded }),
        call: (method, args) => this.calls.here.call(method, args),
      },
      locksOf: (uuid) => volume.shownLocks().filter(({ origin }) => origin === uuid),
      releaseLocks: (uuid, source) => void volume.locks.release(uuid, source),
      removed: () => undefined,
      nowMs: () => clock.nowMs(),
      paired: () => undefined,
      log: () => undefined,
    });
    const never = (): never => {
      throw new Error('nobody asks for it here');
    };
    this.calls = joinedCalls<ToConnections, PeeringToVolume>(peering.handlers, {
      listen: () => {
        this.listening = new Deferred();
        return this.listening;
      },
      config: never,
      join: () => {
        this.joining = new Deferred();
        return this.joining;
      },
      volumeState: never,
      command: never,
      groupSave: never,
    });
    return peering;
  }

  reopen(): void {
    this.fixture.close();
    this.peering = this.#open();
  }

  run(command: PeeringCommand, args: CommandArguments): Outcome {
    const outcome: Outcome = {};
    try {
      this.peering.run(command, args, 'test').settled(
        (answer) => {
          outcome.answer = answer;
        },
        (error) => {
          outcome.error = error as Error;
        },
      );
    } catch (error) {
      outcome.error = error as Error;
    }
    return outcome;
  }

  /** An invitation as the other thread makes it possible. Gives the secret. */
  invite(args: CommandArguments = {}): Buffer {
    const outcome = this.run('peer-invite', args);
    this.listening.resolve({
      fingerprint: FINGERPRINT,
      listen: { host: '', port: 7433 },
      addresses: [{ host: '10.0.0.7', port: 7433 }],
    });
    return decodeToken(String(outcome.answer?.['token'])).secret;
  }

  /** What one who has the secret is told. */
  accept(secret: Buffer, volume: string, fingerprint: string, upstreams: string[] = []): string {
    const request = {
      invitation: invitationId(secret),
      volume,
      name: 'there',
      fingerprint,
      upstreams,
    };
    let told = 'no answer';
    this.calls.there.call('accept', request).settled(
      () => {
        told = 'accepted';
      },
      (error) => {
        told = (error as CommandError).code;
      },
    );
    return told;
  }
}

test('one invitation, one peer', (t, side) => {
  const secret = side.invite({ peerName: 'standby' });
  t.equal(side.accept(Buffer.alloc(16), OTHER, FINGERPRINT), 'unknown-invitation');
  t.equal(side.accept(secret, OTHER, FINGERPRINT), 'accepted');
  t.equal(side.accept(secret, OTHER, FINGERPRINT), 'accepted', 'the answer was lost');
  t.equal(side.accept(secret, OTHER, 'cd'.repeat(32)), 'used-invitation');
  t.equal(side.accept(secret, THIRD, 'cd'.repeat(32)), 'used-invitation');
  t.equal(side.accept(side.invite(), OTHER, 'cd'.repeat(32)), 'peer-exists', 'another key');
  t.equal(side.accept(side.invite(), THIRD, FINGERPRINT), 'peer-exists', 'the same key');
  t.match(side.peering.list([]), [{ name: 'standby', volume: OTHER, direction: 'downstream' }]);
  side.fixture.clock.advance(HOUR_MS + 1);
  t.equal(side.accept(secret, OTHER, FINGERPRINT), 'used-invitation', 'not again after its time');
  side.reopen();
  t.match(side.peering.list([]), [{ name: 'standby' }], 'stored');
  side.peering.start();
  t.match(side.configured.at(-1), { isNeeded: true, config: { self: { epoch: 3 } } });
});

test('time', (t, side) => {
  const secret = side.invite({ validMs: 1_000 });
  side.fixture.clock.advance(1_001);
  t.equal(side.accept(secret, OTHER, FINGERPRINT), 'expired-invitation');
  side.later.at(-1)?.run();
  t.match(side.configured.at(-1), { isNeeded: false }, 'the thread may go');
  side.fixture.clock.advance(8 * 24 * HOUR_MS);
  side.invite();
  t.equal(side.fixture.volume.peers.invitations.size, 1, 'what is long over is forgotten');
});

test('a peer that snapshots are kept for', (t, side) => {
  t.equal(side.accept(side.invite(), OTHER, FINGERPRINT), 'accepted');
  const { volume } = side.fixture;
  volume.save('one', 'test');
  const snapshot = String(volume.latest()?.uuid);
  const item = {
    snapshot,
    type: 'destination' as const,
    text: 'there',
    dependent: '',
    dataset: 'd',
  };
  volume.locks.set(OTHER, 1, [item]);
  t.match(side.run('peer-remove', { name: 'there' }).error, {
    code: 'peer-holds-locks',
    details: { locks: [{ snapshot: 'one' }] },
  });
  t.equal(side.peering.list([]).length, 1);
  t.match(side.run('peer-remove', { name: 'there', force: true }).answer, { name: 'there' });
  t.same(side.peering.list([]), []);
  t.same(volume.shownLocks(), [], 'and they are released');
});

test('the address that has answered comes first, and none comes twice', (t, side) => {
  const [first, second] = [
    { host: '10.0.0.7', port: 7433 },
    { host: 'fd00::7', port: 7433 },
  ];
  const addresses = [first, second, { ...first }];
  const secret = Buffer.alloc(16, 1);
  const token = encodeToken({ volume: OTHER, fingerprint: FINGERPRINT, secret, addresses });
  const outcome = side.run('peer-join', { name: token, peerName: 'above' });
  // As it may come from the other thread: the same address, in an object that looks different.
  const address = { port: second.port, host: second.host };
  const answer = { volume: OTHER, name: 'there', fingerprint: FINGERPRINT, upstreams: [], address };
  side.joining.resolve(answer);
  t.match(outcome.answer, { name: 'above', direction: 'upstream' });
  t.same(side.fixture.volume.peers.peers.get(OTHER)?.addresses, [second, first]);
});

test('the other thread fails', (t, side) => {
  const late = side.run('peer-invite', {});
  side.later.findLast(({ delayMs }) => delayMs > 60_000)?.run();
  t.match(late.error, { errno: 'ETIMEDOUT' });
  t.equal(side.accept(side.invite(), OTHER, FINGERPRINT), 'accepted');
  const outcome = side.run('peer-invite', {});
  side.calls.here.lost(new CommandError('internal-error', 'EIO', 'out of memory'));
  t.match(outcome.error, { code: 'internal-error', message: /out of memory/ });
  side.configured = [];
  side.peering.lost('out of memory');
  t.same(side.configured, [], 'not at once');
  side.later.at(-1)?.run();
  t.match(side.configured, [{ isNeeded: true, config: { peers: [{ volume: OTHER }] } }]);
});

test('rings and what is above', (t, side) => {
  const { volume } = side.fixture;
  t.equal(side.accept(side.invite(), volume.uuid, FINGERPRINT), 'peer-ring');
  const above = {
    volume: OTHER,
    name: 'above',
    fingerprint: FINGERPRINT,
    direction: 'upstream' as const,
    addresses: [{ host: '10.0.0.7', port: 7433 }],
    sinceMs: 0,
    upstreams: [],
    lastHeardMs: 0,
  };
  volume.peers.putPeer(above);
  t.equal(side.accept(side.invite(), OTHER, FINGERPRINT), 'peer-exists');
  side.calls.there.tell('upstreams', { volume: OTHER, upstreams: [THIRD] });
  t.equal(side.accept(side.invite(), THIRD, 'cd'.repeat(32)), 'peer-ring');
  t.same(volume.peers.peers.get(OTHER)?.upstreams, [THIRD]);
});
