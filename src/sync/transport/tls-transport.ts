/**
 * Connections between peers: TCP with TLS 1.3, with a certificate on both
 * sides, known by its fingerprint alone. There are no authorities and no host
 * names to check; TLS proves that the other side holds the certificate's key.
 *
 * Strangers: at most PENDING_MAX at a time, each for `greetMs`; when there are
 * more, the one that has waited longest goes, so that whoever only holds
 * connections open keeps nobody out.
 *
 * Doors: identity, payload-rooms, tls-transport.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { connect as tlsConnect, TLSSocket } from 'node:tls';
import { CommandError, messageOf } from '../../lib/errors.js';
import { formatAddress, type PeerAddress } from '../../format/text/peer-address.js';
import type { Timers } from '../fabric.js';
import type {
  DialHandlers,
  EndReason,
  Listening,
  ListenHandlers,
  Transport,
} from '../peers/link.js';
import { FrameSocket, type SocketOptions } from './frame-socket.js';
import type { TransportIdentity } from './identity.js';
import { OneBuffer } from './one-buffer.js';

export const PENDING_MAX = 32;
/** More than PENDING_MAX plus a connection in both directions for every peer. */
const CONNECTIONS_MAX = 256;

export interface TlsTransportOptions {
  timers: Timers;
  greetings: readonly string[];
  /** Time for a stranger to show who it is, and for a dialled side to answer. */
  greetMs?: number;
  silentMs?: number;
}

const GREET_MS = 10_000;
const SILENT_MS = 15_000;

export class TlsTransport implements Transport {
  readonly #identity: TransportIdentity;
  readonly #timers: Timers;
  readonly #greetMs: number;
  readonly #socketOptions: SocketOptions;

  constructor(identity: TransportIdentity, options: TlsTransportOptions) {
    this.#identity = identity;
    this.#timers = options.timers;
    this.#greetMs = options.greetMs ?? GREET_MS;
    const { timers, greetings, silentMs = SILENT_MS } = options;
    this.#socketOptions = { timers, greetings, silentMs };
  }

  get fingerprint(): string {
    return this.#identity.fingerprint;
  }

  /** Throws CommandError `address-in-use` or `address-unusable`. */
  async listen(address: PeerAddress, handlers: ListenHandlers): Promise<Listening> {
    const waiting = new Set<Socket>();
    const server = createServer({ noDelay: true }, (raw) => {
      this.#accept(raw, waiting, handlers);
    });
    server.maxConnections = CONNECTIONS_MAX;
    const port = await listenOn(server, address);
    return {
      address: { host: address.host, port },
      close: () => {
        server.close();
        // The owners of links end them, with a farewell message.
        for (const raw of waiting) raw.destroy();
        waiting.clear();
      },
    };
  }

  #accept(raw: Socket, waiting: Set<Socket>, handlers: ListenHandlers): void {
    raw.on('error', () => raw.destroy());
    const [longest] = waiting;
    if (waiting.size >= PENDING_MAX && longest !== undefined) {
      waiting.delete(longest);
      longest.destroy();
    }
    waiting.add(raw);
    const stop = this.#timers.after(this.#greetMs, () => raw.destroy());
    const settled = (): void => {
      stop();
      waiting.delete(raw);
    };
    raw.once('close', settled);
    const socket = new TLSSocket(raw, {
      isServer: true,
      secureContext: this.#identity.context,
      requestCert: true,
      // There is no authority to ask: the user of the connection checks the fingerprint.
      rejectUnauthorized: false,
    });
    socket.on('error', () => raw.destroy());
    socket.once('secure', () => {
      handlers.onConnection(new FrameSocket(socket, this.#socketOptions), settled);
    });
  }

  dial(address: PeerAddress, fingerprint: string, handlers: DialHandlers): () => void {
    const where = formatAddress(address);
    let isSettled = false;
    const settle = (tell: () => void): void => {
      if (isSettled) return;
      isSettled = true;
      stop();
      tell();
    };
    const fail = (reason: EndReason): void =>
      settle(() => {
        socket.destroy();
        handlers.onFailure(reason);
      });
    const stop = this.#timers.after(this.#greetMs, () =>
      fail(unreachable(`${where} did not answer within ${this.#greetMs} ms`)),
    );
    const received = new OneBuffer();
    const socket = tlsConnect({
      ...received.options,
      host: address.host,
      port: address.port,
      secureContext: this.#identity.context,
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    socket.setNoDelay(true);
    socket.on('error', (error) => fail(unreachable(dialFailure(where, error))));
    socket.once('close', () => fail(unreachable(`${where} closed the connection`)));
    socket.once('secureConnect', () => {
      const connection = new FrameSocket(socket, this.#socketOptions, received);
      if (connection.fingerprint === fingerprint) {
        settle(() => handlers.onConnection(connection));
        return;
      }
      const message = `${where} has another certificate than the one that was pinned: it is not the peer, or was made anew`;
      connection.end('wrong-certificate', message);
      settle(() => handlers.onFailure({ code: 'wrong-certificate', message, fromPeer: false }));
    });
    return () => settle(() => socket.destroy());
  }
}

function unreachable(message: string): EndReason {
  return { code: 'peer-unreachable', message, fromPeer: false };
}

function dialFailure(where: string, error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ECONNREFUSED':
      return `nobody listens at ${where}`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host of ${where} is not known`;
    default:
      return `${where} can't be reached: ${code ?? messageOf(error)}`;
  }
}

/** Returns the port. Listens on all addresses: IPv6 and IPv4, or those that the machine has. */
async function listenOn(server: Server, { host, port }: PeerAddress): Promise<number> {
  const hosts = host === '' ? ['::', '0.0.0.0'] : [host];
  for (;;) {
    const next = hosts.shift() as string;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host: next, port }, () => {
          server.off('error', reject);
          resolve();
        });
      });
      break;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const hasNoIpv6 = code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL';
      if (!hasNoIpv6 || hosts.length === 0) throw listenFailure({ host, port }, error);
    }
  }
  server.on('error', () => undefined);
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

function listenFailure(address: PeerAddress, error: unknown): CommandError {
  const code = (error as NodeJS.ErrnoException).code ?? messageOf(error);
  const where = formatAddress({ ...address, host: address.host || '*' });
  return code === 'EADDRINUSE'
    ? new CommandError('address-in-use', 'EADDRINUSE', `something else listens at ${where}`)
    : new CommandError('address-unusable', 'EINVAL', `can't listen at ${where}: ${code}`);
}
