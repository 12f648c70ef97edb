/**
 * The peers of a mounted volume: the commands that change them, and what the
 * thread of the connections asks for. Runs in the serving thread, so that what
 * is stored about peers is changed in one place, command by command, and an
 * answer comes when it is durable.
 * What may be stored is in peer-rules.ts.
 *
 * Doors inside daemon/: agent-messages, agent-requests, connections,
 *   connections-calls, connections-launcher, group-member, peer-rules,
 *   peering, remote-agent.
 */
import { randomBytes } from 'node:crypto';
import { CommandError } from '../../lib/errors.js';
import { after, type Deferred } from '../../lib/deferred.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import {
  decodeToken,
  encodeToken,
  invitationId,
  SECRET_LENGTH,
} from '../../format/wire/pairing-token.js';
import { formatAddress, type PeerAddress } from '../../format/text/peer-address.js';
import {
  type InvitationRecord,
  MAX_INVITATIONS,
  type PeerDirection,
} from '../../format/records/peer-record.js';
import type {
  AcceptRequest,
  PeeringConfig,
  PeeringState,
} from '../../sync/peers/peering-messages.js';
import type { PeerTable } from '../../volume/peers/peer-table.js';
import {
  acceptPeer,
  freePeerName,
  newPeer,
  peerLines,
  refuseTakenName,
  refuseToJoin,
  refuseTooMany,
  requirePeer,
} from './peer-rules.js';
import type { Handlers } from '../calls/thread-calls.js';
import type { Connections } from './connections.js';
import type { PeeringToVolume } from './connections-calls.js';

export type PeeringCommand = 'peer-invite' | 'peer-join' | 'peer-remove';

export interface PeeringParts {
  table: PeerTable;
  /** The UUID of the volume. */
  volume: string;
  /** The name that the volume gives itself towards others. */
  selfName: string;
  readOnly: boolean;
  /** The present role epoch. */
  epoch(): number;
  /** Runs a change as a command: its turn, then durable. */
  change(name: string, change: () => object): Deferred<Answer>;
  /** Runs a function once, in this thread. */
  later(delayMs: number, run: () => void): void;
  connections: Pick<Connections, 'start' | 'configure' | 'call'>;
  /** A new peer is stored. */
  paired(direction: PeerDirection, volume: string): void;
  /** Snapshots that are locked for this peer. */
  locksOf(volume: string): readonly object[];
  /** Once the peer is gone, it can't release its locks. */
  releaseLocks(volume: string, source: string): void;
  /** Called in the txg of the removal. */
  removed(volume: string): void;
  nowMs(): number;
  log(message: string): void;
}

const DEFAULT_VALID_MS = 3600_000;
/** How long used and expired invitations are remembered, to give a precise refusal. */
const KEEP_USED_MS = 7 * 24 * 3600_000;
const START_AGAIN_MS = 5_000;
const STORE_HEARD_MS = 60_000;
/** Longer than joining can take. */
const ANSWER_MS = 120_000;

export class Peering {
  readonly #parts: PeeringParts;
  #state: PeeringState | undefined;

  constructor(parts: PeeringParts) {
    this.#parts = parts;
  }

  /** Connects to the stored peers, and tells them the role epoch, which may have changed. */
  start(): void {
    const { readOnly, table } = this.#parts;
    if (!readOnly && table.peers.size + table.invitations.size > 0) this.#configure();
  }

  run(command: PeeringCommand, args: CommandArguments, source: string): Deferred<Answer> {
    this.#parts.table.requireWritable();
    switch (command) {
      case 'peer-invite':
        return this.#invite(args, source);
      case 'peer-join':
        return this.#join(args, source);
      case 'peer-remove':
        return this.#remove(args, source);
    }
  }

  /** Requests of the thread of the connections. */
  readonly handlers: Handlers<PeeringToVolume> = {
    accept: (request) => this.#accept(request),
    upstreams: ({ volume, upstreams }) => this.#learn(volume, upstreams),
    peeringState: (state) => {
      this.#state = state;
      this.#storeHeard();
    },
  };

  // Commands

  #invite(args: CommandArguments, source: string): Deferred<Answer> {
    const { table, volume, nowMs } = this.#parts;
    const peerName = args.peerName ?? '';
    if (peerName !== '') refuseTakenName(table, peerName);
    if (this.#openInvitations().length >= MAX_INVITATIONS) {
      throw new CommandError('too-many-peers', 'EBUSY', `${MAX_INVITATIONS} invitations are open`);
    }
    refuseTooMany(table);
    const listening = this.#inTime(
      this.#started().call('listen', { address: args.listen ?? null }),
    );
    return this.#thenConfigure(
      after(listening, ({ fingerprint, listen, addresses }) => {
        const secret = randomBytes(SECRET_LENGTH);
        const createdMs = nowMs();
        const expiresMs = createdMs + (args.validMs ?? DEFAULT_VALID_MS);
        return this.#parts.change('peer-invite', () => {
          const id = invitationId(secret);
          table.setListen(listen);
          table.putInvitation({
            id,
            secret: secret.toString('hex'),
            name: peerName,
            createdMs,
            expiresMs,
          });
          table.addHistory('peer-invite', peerName, source, 'invited');
          this.#parts.later(expiresMs - createdMs + 1_000, () => this.#configure());
          return {
            token: encodeToken({ volume, fingerprint, secret, addresses }),
            listen: formatAddress(listen),
            addresses: addresses.map(formatAddress),
            expiresMs,
          };
        });
      }),
    );
  }

  #join(args: CommandArguments, source: string): Deferred<Answer> {
    const { volume, table } = this.#parts;
    const text = args.name ?? '';
    const token = decodeToken(text);
    if (token.volume === volume) {
      throw new CommandError('own-invitation', 'EINVAL', 'this volume itself has made the token');
    }
    refuseToJoin(table, volume, token.volume, args.peerName);
    const joined = this.#inTime(this.#started().call('join', { token: text }));
    const joining = after(joined, (answer) =>
      this.#parts.change('peer-join', () => {
        const name = freePeerName(table, args.peerName ?? answer.name);
        // The address that answered is dialled first.
        const addresses = [answer.address, ...token.addresses].filter(isFirst);
        const peer = newPeer(name, answer, 'upstream', this.#parts.nowMs());
        table.putPeer({ ...peer, addresses });
        table.addHistory('peer-join', name, source, 'joined');
        return {
          name,
          volume: answer.volume,
          direction: 'upstream',
          fingerprint: answer.fingerprint,
        };
      }),
    );
    joining.settled(
      () => this.#parts.paired('upstream', token.volume),
      () => undefined,
    );
    return this.#thenConfigure(joining);
  }

  #remove({ name = '', force = false }: CommandArguments, source: string): Deferred<Answer> {
    const { table } = this.#parts;
    const removed = this.#parts.change('peer-remove', () => {
      const peer = requirePeer(table, name);
      const locks = this.#parts.locksOf(peer.volume);
      if (locks.length > 0 && !force) {
        throw new CommandError(
          'peer-holds-locks',
          'EBUSY',
          `${locks.length} snapshots are kept for ${name} (shadowfs locks shows them); ` +
            '--force releases them and removes it; it may need a full transfer afterwards',
          { locks },
        );
      }
      if (locks.length > 0) this.#parts.releaseLocks(peer.volume, source);
      table.deletePeer(peer.volume);
      this.#parts.removed(peer.volume);
      table.addHistory('peer-remove', name, source, force ? 'removed by force' : 'removed');
      return { name, volume: peer.volume };
    });
    return this.#thenConfigure(removed);
  }

  // Requests of the other thread

  #accept(request: AcceptRequest): Deferred<void> {
    const { table, volume, nowMs } = this.#parts;
    const accepted = this.#parts.change('peer-accept', () =>
      acceptPeer(table, volume, request, nowMs()),
    );
    return after(accepted, () => {
      this.#parts.paired('downstream', request.volume);
      this.#configure();
    });
  }

  #learn(volume: string, upstreams: string[]): void {
    const { table } = this.#parts;
    const peer = table.peers.get(volume);
    if (peer === undefined) return;
    table.putPeer({ ...peer, upstreams });
    this.#configure();
  }

  /** Stored now and then, with the next txg: not worth a transaction of its own. */
  #storeHeard(): void {
    const { table } = this.#parts;
    for (const { volume, lastHeardMs } of this.#state?.peers ?? []) {
      const peer = table.peers.get(volume);
      if (peer === undefined || lastHeardMs === null) continue;
      if (lastHeardMs - peer.lastHeardMs < STORE_HEARD_MS) continue;
      table.putPeer({ ...peer, lastHeardMs });
    }
  }

  /** The thread of the connections has failed. */
  lost(message: string): void {
    this.#parts.log(`the thread of the peers failed: ${message}`);
    this.#state = undefined;
    this.#parts.later(START_AGAIN_MS, () => this.start());
  }

  // State for people

  /** For the state file `peers`, oldest first. */
  list(): object[] {
    const states = new Map(this.#state?.peers.map((state) => [state.volume, state]));
    return peerLines(this.#parts.table).map((line) => {
      const state = states.get(line.volume);
      if (state === undefined) return { ...line, isConnected: false, lastError: null };
      const { isConnected, connectedMs, address, epoch, lastError } = state;
      const lastHeardMs = Math.max(line.lastHeardMs ?? 0, state.lastHeardMs ?? 0) || null;
      return {
        ...line,
        lastHeardMs,
        isConnected,
        connectedMs,
        connection: address || null,
        epoch,
        lastError,
      };
    });
  }

  status(): object {
    const { table } = this.#parts;
    return {
      peers: table.peers.size,
      connected: this.#state?.peers.filter(({ isConnected }) => isConnected).length ?? 0,
      openInvitations: this.#openInvitations().length,
      listening: this.#state?.listening ? formatAddress(this.#state.listening) : null,
      listenError: this.#state?.listenError ?? null,
      refused: this.#state?.refused ?? null,
    };
  }

  // Internals

  #config(): PeeringConfig {
    const { table, volume, selfName, epoch } = this.#parts;
    return {
      self: { volume, name: selfName, epoch: epoch() },
      listen: table.listen ?? null,
      peers: [...table.peers.values()],
      invitations: [...table.invitations.values()],
    };
  }

  #openInvitations(): InvitationRecord[] {
    const nowMs = this.#parts.nowMs();
    const { invitations } = this.#parts.table;
    return [...invitations.values()].filter(
      ({ expiresMs, usedBy }) => usedBy === undefined && nowMs <= expiresMs,
    );
  }

  /** Sends the stored state to the other thread. */
  #configure(): void {
    const { table, connections } = this.#parts;
    this.#forgetOld();
    const isNeeded = table.peers.size > 0 || this.#openInvitations().length > 0;
    if (!isNeeded) this.#state = undefined;
    connections.configure(this.#config(), isNeeded);
  }

  #forgetOld(): void {
    const { table, nowMs } = this.#parts;
    for (const { id, expiresMs } of [...table.invitations.values()]) {
      if (nowMs() > expiresMs + KEEP_USED_MS) table.deleteInvitation(id);
    }
  }

  #thenConfigure(done: Deferred<Answer>): Deferred<Answer> {
    const configure = (): void => this.#configure();
    done.settled(configure, configure);
    return done;
  }

  /** Returns the connections, and starts them if they were not needed before. */
  #started(): PeeringParts['connections'] {
    const { connections } = this.#parts;
    connections.start(this.#config());
    return connections;
  }

  #inTime<T>(answer: Deferred<T>): Deferred<T> {
    const late = new CommandError(
      'internal-error',
      'ETIMEDOUT',
      'the thread of the peers is silent',
    );
    this.#parts.later(ANSWER_MS, () => answer.reject(late));
    return answer;
  }
}

function isFirst(address: PeerAddress, index: number, all: readonly PeerAddress[]): boolean {
  // By text: the address that answered comes from another thread, as a different object.
  const text = formatAddress(address);
  return all.findIndex((other) => formatAddress(other) === text) === index;
}
