/**
 * The peers of a mounted volume: the commands that change them, and what the
 * thread of the connections asks for. Runs in the serving thread, so that what
 * is stored about peers is changed in one place, command by command, and an
 * answer comes when it is durable.
 * What may be stored is in peer-rules.ts.
 *
 * Doors: sync-state.
 * Doors inside daemon/: agent-messages, agent-requests, connections,
 *   connections-calls, connections-launcher, group-member, peer-rules,
 *   peering, read-sync-state, remote-agent.
 */
import { randomBytes } from 'node:crypto';
import { pastTime } from '../../lib/age.js';
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
  type PeerRecord,
} from '../../format/records/peer-record.js';
import type {
  AcceptRequest,
  PeeringConfig,
  PeeringError,
  PeeringState,
} from '../../sync/peers/peering-messages.js';
import { withNames } from '../../format/text/peer-names.js';
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
import type { ShownLock } from '../../volume/locks/lock-text.js';
import type { Handlers } from '../calls/thread-calls.js';
import type { AgentReport } from './agent-messages.js';
import type { Connections } from './connections.js';
import { type PeerView, peerView } from './peer-view.js';
import type { StandbyState } from './sync-state.js';
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
    for (const { volume, lastHeardMs, isConnected } of this.#state?.peers ?? []) {
      const peer = table.peers.get(volume);
      if (peer === undefined || lastHeardMs === null) continue;
      // Also back: the clock may have been set back.
      const movedMs = Math.abs(lastHeardMs - peer.lastHeardMs);
      if (movedMs >= (isConnected ? STORE_HEARD_MS : 1)) table.putPeer({ ...peer, lastHeardMs });
    }
  }

  /** The agent's report: what must be known of the peers when they are away after a mount. */
  noteReport({ upstream, levelMs, peers: said }: AgentReport): void {
    const { table } = this.#parts;
    for (const peer of [...table.peers.values()]) {
      const { follows, has } = peer;
      const word = said.find((one) => one.peer === peer.volume);
      const next = {
        follows: word?.isFollower ?? follows,
        has: word?.isFollower === false ? undefined : (word?.has ?? has),
        levelMs: upstream === peer.volume ? this.#levelOf(peer, levelMs) : undefined,
      };
      if (next.follows === follows && next.has === has && next.levelMs === peer.levelMs) continue;
      const { follows: _follows, has: _has, levelMs: _levelMs, ...rest } = peer;
      const known = Object.entries(next).filter(([, value]) => value !== undefined);
      table.putPeer({ ...rest, ...Object.fromEntries(known) });
    }
  }

  /** As for the time of the last word, not each move of it is stored while there is a connection. */
  #levelOf(
    { volume, levelMs: stored = 0 }: PeerRecord,
    levelMs: number | null,
  ): number | undefined {
    if (levelMs === null) return stored || undefined;
    const state = this.#state?.peers.find((one) => one.volume === volume);
    const isSoon = Math.abs(levelMs - stored) < (state?.isConnected ? STORE_HEARD_MS : 1);
    return isSoon ? stored : levelMs;
  }

  /** The thread of the connections has failed. */
  lost(message: string): void {
    this.#parts.log(`the thread of the peers failed: ${message}`);
    this.#state = undefined;
    this.#parts.later(START_AGAIN_MS, () => this.start());
  }

  // State for people

  /** What is known of the connections to all peers. */
  views(): { record: PeerRecord; view: PeerView }[] {
    const states = new Map(this.#state?.peers.map((state) => [state.volume, state]));
    const nowMs = this.#parts.nowMs();
    return [...this.#parts.table.peers.values()].map((record) => ({
      record,
      view: peerView(record, states.get(record.volume), nowMs),
    }));
  }

  /** For the state file `peers`, oldest first. `standbys`: those that follow this volume. */
  list(standbys: readonly StandbyState[]): object[] {
    const { table } = this.#parts;
    const states = new Map(this.#state?.peers.map((state) => [state.volume, state]));
    const views = new Map(this.views().map(({ record, view }) => [record.volume, view]));
    return peerLines(table).map((line) => {
      const state = states.get(line.volume);
      const view = views.get(line.volume) as PeerView;
      const standby = standbys.find(({ volume }) => volume === line.volume);
      const { has = null, missingCount = null, lagMs = null } = standby ?? {};
      return {
        ...line,
        ...view,
        lastError: this.#named(view.lastError),
        connection: state?.address || null,
        epoch: state?.epoch ?? null,
        standby: standby === undefined ? null : { has, missingCount, lagMs },
      };
    });
  }

  /** The text, with the names that people here use in place of the UUIDs of volumes. */
  named(text: string): string {
    const { volume, table } = this.#parts;
    return withNames(text, (uuid) => (uuid === volume ? 'this volume' : table.nameOf(uuid)));
  }

  #named<E extends PeeringError>(error: E | null): E | null {
    return error === null ? null : { ...error, message: this.named(error.message) };
  }

  /** The locks of peers, with when each of these was heard last, and whether it is connected. */
  withLinks(locks: readonly ShownLock[]): object[] {
    const views = new Map(this.views().map(({ record, view }) => [record.volume, view]));
    const nowMs = this.#parts.nowMs();
    return locks.map((lock) => {
      const view = views.get(lock.origin);
      if (view === undefined) return { ...lock, connected: null };
      const times = [pastTime(lock.lastHeardMs, nowMs), view.lastHeardMs].filter(
        (ms) => ms !== null,
      );
      const lastHeardMs = times.length === 0 ? null : Math.max(...times);
      return { ...lock, lastHeardMs, connected: view.connected };
    });
  }

  status(): object {
    const { table } = this.#parts;
    return {
      peerCount: table.peers.size,
      connectedCount: this.#state?.peers.filter(({ isConnected }) => isConnected).length ?? 0,
      openInvitationCount: this.#openInvitations().length,
      listening: this.#state?.listening ? formatAddress(this.#state.listening) : null,
      listenError: this.#state?.listenError ?? null,
      lastRefused: this.#named(this.#state?.refused ?? null),
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
