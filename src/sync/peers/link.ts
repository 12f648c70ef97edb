/**
 * A connection to a peer, as the sync sees it. No sockets here: the same code
 * runs over TLS and over a simulated network.
 */
import type { Frame } from '../../format/wire/frame.js';
import type { PeerAddress } from '../../format/text/peer-address.js';
import type { PeerRecord } from '../../format/records/peer-record.js';

/** Why a connection ended. */
export interface EndReason {
  /** Stable; native-notes/reference.md lists the codes. */
  code: string;
  message: string;
  /** The other side gave this reason. */
  fromPeer: boolean;
}

/** Frames to and from one other side, which may still be a stranger. */
export interface Connection {
  /** SHA-256 of the certificate whose key the other side holds; empty: none. */
  readonly fingerprint: string;
  /** The address of the other side, for people. */
  readonly address: string;
  readonly lastHeardMs: number;
  /** Bytes that were sent and have not left this process. */
  readonly backlogBytes: number;
  /**
   * After the end it does nothing. The payload must not change. A backlog beyond BACKLOG_MAX_BYTES
   * ends the connection.
   */
  send(frame: Frame): void;
  /** From now on accepts a peer's frames, not only those of a stranger. */
  trust(kinds: ReadonlySet<string>): void;
  /** Delivers no more frames until `resume`; the other side has to wait. */
  pause(): void;
  resume(): void;
  /** Ends the connection and tells the other side why. */
  end(code: string, message: string): void;
  onFrame: ((frame: Frame) => void) | undefined;
  /** The backlog is gone. */
  onDrain: (() => void) | undefined;
  /** Called once. */
  onEnd: ((reason: EndReason) => void) | undefined;
}

/** A connection to a peer, after both sides have agreed. Handlers are set in `linkUp`. */
export interface Link {
  /** The UUID of the peer's volume. */
  readonly peer: string;
  /** The name of the peer here. */
  readonly name: string;
  readonly backlogBytes: number;
  send(frame: Frame): void;
  pause(): void;
  resume(): void;
  close(reason: string): void;
  onFrame: ((frame: Frame) => void) | undefined;
  onDrain: (() => void) | undefined;
  onClose: ((reason: EndReason) => void) | undefined;
}

/** The part that talks to the peers, once there is a link. */
export interface AgentPort {
  /** The kinds of frames it sends and accepts. */
  readonly kinds: readonly string[];
  linkUp(link: Link, peer: PeerRecord): void;
  /** Called just after the link's `onClose`. */
  linkDown(link: Link): void;
}

export interface Listening {
  /** Has the actual port. */
  readonly address: PeerAddress;
  close(): void;
}

export interface ListenHandlers {
  /** `admit`: the other side is a peer, and no longer a stranger with limited time. */
  onConnection(connection: Connection, admit: () => void): void;
}

export interface DialHandlers {
  onConnection(connection: Connection): void;
  onFailure(reason: EndReason): void;
}

export interface Transport {
  /** The fingerprint of our own certificate. */
  readonly fingerprint: string;
  listen(address: PeerAddress, handlers: ListenHandlers): Promise<Listening>;
  /**
   * One attempt, one call of a handler. Passes on a connection only if the other side holds the key
   * of the certificate with this fingerprint. Returns a function that cancels the attempt.
   */
  dial(address: PeerAddress, fingerprint: string, handlers: DialHandlers): () => void;
}
