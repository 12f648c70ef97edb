/**
 * Messages between the peering and the volume's owner. Plain data, since the
 * two live in different threads.
 */
import type { PeerAddress } from '../../format/text/peer-address.js';
import type { InvitationRecord, PeerRecord } from '../../format/records/peer-record.js';
import type { Self } from './pairing.js';

/** Everything that is stored about peers, as it is now. */
export interface PeeringConfig {
  self: Omit<Self, 'upstreams'>;
  /** Null: listening was never requested. */
  listen: PeerAddress | null;
  peers: PeerRecord[];
  /** Invitations that can still be used. */
  invitations: InvitationRecord[];
}

/** Ready for an invitation. */
export interface ListenAnswer {
  fingerprint: string;
  listen: PeerAddress;
  /** Addresses at which others may reach the volume. */
  addresses: PeerAddress[];
}

/** The peer on the other side of a join: the volume that joined us, or that we joined. */
export interface JoinAnswer {
  volume: string;
  name: string;
  fingerprint: string;
  upstreams: string[];
  address: PeerAddress;
}

/** A volume that has proved to know an invitation's secret. */
export interface AcceptRequest {
  invitation: string;
  volume: string;
  name: string;
  fingerprint: string;
  upstreams: string[];
}

/** An error with its time, as `peers` and `status` show it. */
export interface PeeringError {
  timeMs: number;
  code: string;
  message: string;
}

/** The present state of a peer. */
export interface PeerState {
  volume: string;
  isConnected: boolean;
  /** The address of the connection; empty: not connected. */
  address: string;
  connectedMs: number | null;
  /** When the last connection ended; null: connected, or never connected by this process. */
  disconnectedMs: number | null;
  /** By this machine's clock; null: not heard by this process. */
  lastHeardMs: number | null;
  epoch: number | null;
  lastError: PeeringError | null;
}

export interface PeeringState {
  listening: PeerAddress | null;
  listenError: PeeringError | null;
  /** The last refused stranger; `claims`: our name for the peer that it claims to be. */
  refused: (PeeringError & { from: string; claims: string | null }) | null;
  peers: PeerState[];
}
