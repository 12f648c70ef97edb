/**
 * Entry of the thread that holds the connections to the peers: sockets need an
 * event loop, for which the serving thread has no time. It receives what is
 * stored about peers and requests every change of it; it holds no state that
 * must outlive it.
 */
import { getPriority, networkInterfaces, setPriority } from 'node:os';
import { performance } from 'node:perf_hooks';
import { parentPort } from 'node:worker_threads';
import { CommandError } from '../../lib/errors.js';
import { invariant } from '../../lib/invariant.js';
import { testLimitMs } from '../../lib/test-limit.js';
import { threadData } from '../../lib/threads.js';
import type { PeerAddress } from '../../format/text/peer-address.js';
import { decodeToken } from '../../format/wire/pairing-token.js';
import { withNames } from '../../format/text/peer-names.js';
import { eventfdSignal } from '../../libc/poll.js';
import type { Timers } from '../../sync/fabric.js';
import { joinByToken } from '../../sync/peers/join.js';
import type { Listening } from '../../sync/peers/link.js';
import { GREETINGS } from '../../sync/peers/pairing.js';
import { PeerHub } from '../../sync/peers/peer-hub.js';
import type { ListenAnswer } from '../../sync/peers/peering-messages.js';
import { identityOf } from '../../sync/transport/identity.js';
import { TlsTransport } from '../../sync/transport/tls-transport.js';
import { AgentRunner } from './agent-runner.js';
import { log } from '../serve/log.js';
import { ThreadCalls } from '../calls/thread-calls.js';
import type { CallsToVolume, ConnectionsData, ConnectionsEnd } from './connections-calls.js';

/** The default port; if it is taken, any free port. */
const DEFAULT_PORT = 7433;

invariant(parentPort !== null, 'this file is the entry of a thread');
const main = parentPort;
const { directory, mountpoint, inPlace, config, port, wakeFd } = threadData() as ConnectionsData;

const calls: CallsToVolume = new ThreadCalls({
  post: (message, transfer) => {
    port.postMessage(message, transfer);
    eventfdSignal(wakeFd);
  },
  handlers: {
    config: (changed) => hub.configure(changed),
    listen: ({ address }) => listen(address),
    join: ({ token }) => joinByToken({ transport, timers, self: hub.self }, decodeToken(token)),
    volumeState: (state) => agent.volumeState(state),
    command: (order) => agent.command(order),
    groupSave: (order) => agent.groupSave(order),
  },
  beforeAnswer: () => agent.report(),
});

/**
 * A transfer uses the processor time that programs leave: this thread has a tenth of the weight of
 * the serving thread. On Linux each thread has its own priority.
 */
const NICE = 10;
try {
  setPriority(Math.max(NICE, getPriority()));
} catch (error) {
  log(`the priority of transfers: ${String(error)}`);
}

const timers: Timers = {
  nowMs: () => performance.now(),
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

const nameOf = (peer: string): string | undefined =>
  peer === config.self.volume
    ? 'this volume'
    : hub.stored.peers.find(({ volume }) => volume === peer)?.name;
/** The log shows peers by their names. */
const say = (message: string): void => log(withNames(message, nameOf));

const agent: AgentRunner = new AgentRunner({
  volume: config.self.volume,
  name: config.self.name,
  place: { volume: directory, mounted: { pid: process.pid, mountpoint, inPlace } },
  timers,
  peers: () => hub.stored.peers.map(({ volume }) => volume),
  nameOf: (peer) => nameOf(peer) ?? peer,
  heardMs: (peer) => hub.heardMs(peer),
  wallMs: () => Date.now(),
  calls,
  log: say,
});

const silentMs = testLimitMs('SHADOWFS_PEER_SILENT_MS');
const greetMs = testLimitMs('SHADOWFS_PEER_GREET_MS');
const pauseMaxMs = testLimitMs('SHADOWFS_PEER_PAUSE_MS');
const transport = new TlsTransport(identityOf(directory), {
  timers,
  greetings: GREETINGS,
  ...(silentMs !== undefined && { silentMs }),
  ...(greetMs !== undefined && { greetMs }),
});
const hub: PeerHub = new PeerHub(
  {
    transport,
    timers,
    wallMs: () => Date.now(),
    random: () => Math.random(),
    ...(pauseMaxMs !== undefined && { pauseMaxMs }),
    agent: agent.port,
    accept: (request) => calls.promise('accept', request),
    upstreamsChanged: (volume, upstreams) => calls.tell('upstreams', { volume, upstreams }),
    onState: (state) => calls.tell('peeringState', state),
    log: say,
  },
  config,
);

/**
 * The addresses at which others may reach a listener: its own, or all addresses of this machine.
 */
function addressesOf({ host, port }: PeerAddress): PeerAddress[] {
  if (host !== '') return [{ host, port }];
  const found = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !/^fe80:/i.test(address))
    .sort((a, b) => (a.family === b.family ? 0 : a.family === 'IPv4' ? -1 : 1))
    .map(({ address }) => ({ host: address, port }));
  return found.length > 0 ? found : [{ host: '127.0.0.1', port }];
}

async function listen(wanted: PeerAddress | null): Promise<ListenAnswer> {
  const address = wanted ?? hub.stored.listen;
  const listening = await (address === null ? listenAnywhere() : hub.listen(address));
  return {
    fingerprint: transport.fingerprint,
    listen: listening.address,
    addresses: addressesOf(listening.address),
  };
}

async function listenAnywhere(): Promise<Listening> {
  try {
    return await hub.listen({ host: '', port: DEFAULT_PORT });
  } catch (error) {
    if (!(error instanceof CommandError) || error.code !== 'address-in-use') throw error;
    return await hub.listen({ host: '', port: 0 });
  }
}

const receive = (message: unknown): void => calls.receive(message);
port.on('message', receive);
main.once('message', (end: ConnectionsEnd) => {
  port.off('message', receive);
  if (end.config !== undefined) hub.configure(end.config);
  agent.close();
  hub.close();
  // The last messages are still on their way out.
  setTimeout(() => {
    main.postMessage('stopped');
    // Ends this thread, and at a moment at which it is in no native code.
    process.exit();
  }, 50);
});
