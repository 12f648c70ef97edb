/**
 * What must hold among the stored peers, and who may become one: no two have
 * the same name, volume or certificate. Only one volume uses an invitation (and
 * may repeat its request if it did not get the answer). No volume follows
 * itself.
 */
import { CommandError } from '../../lib/errors.js';
import { nearHint, nearMatches } from '../../format/text/grammar.js';
import { formatAddress } from '../../format/text/peer-address.js';
import { peerSource } from '../../format/text/source.js';
import {
  type InvitationRecord,
  MAX_PEERS,
  type PeerRecord,
  peerNameFrom,
} from '../../format/records/peer-record.js';
import { refuseRing, upstreamsOf } from '../../sync/peers/pairing.js';
import type { AcceptRequest, JoinAnswer } from '../../sync/peers/peering-messages.js';
import type { PeerTable } from '../../volume/peers/peer-table.js';
import type { Answer } from '../../control/command.js';
import { peerView } from './peer-view.js';

/** The peer of that name. Throws `no-such-peer` with near matches. */
export function requirePeer(table: PeerTable, name: string): PeerRecord {
  const peer = table.byName(name);
  if (peer !== undefined) return peer;
  const names = [...table.peers.values()].map((other) => other.name);
  const near = nearMatches(name, names);
  throw new CommandError(
    'no-such-peer',
    'ENOENT',
    `no peer ${JSON.stringify(name.slice(0, 300))}${nearHint(near)}`,
    { name, near },
  );
}

/** Throws `peer-exists`. */
export function refuseTakenName(table: PeerTable, name: string): void {
  const peer = table.byName(name);
  if (peer !== undefined) throw alreadyThere(peer);
}

/** Throws `too-many-peers`. */
export function refuseTooMany(table: PeerTable): void {
  if (table.peers.size < MAX_PEERS) return;
  throw new CommandError('too-many-peers', 'EBUSY', `the volume has ${MAX_PEERS} peers already`);
}

/** The name, or a similar one that no peer has. */
export function freePeerName(table: PeerTable, wanted: string): string {
  let name = wanted;
  for (let n = 2; table.byName(name) !== undefined; n++) name = `${peerNameFrom(wanted)}-${n}`;
  return name;
}

export function newPeer(
  name: string,
  { volume, fingerprint, upstreams }: Pick<JoinAnswer, 'volume' | 'fingerprint' | 'upstreams'>,
  direction: PeerRecord['direction'],
  sinceMs: number,
): PeerRecord {
  const lastHeardMs = sinceMs;
  const addresses: PeerRecord['addresses'] = [];
  return { volume, name, fingerprint, direction, addresses, sinceMs, upstreams, lastHeardMs };
}

export function alreadyThere({ name, volume }: PeerRecord): CommandError {
  const message = `there is a peer ${name} already (volume ${volume})`;
  return new CommandError('peer-exists', 'EEXIST', message, { name, volume });
}

/**
 * Call before another volume is asked to let this one join. Throws `peer-ring`, `peer-exists`,
 * `too-many-peers`.
 */
export function refuseToJoin(
  table: PeerTable,
  volume: string,
  inviter: string,
  name: string | undefined,
): void {
  const known = table.peers.get(inviter);
  if (known?.direction === 'downstream') refuseRing(volume, inviter, [volume]);
  if (known !== undefined) throw alreadyThere(known);
  if (name !== undefined) refuseTakenName(table, name);
  refuseTooMany(table);
}

/**
 * Stores a volume that has proved to know an invitation's secret. Throws CommandError; returns its
 * name.
 */
export function acceptPeer(
  table: PeerTable,
  volume: string,
  request: AcceptRequest,
  nowMs: number,
): { name: string } {
  table.requireWritable();
  const invitation = table.invitations.get(request.invitation);
  if (invitation === undefined) {
    throw new CommandError('unknown-invitation', 'EACCES', 'the token is not known any more');
  }
  const known = table.peers.get(request.volume);
  if (invitation.usedBy !== undefined) {
    const isAgain =
      invitation.usedBy === request.volume && known?.fingerprint === request.fingerprint;
    if (isAgain && nowMs <= invitation.expiresMs) return { name: known.name };
    const message = 'the token was used already: ask for a new one';
    throw new CommandError('used-invitation', 'EACCES', message);
  }
  refuseExpired(invitation, nowMs);
  // A peer that we know by this certificate has removed us, and was invited again.
  const isBack = known?.fingerprint === request.fingerprint && known.direction === 'downstream';
  if (known !== undefined && !isBack) throw alreadyThere(known);
  for (const peer of table.peers.values()) {
    if (peer !== known && peer.fingerprint === request.fingerprint) throw alreadyThere(peer);
  }
  refuseRing(request.volume, volume, upstreamsOf(table.peers.values()));
  if (!isBack) refuseTooMany(table);
  const wanted = invitation.name || known?.name || request.name;
  const name = wanted === known?.name ? wanted : freePeerName(table, wanted);
  table.putPeer(newPeer(name, request, 'downstream', nowMs));
  table.putInvitation({ ...invitation, usedBy: request.volume });
  table.addHistory('peer-accept', name, peerSource(name), 'accepted');
  return { name };
}

function refuseExpired({ expiresMs }: InvitationRecord, nowMs: number): void {
  if (nowMs <= expiresMs) return;
  const when = new Date(expiresMs).toISOString();
  const message = `the token expired at ${when}: ask for a new one`;
  throw new CommandError('expired-invitation', 'ESTALE', message);
}

export interface PeerLine {
  name: string;
  volume: string;
  direction: PeerRecord['direction'];
  fingerprint: string;
  addresses: string[];
  sinceMs: number;
  lastHeardMs: number | null;
  upstreams: string[];
}

/** The stored state of the peers, for people; oldest first. */
export function peerLines(table: PeerTable): PeerLine[] {
  return [...table.peers.values()]
    .sort((a, b) => a.sinceMs - b.sinceMs)
    .map(
      ({ name, volume, direction, fingerprint, addresses, sinceMs, upstreams, lastHeardMs }) => ({
        name,
        volume,
        direction,
        fingerprint,
        addresses: addresses.map(formatAddress),
        sinceMs,
        upstreams,
        lastHeardMs: lastHeardMs || null,
      }),
    );
}

/** The peers of a volume that is not mounted, in the form of the state file `peers`. */
export function storedPeers({ peers }: { peers: PeerTable }, nowMs: number): Answer[] {
  return peerLines(peers).map((line) => ({
    ...line,
    ...peerView(peers.peers.get(line.volume) as PeerRecord, undefined, nowMs),
    connection: null,
    epoch: null,
    standby: null,
  }));
}
