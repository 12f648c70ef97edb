/**
 * One peer: its connections and its state. Dials the peer if it has addresses,
 * and again whenever the connection is lost. At most one connection per
 * direction: a newer one replaces the older one, which may be dead without
 * notice.
 */
import { type Frame, NO_PAYLOAD } from '../../format/wire/frame.js';
import { isUpstreams, type PeerRecord } from '../../format/records/peer-record.js';
import type { Timers } from '../fabric.js';
import type { AgentPort, Connection, EndReason, Link, Transport } from './link.js';
import { type Greeting, UPSTREAMS_KIND } from './pairing.js';
import { PeerDialer } from './peer-dialer.js';
import type { PeeringError, PeerState } from './peering-messages.js';

export interface ContactParts {
  transport: Transport;
  timers: Timers;
  wallMs: () => number;
  random: () => number;
  /** Longest pause between two attempts to connect. */
  pauseMaxMs: number;
  agent: AgentPort;
  /** Exchanges greetings on a dialled connection; ends in `up` or `failed`. */
  greet(connection: Connection, contact: PeerContact): void;
  upstreamsChanged(upstreams: string[]): void;
  changed(): void;
  log(message: string): void;
}

type Way = 'dialled' | 'accepted';

interface Open {
  connection: Connection;
  link: PeerLink;
  sinceMs: number;
}

export class PeerContact {
  readonly #parts: ContactParts;
  #peer: PeerRecord;
  #dialer: PeerDialer | undefined;
  readonly #open = new Map<Way, Open>();
  #lastHeardMs: number | null = null;
  /** The same by the transport's clock. */
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #disconnectedMs: number | null = null;
  #epoch: number | null = null;
  #lastError: PeeringError | null = null;
  #isClosed = false;

  constructor(parts: ContactParts, peer: PeerRecord) {
    this.#parts = parts;
    this.#peer = peer;
    this.#dialIfWanted();
  }

  get peer(): PeerRecord {
    return this.#peer;
  }

  set peer(peer: PeerRecord) {
    this.#peer = peer;
    this.#dialIfWanted();
  }

  get isConnected(): boolean {
    return this.#open.size > 0;
  }

  #dialIfWanted(): void {
    const { addresses, fingerprint } = this.#peer;
    if (addresses.length === 0) {
      this.#dialer?.stop();
      this.#dialer = undefined;
    } else if (this.#dialer !== undefined) {
      this.#dialer.addresses = addresses;
    } else {
      const { transport, timers, random, pauseMaxMs, greet } = this.#parts;
      this.#dialer = new PeerDialer(
        {
          transport,
          timers,
          random,
          pauseMaxMs,
          onConnection: (connection) => greet(connection, this),
          onFailure: (reason) => this.note(reason),
        },
        addresses,
        fingerprint,
      );
    }
  }

  /** A dialled connection ended before it became a link. */
  failed(reason: EndReason): void {
    this.note(reason);
    this.#dialer?.lost();
  }

  /** Keeps the reason as the last error. */
  note({ code, message }: EndReason): void {
    this.#lastError = { timeMs: this.#parts.wallMs(), code, message };
    this.#parts.changed();
  }

  /** Both sides have exchanged greetings and agreed. */
  up(connection: Connection, greeting: Greeting, way: Way): void {
    const { agent, wallMs, log } = this.#parts;
    const older = this.#open.get(way);
    older?.connection.end('peer-replaced', 'a newer connection has taken its place');
    connection.trust(new Set([UPSTREAMS_KIND, ...agent.kinds]));
    const link = new PeerLink(this.#peer, connection);
    const open: Open = { connection, link, sinceMs: wallMs() };
    this.#open.set(way, open);
    this.#disconnectedMs = null;
    this.#epoch = greeting.epoch;
    this.#lastError = null;
    connection.onFrame = (frame) => {
      if (frame.kind === UPSTREAMS_KIND) this.#learn(frame.body['upstreams']);
      else link.onFrame?.(frame);
    };
    connection.onDrain = () => link.onDrain?.();
    connection.onEnd = (reason) => this.#down(open, way, reason);
    log(`${this.#peer.name} is connected (${connection.address})`);
    this.#learn(greeting.upstreams);
    agent.linkUp(link, this.#peer);
    this.#parts.changed();
  }

  #down(open: Open, way: Way, reason: EndReason): void {
    const { agent, log, wallMs } = this.#parts;
    const { link, connection } = open;
    this.#heard(connection);
    const isCurrent = this.#open.get(way) === open;
    if (isCurrent) this.#open.delete(way);
    if (this.#open.size === 0) this.#disconnectedMs = wallMs();
    log(`${this.#peer.name} is no longer connected: ${reason.code}: ${reason.message}`);
    link.onClose?.(reason);
    agent.linkDown(link);
    if (!isCurrent || this.#isClosed) return;
    this.note(reason);
    if (way === 'dialled') this.#dialer?.lost();
  }

  /** The peer's own upstreams; they matter when the peer is our upstream. */
  #learn(upstreams: unknown): void {
    if (this.#peer.direction !== 'upstream' || !isUpstreams(upstreams)) return;
    if (upstreams.join() !== this.#peer.upstreams.join()) this.#parts.upstreamsChanged(upstreams);
  }

  tellUpstreams(upstreams: readonly string[]): void {
    const frame: Frame = { kind: UPSTREAMS_KIND, body: { upstreams }, payload: NO_PAYLOAD };
    for (const { connection } of this.#open.values()) connection.send(frame);
  }

  close(code: string, message: string): void {
    this.#isClosed = true;
    this.#dialer?.stop();
    for (const { connection } of this.#open.values()) connection.end(code, message);
  }

  /**
   * Converts from the transport's clock to the wall clock, once for each news: the transport's
   * clock stands still while a machine sleeps, and the wall clock may be set, also back.
   */
  #heard({ lastHeardMs }: Connection): void {
    if (lastHeardMs <= this.#heardAtMs) return;
    this.#heardAtMs = lastHeardMs;
    const { timers, wallMs } = this.#parts;
    this.#lastHeardMs = Math.round(wallMs() - (timers.nowMs() - lastHeardMs));
  }

  /** By the wall clock; undefined: not connected. */
  heardMs(): number | undefined {
    for (const { connection } of this.#open.values()) this.#heard(connection);
    return this.isConnected ? (this.#lastHeardMs ?? undefined) : undefined;
  }

  state(): PeerState {
    for (const { connection } of this.#open.values()) this.#heard(connection);
    const [first] = this.#open.values();
    return {
      volume: this.#peer.volume,
      isConnected: this.isConnected,
      address: first?.connection.address ?? '',
      connectedMs: first?.sinceMs ?? null,
      disconnectedMs: this.#disconnectedMs,
      lastHeardMs: this.#lastHeardMs,
      epoch: this.#epoch,
      lastError: this.#lastError,
    };
  }
}

class PeerLink implements Link {
  readonly peer: string;
  readonly name: string;
  onFrame: ((frame: Frame) => void) | undefined;
  onDrain: (() => void) | undefined;
  onClose: ((reason: EndReason) => void) | undefined;
  readonly #connection: Connection;

  constructor({ volume, name }: PeerRecord, connection: Connection) {
    this.peer = volume;
    this.name = name;
    this.#connection = connection;
  }

  get backlogBytes(): number {
    return this.#connection.backlogBytes;
  }

  send(frame: Frame): void {
    this.#connection.send(frame);
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }

  close(reason: string): void {
    this.#connection.end('link-closed', reason);
  }
}
