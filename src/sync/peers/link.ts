/**
 * What the sync sees of a connection to a peer. No sockets here: the same code
 * runs over TLS and over a simulated network.
 */
import type { Frame } from '../../format/wire/frame.js';
import type { PeerAddress } from '../../format/text/peer-address.js';
import type { PeerRecord } from '../../format/records/peer-record.js';

/** Why a connection ended. */
export interface EndReason {
  /** Stable; codes are listed in the README. */
  code: string;
  message: string;
  /** The other side said so. */
  fromPeer: boolean;
}

/** Frames to and from one other side, which may still be a stranger. */
export interface Connection {
  /** SHA-256 of the certificate it has shown and holds the key of; empty: none. */
  readonly fingerprint: string;
  /** Where it is, for people. */
  readonly address: string;
  readonly lastHeardMs: number;
  /** Bytes that were sent and are still here. */
  readonly backlogBytes: number;
  /** After the end: nothing happens. The payload must stay as it is. A backlog beyond BACKLOG_MAX_BYTES ends the connection. */
  send(frame: Frame): void;
  /** From now on frames of a peer are taken, not those of a stranger only. */
  trust(kinds: ReadonlySet<string>): void;
  /** No more frames are handed over until `resume`; the other side is held up. */
  pause(): void;
  resume(): void;
  /** Tells the other side why. */
  end(code: string, message: string): void;
  onFrame: ((frame: Frame) => void) | undefined;
  /** The backlog is gone. */
  onDrain: (() => void) | undefined;
  /** Once. */
  onEnd: ((reason: EndReason) => void) | undefined;
}

/** A connection to a peer that both sides have agreed on. Handlers are set in `linkUp`. */
export interface Link {
  /** The UUID of the peer's volume. */
  readonly peer: string;
  /** How the peer is called here. */
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

/** Who talks to the peers, once there is a link. */
export interface AgentPort {
  /** The kinds of frames it sends and takes. */
  readonly kinds: readonly string[];
  linkUp(link: Link, peer: PeerRecord): void;
  /** The link's `onClose` was called just before. */
  linkDown(link: Link): void;
}

export interface Listening {
  /** With the port that was really taken. */
  readonly address: PeerAddress;
  close(): void;
}

export interface ListenHandlers {
  /** `admit`: it is a peer, and no longer one of the strangers who must hurry. */
  onConnection(connection: Connection, admit: () => void): void;
}

export interface DialHandlers {
  onConnection(connection: Connection): void;
  onFailure(reason: EndReason): void;
}

export interface Transport {
  /** Of our own certificate. */
  readonly fingerprint: string;
  listen(address: PeerAddress, handlers: ListenHandlers): Promise<Listening>;
  /**
   * One attempt, one call of a handler. Only who holds the key of the certificate with this
   * fingerprint is handed over. Gives what calls it off.
   */
  dial(address: PeerAddress, fingerprint: string, handlers: DialHandlers): () => void;
}
