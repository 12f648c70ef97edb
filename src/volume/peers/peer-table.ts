/**
 * The peers of a volume and its open invitations, held in memory whole (both
 * are few). Every change goes into the open txg and is durable when that is.
 * The commands (daemon/peers/peering.ts) decide who may change what.
 */
import { CommandError } from '../../lib/errors.js';
import {
  decodePeering,
  encodeInvitation,
  encodePeer,
  type InvitationRecord,
  invitationKey,
  LISTEN_KEY,
  peerKey,
  type PeerRecord,
} from '../../format/records/peer-record.js';
import { peerSource } from '../../format/text/source.js';
import type { PeerAddress } from '../../format/text/peer-address.js';
import { TABLE } from '../../format/records/tables.js';
import { encodeJson } from '../../format/records/values.js';
import type { Catalog } from '../catalog.js';
import type { VolumeCore } from '../core.js';

export class PeerTable {
  readonly #core: VolumeCore;
  readonly #catalog: Catalog;
  /** By the UUID of the peer's volume. */
  readonly peers = new Map<string, PeerRecord>();
  readonly invitations = new Map<string, InvitationRecord>();
  #listen: PeerAddress | undefined;

  constructor(core: VolumeCore, catalog: Catalog) {
    this.#core = core;
    this.#catalog = catalog;
    for (const { key, value } of core.reader.range(TABLE.peers, undefined, undefined)) {
      const stored = decodePeering(key, value);
      if (stored.kind === 'peer') this.peers.set(stored.peer.volume, stored.peer);
      else if (stored.kind === 'listen') this.#listen = stored.listen;
      else if (stored.kind === 'invitation') {
        this.invitations.set(stored.invitation.id, stored.invitation);
      }
    }
  }

  /** The name by which people here know the volume; undefined: it is no peer. */
  nameOf(volume: string): string | undefined {
    return this.peers.get(volume)?.name;
  }

  /** The source of what a volume has caused here. */
  sourceOf(volume: string | undefined): string {
    return peerSource(volume === undefined ? undefined : (this.nameOf(volume) ?? volume));
  }

  /** The address where this volume waits for peers. */
  get listen(): PeerAddress | undefined {
    return this.#listen;
  }

  setListen(listen: PeerAddress): void {
    this.#listen = listen;
    this.#core.putSystem(TABLE.peers, LISTEN_KEY, encodeJson(listen));
  }

  byName(name: string): PeerRecord | undefined {
    return [...this.peers.values()].find((peer) => peer.name === name);
  }

  putPeer(peer: PeerRecord): void {
    this.peers.set(peer.volume, peer);
    this.#core.putSystem(TABLE.peers, peerKey(peer.volume), encodePeer(peer));
  }

  deletePeer(volume: string): void {
    this.peers.delete(volume);
    this.#core.putSystem(TABLE.peers, peerKey(volume), undefined);
  }

  putInvitation(invitation: InvitationRecord): void {
    this.invitations.set(invitation.id, invitation);
    this.#core.putSystem(TABLE.peers, invitationKey(invitation.id), encodeInvitation(invitation));
  }

  deleteInvitation(id: string): void {
    this.invitations.delete(id);
    this.#core.putSystem(TABLE.peers, invitationKey(id), undefined);
  }

  /** Records a command in the history, as every command must (rule D8). */
  addHistory(command: string, name: string, source: string, outcome: string): void {
    this.#catalog.addHistory({ command, name, source, outcome });
  }

  /** Throws CommandError `read-only` or `volume-failed`. */
  requireWritable(): void {
    const { failure, readOnly } = this.#core;
    if (failure !== undefined) {
      throw new CommandError('volume-failed', 'EIO', `the volume failed: ${failure.message}`);
    }
    if (readOnly) throw new CommandError('read-only', 'EROFS', 'the volume is mounted read-only');
  }
}
