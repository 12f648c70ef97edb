/** Strangers at the port of a hub, whose connections, clock and log are played. */
import t from 'tap';
import { greetingFrame } from '../../src/sync/peers/pairing.js';
import { PeerHub } from '../../src/sync/peers/peer-hub.js';
import type { Connection, ListenHandlers } from '../../src/sync/peers/link.js';
import type { PeeringState } from '../../src/sync/peers/peering-messages.js';
import { STRANGER_LINES } from '../../src/sync/peers/stranger-log.js';
import { timersOf, VirtualTime } from './virtual.js';

const HERE = '00000000-0000-0000-0000-000000000000';
const PEER = '11111111-1111-1111-1111-111111111111';
const OTHER = '22222222-2222-2222-2222-222222222222';
const PINNED = 'ab'.repeat(32);
const LISTEN = { host: '', port: 7433 };

class Side {
  readonly time = new VirtualTime();
  /** The wall clock less the one of the timers. */
  wallAheadMs = 0;
  connection: Connection & { lastHeardMs: number } = undefined as never;
  readonly log: string[] = [];
  state: PeeringState | undefined;
  #handlers: ListenHandlers | undefined;
  readonly hub: PeerHub;

  constructor() {
    const peer = {
      volume: PEER,
      name: 'standby',
      fingerprint: PINNED,
      direction: 'downstream' as const,
      addresses: [],
      sinceMs: 0,
      upstreams: [],
      lastHeardMs: 0,
    };
    this.hub = new PeerHub(
      {
        transport: {
          fingerprint: 'cd'.repeat(32),
          listen: async (address, handlers) => {
            this.#handlers = handlers;
            return { address, close: () => undefined };
          },
          dial: () => () => undefined,
        },
        timers: timersOf(this.time, () => true),
        wallMs: () => this.time.nowMs + this.wallAheadMs,
        random: () => 0,
        agent: { kinds: [], linkUp: () => undefined, linkDown: () => undefined },
        accept: () => Promise.resolve(),
        upstreamsChanged: () => undefined,
        onState: (state) => {
          this.state = state;
        },
        log: (message) => this.log.push(message),
      },
      {
        self: { volume: HERE, name: 'here', epoch: 1 },
        listen: LISTEN,
        peers: [peer],
        invitations: [],
      },
    );
  }

  /** Somebody with this certificate says who he is. Gives what his connection was ended with. */
  hello(fingerprint: string, volume: string): string {
    let ended = '';
    const connection: Connection & { lastHeardMs: number } = {
      fingerprint,
      address: 'somewhere port 1',
      lastHeardMs: this.time.nowMs,
      backlogBytes: 0,
      send: () => undefined,
      trust: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
      end: (code, message) => {
        ended = code;
        connection.onEnd?.({ code, message, fromPeer: false });
      },
      onFrame: undefined,
      onDrain: undefined,
      onEnd: undefined,
    };
    this.connection = connection;
    this.#handlers?.onConnection(connection, () => undefined);
    const self = { volume, name: 'there', epoch: 1, upstreams: [] };
    connection.onFrame?.(greetingFrame('hello', self, HERE));
    return ended;
  }

  run(ms: number): Promise<void> {
    return this.time.run(this.time.nowMs + ms);
  }
}

t.test('who is not the peer by its certificate changes nothing that is shown of it', async (t) => {
  const side = new Side();
  await side.run(1);
  t.equal(side.hello(PINNED, OTHER), 'wrong-volume');
  await side.run(1);
  const before = side.state?.peers;
  t.match(before, [{ lastError: { code: 'wrong-volume' } }], 'the peer itself');
  t.equal(side.hello('ef'.repeat(32), PEER), 'wrong-certificate');
  await side.run(1);
  t.same(side.state?.peers, before);
  t.match(side.state?.refused, { code: 'wrong-certificate', claims: 'standby' });
  t.equal(side.hello('', PEER), 'wrong-certificate', 'without any');
  t.equal(side.hello('ef'.repeat(32), OTHER), 'unknown-peer');
  await side.run(1);
  t.same(side.state?.peers, before);
  t.match(side.state?.refused, { code: 'unknown-peer', claims: null });
  t.equal(side.hello(PINNED, PEER), '');
  await side.run(1);
  t.match(side.state?.peers, [{ isConnected: true, lastError: null }]);
});

t.test('strangers that knock for ever do not fill the log', async (t) => {
  const side = new Side();
  await side.run(1);
  for (let i = 0; i < 1000; i++) side.hello('ef'.repeat(32), PEER);
  await side.run(100_000);
  t.equal(side.log.length, STRANGER_LINES + 1);
  t.match(side.log.at(-1), /^990 more strangers/);
  side.hello('ef'.repeat(32), PEER);
  t.match(side.log.at(-1), /wrong-certificate/, 'later ones are named again');
});

t.test('a peer was heard when it spoke, whatever the clocks do meanwhile', async (t) => {
  const side = new Side();
  await side.run(1);
  t.equal(side.hello(PINNED, PEER), '');
  await side.run(2000);
  const heardMs = side.state?.peers[0]?.lastHeardMs ?? 0;
  t.equal(side.hub.heardMs(PEER), heardMs);
  // The machine sleeps for eight hours: the clock of the timers stands still.
  side.wallAheadMs = 8 * 3_600_000;
  await side.run(2000);
  t.match(side.state?.peers, [{ isConnected: true, lastHeardMs: heardMs }], 'eight hours ago');
  side.connection.lastHeardMs = side.time.nowMs;
  await side.run(2000);
  t.ok((side.state?.peers[0]?.lastHeardMs ?? 0) > 8 * 3_600_000, 'now it has spoken');
  // The clock is set back.
  side.wallAheadMs = -1000;
  side.connection.lastHeardMs = side.time.nowMs;
  await side.run(2000);
  const last = side.state?.peers[0]?.lastHeardMs ?? 0;
  t.ok(last < side.time.nowMs, 'what was heard last counts');
  side.connection.end('connection-lost', 'gone');
  await side.run(1);
  t.match(side.state?.peers, [
    { isConnected: false, connectedMs: null, lastHeardMs: last, lastError: { message: 'gone' } },
  ]);
  t.ok((side.state?.peers[0]?.disconnectedMs ?? 0) > last);
  t.equal(side.hub.heardMs(PEER), undefined);
});
