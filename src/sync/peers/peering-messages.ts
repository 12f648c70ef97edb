/**
 * What the peering tells the volume's owner and is told by it. Plain data: the
 * two live in different threads.
 */
import type { PeerAddress } from '../../format/text/peer-address.js';
import type { InvitationRecord, PeerRecord } from '../../format/records/peer-record.js';
import type { Self } from './pairing.js';

/** All that is stored about peers, as it is now. */
export interface PeeringConfig {
  self: Omit<Self, 'upstreams'>;
  /** Null: never asked for. */
  listen: PeerAddress | null;
  peers: PeerRecord[];
  /** Those that can still be used. */
  invitations: InvitationRecord[];
}

/** Ready for an invitation. */
export interface ListenAnswer {
  fingerprint: string;
  listen: PeerAddress;
  /** Where others may reach it. */
  addresses: PeerAddress[];
}

/** Who has joined on the other side, or whom we have joined. */
export interface JoinAnswer {
  volume: string;
  name: string;
  fingerprint: string;
  upstreams: string[];
  address: PeerAddress;
}

/** Somebody who has proved to know an invitation's secret. */
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

/** How a peer is right now. */
export interface PeerState {
  volume: string;
  isConnected: boolean;
  /** Of the connection; empty: none. */
  address: string;
  connectedMs: number | null;
  lastHeardMs: number | null;
  epoch: number | null;
  lastError: PeeringError | null;
}

export interface PeeringState {
  listening: PeerAddress | null;
  listenError: PeeringError | null;
  /** The last stranger who was sent away; `claims`: how the peer is called here that it says it is. */
  refused: (PeeringError & { from: string; claims: string | null }) | null;
  peers: PeerState[];
}
