/**
 * The connections of one volume: which ones it accepts, which peers it dials,
 * and its links. Runs where sockets may wait (a thread of its own in the
 * daemon), over the given transport, clock and randomness.
 *
 * What must hold: a link goes to the agent only after both greetings were
 * checked; of two connections with one peer in one direction the newer one
 * stays; nothing that a stranger sends changes anything but `refused`, whoever it
 * says it is: only its certificate makes one a peer.
 *
 * Doors: join, link, link-fabric, pairing, peer-channels, peer-hub,
 *   peering-messages.
 */
import type { Frame } from '../../format/wire/frame.js';
import type { PeerAddress } from '../../format/text/peer-address.js';
import type { InvitationRecord, PeerRecord } from '../../format/records/peer-record.js';
import type { Timers } from '../fabric.js';
import type { AgentPort, Connection, EndReason, Listening, Transport } from './link.js';
import {
  checkIsPeer,
  type Greeting,
  greetingFrame,
  isSameProof,
  proofOf,
  readGreeting,
  readJoin,
  Refusal,
  refuseRing,
  type Self,
  upstreamsOf,
} from './pairing.js';
import { MAX_PAUSE_MS } from './peer-dialer.js';
import { PeerContact, type ContactParts } from './peer-contact.js';
import type { AcceptRequest, PeeringConfig, PeeringState } from './peering-messages.js';
import { StrangerLog } from './stranger-log.js';

export interface HubParts {
  transport: Transport;
  timers: Timers;
  /** Milliseconds since 1970, for people. */
  wallMs: () => number;
  random: () => number;
  /** Longest pause between two attempts to connect to a peer. */
  pauseMaxMs?: number;
  agent: AgentPort;
  /**
   * Stores a new peer; resolves when that is durable. Rejects with the error that the other side
   * gets.
   */
  accept(request: AcceptRequest): Promise<void>;
  /** An upstream has sent the present list of the volumes above it. */
  upstreamsChanged(volume: string, upstreams: string[]): void;
  onState(state: PeeringState): void;
  log(message: string): void;
}

const LISTEN_AGAIN_MS = 5_000;
/** How often states are sent that are not urgent. */
const STATE_EVERY_MS = 2_000;

export class PeerHub {
  readonly #parts: HubParts;
  #config: PeeringConfig;
  #self: Self;
  readonly #contacts = new Map<string, PeerContact>();
  #listening: Listening | undefined;
  #listenRun: Promise<unknown> = Promise.resolve();
  #listenError: PeeringState['listenError'] = null;
  #refused: PeeringState['refused'] = null;
  readonly #strangers: StrangerLog;
  #stateIsDue = false;
  #isClosed = false;

  constructor(parts: HubParts, config: PeeringConfig) {
    this.#parts = parts;
    this.#config = config;
    this.#self = { ...config.self, upstreams: [] };
    this.#strangers = new StrangerLog(parts.timers, (message) => parts.log(message));
    this.configure(config);
    this.#tellNowAndThen();
  }

  get self(): Self {
    return this.#self;
  }

  get stored(): PeeringConfig {
    return this.#config;
  }

  /** When the peer was last heard, by the wall clock; undefined: it is not connected. */
  heardMs(volume: string): number | undefined {
    return this.#contacts.get(volume)?.heardMs();
  }

  configure(config: PeeringConfig): void {
    this.#config = config;
    const upstreams = upstreamsOf(config.peers);
    const isNews = upstreams.join() !== this.#self.upstreams.join();
    this.#self = { ...config.self, upstreams };
    const wanted = new Set(config.peers.map(({ volume }) => volume));
    for (const [volume, contact] of this.#contacts) {
      if (wanted.has(volume)) continue;
      contact.close('peer-removed', `the volume ${this.#self.volume} has removed this peer`);
      this.#contacts.delete(volume);
    }
    for (const peer of config.peers) this.#putPeer(peer);
    if (isNews) for (const contact of this.#contacts.values()) contact.tellUpstreams(upstreams);
    this.#keepListening();
    this.#tell();
  }

  #putPeer(peer: PeerRecord): void {
    const contact = this.#contacts.get(peer.volume);
    if (contact !== undefined && contact.peer.fingerprint === peer.fingerprint) {
      contact.peer = peer;
      return;
    }
    contact?.close('peer-removed', 'the peer was paired anew');
    const { transport, timers, wallMs, random, agent } = this.#parts;
    const { pauseMaxMs = MAX_PAUSE_MS } = this.#parts;
    const parts: ContactParts = {
      transport,
      timers,
      wallMs,
      random,
      pauseMaxMs,
      agent,
      greet: (connection, to) => this.#greet(connection, to),
      upstreamsChanged: (upstreams) => this.#parts.upstreamsChanged(peer.volume, upstreams),
      changed: () => this.#tell(),
      log: (message) => this.#parts.log(message),
    };
    this.#contacts.set(peer.volume, new PeerContact(parts, peer));
  }

  /** We have dialled a peer: send a greeting and wait for its greeting. */
  #greet(connection: Connection, contact: PeerContact): void {
    const { volume } = contact.peer;
    connection.onFrame = (frame) =>
      this.#orRefuse(connection, contact, () => {
        if (frame.kind !== 'hello') throw unexpected(frame);
        const greeting = readGreeting(frame.body, this.#self);
        checkIsPeer(greeting, contact.peer, this.#self);
        contact.up(connection, greeting, 'dialled');
      });
    connection.onEnd = (reason) => contact.failed(reason);
    connection.send(greetingFrame('hello', this.#self, volume));
  }

  /** Another side has connected to us. */
  readonly #connected = (connection: Connection, admit: () => void): void => {
    let claims: string | null = null;
    connection.onFrame = (frame) => {
      const contact = this.#contactOf(connection);
      claims = this.#contacts.get(String(frame.body['volume']))?.peer.name ?? null;
      this.#orRefuse(connection, contact, () => {
        if (frame.kind === 'join') this.#joined(connection, frame, admit);
        else if (frame.kind === 'hello') this.#greeted(connection, frame, contact, admit);
        else throw unexpected(frame);
      });
    };
    connection.onEnd = (reason) => this.#strangerEnded(connection, reason, claims);
  };

  #strangerEnded({ address }: Connection, reason: EndReason, claims: string | null): void {
    if (reason.code === 'connection-lost') return;
    this.#refused = { timeMs: this.#parts.wallMs(), from: address, claims, ...said(reason) };
    this.#tell();
  }

  /**
   * The peer with this certificate. The certificate alone counts: a stranger that claims to be a
   * peer is shown apart.
   */
  #contactOf({ fingerprint }: Connection): PeerContact | undefined {
    return [...this.#contacts.values()].find(({ peer }) => peer.fingerprint === fingerprint);
  }

  #greeted(
    connection: Connection,
    frame: Frame,
    contact: PeerContact | undefined,
    admit: () => void,
  ): void {
    const greeting = readGreeting(frame.body, this.#self);
    if (contact === undefined) {
      if (this.#contacts.has(greeting.volume)) {
        throw new Refusal(
          'wrong-certificate',
          `${connection.address} says it is the volume ${greeting.volume}, but has another certificate than the one that was pinned`,
        );
      }
      throw new Refusal(
        'unknown-peer',
        `the volume ${this.#self.volume} does not know this peer: it was removed there, or never paired`,
      );
    }
    checkIsPeer(greeting, contact.peer, this.#self);
    connection.send(greetingFrame('hello', this.#self, greeting.volume));
    admit();
    contact.up(connection, greeting, 'accepted');
  }

  #joined(connection: Connection, frame: Frame, admit: () => void): void {
    const join = readJoin(frame.body, this.#self);
    const invitation = this.#config.invitations.find(({ id }) => id === join.invitation);
    if (invitation === undefined || connection.fingerprint === '') {
      throw new Refusal(
        'unknown-invitation',
        'the token was not made by this volume, or has expired long ago: ask for a new one',
      );
    }
    const joiner = { volume: join.volume, fingerprint: connection.fingerprint };
    const { volume } = this.#self;
    const inviter = { volume, fingerprint: this.#parts.transport.fingerprint };
    const secret = Buffer.from(invitation.secret, 'hex');
    if (!isSameProof(proofOf('joiner', secret, joiner, inviter), join.proof)) {
      throw new Refusal('wrong-proof', 'the other side does not know the secret of the token');
    }
    refuseRing(join.volume, volume, this.#self.upstreams);
    // It has proved that it was invited; storing may take longer than the time for strangers.
    admit();
    connection.onFrame = (more) =>
      this.#orRefuse(connection, undefined, () => {
        throw unexpected(more);
      });
    const { name, upstreams } = join;
    this.#parts
      .accept({ invitation: invitation.id, ...joiner, name, upstreams })
      .then(() => this.#welcome(connection, join, invitation))
      .catch((error: unknown) => this.#refuse(connection, undefined, error));
  }

  #welcome(connection: Connection, { volume }: Greeting, { secret }: InvitationRecord): void {
    const joiner = { volume, fingerprint: connection.fingerprint };
    const inviter = { volume: this.#self.volume, fingerprint: this.#parts.transport.fingerprint };
    const proof = proofOf('inviter', Buffer.from(secret, 'hex'), joiner, inviter);
    connection.onEnd = undefined;
    connection.send(greetingFrame('joined', this.#self, volume, { proof }));
    // The joiner ends the connection as soon as it has the answer.
    this.#parts.timers.after(LISTEN_AGAIN_MS, () => connection.end('joined', 'paired'));
  }

  #orRefuse(connection: Connection, contact: PeerContact | undefined, action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#refuse(connection, contact, error);
    }
  }

  #refuse(connection: Connection, contact: PeerContact | undefined, error: unknown): void {
    const { code, message } = refusalOf(error);
    const what = code === 'internal-error' ? String(error) : message;
    const line = `refused ${connection.address}: ${code}: ${what}`;
    if (contact === undefined) this.#strangers.say(line);
    else this.#parts.log(line);
    contact?.note({ code, message, fromPeer: false });
    // The connection's handler notes the refusal, or dials again.
    connection.end(code, message);
  }

  /** Listens at the address, which may differ from the previous one. Throws CommandError. */
  listen(address: PeerAddress): Promise<Listening> {
    const run = this.#listenRun.then(async () => {
      const now = this.#listening;
      const isThere =
        now?.address.host === address.host &&
        (address.port === 0 || now.address.port === address.port);
      if (now !== undefined && isThere) return now;
      const next = await this.#parts.transport.listen(address, { onConnection: this.#connected });
      now?.close();
      this.#listening = next;
      this.#listenError = null;
      if (this.#isClosed) next.close();
      return next;
    });
    this.#listenRun = run.catch(() => undefined);
    return run;
  }

  /** True when a peer may dial us, or a volume with a token may come. */
  get #isAwaiting(): boolean {
    const { peers, invitations } = this.#config;
    return invitations.length > 0 || peers.some(({ addresses }) => addresses.length === 0);
  }

  #keepListening(): void {
    const { listen } = this.#config;
    if (this.#isClosed) return;
    if (listen === null || !this.#isAwaiting) {
      this.#listening?.close();
      this.#listening = undefined;
      return;
    }
    this.listen(listen).then(
      () => this.#tell(),
      (error: unknown) => {
        const reason = refusalOf(error);
        this.#parts.log(`${reason.message}; trying again`);
        this.#listenError = { timeMs: this.#parts.wallMs(), ...reason };
        this.#tell();
        this.#parts.timers.after(LISTEN_AGAIN_MS, () => this.#keepListening());
      },
    );
  }

  close(): void {
    this.#isClosed = true;
    this.#listening?.close();
    for (const contact of this.#contacts.values()) {
      contact.close('peer-stopping', 'the other side is being unmounted');
    }
    this.#contacts.clear();
  }

  #tellNowAndThen(): void {
    this.#parts.timers.after(STATE_EVERY_MS, () => {
      if (this.#isClosed) return;
      if ([...this.#contacts.values()].some(({ isConnected }) => isConnected)) this.#tell();
      this.#tellNowAndThen();
    });
  }

  /** Sends the state soon, and once for all changes in one turn. */
  #tell(): void {
    if (this.#stateIsDue) return;
    this.#stateIsDue = true;
    this.#parts.timers.after(0, () => {
      this.#stateIsDue = false;
      if (this.#isClosed) return;
      this.#parts.onState({
        listening: this.#listening?.address ?? null,
        listenError: this.#listenError,
        refused: this.#refused,
        peers: [...this.#contacts.values()].map((contact) => contact.state()),
      });
    });
  }
}

function unexpected({ kind }: Frame): Refusal {
  return new Refusal('bad-frame', `a frame ${kind} has no place here`);
}

function said({ code, message }: { code: string; message: string }): {
  code: string;
  message: string;
} {
  return { code, message };
}

/** The error that the other side gets: it does not reveal internal errors. */
function refusalOf(error: unknown): { code: string; message: string } {
  const code = (error as { code?: unknown }).code;
  if (error instanceof Error && typeof code === 'string' && /^[a-z][a-z-]*$/.test(code)) {
    return { code, message: error.message };
  }
  return { code: 'internal-error', message: 'something went wrong; the log there says what' };
}
