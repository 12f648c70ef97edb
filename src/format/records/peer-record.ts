/**
 * What a volume stores about its peers (table `peers`, native-notes/format.md):
 * one record per peer, one per invitation, one for the address to listen on.
 * Pure. Every field is checked when it is read, because what is read here is
 * trusted.
 */
import { isCount, isUuid } from '../../lib/fields.js';
import { CorruptionError } from '../../lib/errors.js';
import { isHost, type PeerAddress } from '../text/peer-address.js';
import { decodeJson, encodeJson } from './values.js';

export const MAX_PEERS = 64;
export const MAX_INVITATIONS = 64;
/** Most volumes upstream of a volume, at any distance. */
export const MAX_UPSTREAMS = 64;

/** Seen from this volume: it pulls from an upstream, and a downstream pulls from it. */
export type PeerDirection = 'upstream' | 'downstream';

export interface PeerRecord {
  /** The UUID of its volume. */
  volume: string;
  /** The peer's local name; unique among the peers. */
  name: string;
  /** SHA-256 of its certificate, hexadecimal: pinned at pairing. */
  fingerprint: string;
  direction: PeerDirection;
  /** Addresses to dial, in turn. Empty when the peer dials this volume. */
  addresses: PeerAddress[];
  sinceMs: number;
  /** Volumes upstream of the peer, as it last reported them; they prevent a ring. */
  upstreams: string[];
  /** 0: never. Updated only now and then. */
  lastHeardMs: number;
  /** For a volume that this one follows: when all of its snapshots were here last. */
  levelMs?: number;
  /** It has said that it is a standby of this volume, or that it is none. Absent: not yet. */
  follows?: boolean;
  /** For one that follows: the UUID of the newest common snapshot that it has; '': none. */
  has?: string;
}

export interface InvitationRecord {
  /** See `invitationId`. */
  id: string;
  /** Hexadecimal. */
  secret: string;
  /** The local name for the peer that joins; empty: the name it gives itself. */
  name: string;
  createdMs: number;
  expiresMs: number;
  /**
   * The volume that used the invitation. Only this volume may ask again, in
   * case the answer was lost.
   */
  usedBy?: string;
}

const HEX = /^([0-9a-f]{2})+$/;
const PEER_NAME = /^[\p{L}\p{N}][\p{L}\p{N}._:@+-]{0,63}$/u;

/** Up to 64 letters, digits and `._:@+-`. */
export function isPeerName(value: unknown): value is string {
  return typeof value === 'string' && PEER_NAME.test(value);
}

/** The nearest allowed name to a machine's own name. */
export function peerNameFrom(text: string): string {
  const name = text.replace(/[^\p{L}\p{N}._:@+-]+/gu, '-').replace(/^[^\p{L}\p{N}]+/u, '');
  return name.slice(0, 60) || 'peer';
}

export function isFingerprint(value: unknown): value is string {
  return typeof value === 'string' && value.length === 64 && HEX.test(value);
}

export function isUpstreams(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= MAX_UPSTREAMS && value.every(isUuid);
}

export function isAddress(value: unknown): value is PeerAddress {
  if (typeof value !== 'object' || value === null) return false;
  const { host, port } = value as Partial<PeerAddress>;
  return typeof host === 'string' && (host === '' || isHost(host)) && isCount(port) && port < 65536;
}

const PEER_PREFIX = 'peer/';
const INVITATION_PREFIX = 'invitation/';
export const LISTEN_KEY = Buffer.from('listen');

export function peerKey(volume: string): Buffer {
  return Buffer.from(PEER_PREFIX + volume);
}

export function invitationKey(id: string): Buffer {
  return Buffer.from(INVITATION_PREFIX + id);
}

export type StoredPeering =
  | { kind: 'peer'; peer: PeerRecord }
  | { kind: 'invitation'; invitation: InvitationRecord }
  | { kind: 'listen'; listen: PeerAddress }
  /** A record of another part of the sync. */
  | { kind: 'other' };

export function encodePeer(peer: PeerRecord): Buffer {
  const { volume: _volume, ...record } = peer;
  return encodeJson(record);
}

export function encodeInvitation(invitation: InvitationRecord): Buffer {
  const { id: _id, ...record } = invitation;
  return encodeJson(record);
}

/** One record of the table. Throws CorruptionError. */
export function decodePeering(key: Buffer, value: Buffer): StoredPeering {
  const text = key.toString();
  const where = `peers/${text}`;
  if (text === LISTEN_KEY.toString()) {
    const listen = decodeJson<PeerAddress>(value, where);
    if (!isAddress(listen)) throw new CorruptionError('address to listen on', where);
    return { kind: 'listen', listen };
  }
  if (text.startsWith(PEER_PREFIX)) {
    const record = decodeJson<Omit<PeerRecord, 'volume'>>(value, where);
    return { kind: 'peer', peer: checkedPeer({ ...record, volume: text.slice(5) }, where) };
  }
  if (text.startsWith(INVITATION_PREFIX)) {
    const record = decodeJson<Omit<InvitationRecord, 'id'>>(value, where);
    const invitation = { ...record, id: text.slice(INVITATION_PREFIX.length) };
    return { kind: 'invitation', invitation: checkedInvitation(invitation, where) };
  }
  return { kind: 'other' };
}

function checkedPeer(peer: PeerRecord, where: string): PeerRecord {
  const { volume, name, fingerprint, direction, addresses, sinceMs, upstreams, lastHeardMs } = peer;
  const isWhole =
    isUuid(volume) &&
    isPeerName(name) &&
    isFingerprint(fingerprint) &&
    (direction === 'upstream' || direction === 'downstream') &&
    Array.isArray(addresses) &&
    addresses.every(isAddress) &&
    isCount(sinceMs) &&
    isUpstreams(upstreams) &&
    isCount(lastHeardMs) &&
    (peer.levelMs === undefined || isCount(peer.levelMs)) &&
    (peer.follows === undefined || typeof peer.follows === 'boolean') &&
    (peer.has === undefined || peer.has === '' || isUuid(peer.has));
  if (!isWhole) throw new CorruptionError('peer', where);
  return peer;
}

function checkedInvitation(invitation: InvitationRecord, where: string): InvitationRecord {
  const { secret, name, createdMs, expiresMs, usedBy } = invitation;
  const isWhole =
    typeof secret === 'string' &&
    HEX.test(secret) &&
    (name === '' || isPeerName(name)) &&
    isCount(createdMs) &&
    isCount(expiresMs) &&
    (usedBy === undefined || isUuid(usedBy));
  if (!isWhole) throw new CorruptionError('invitation', where);
  return invitation;
}
