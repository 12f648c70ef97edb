/**
 * The volume's side of the sync agent: carries out what the agent asks for
 * from the thread of the connections, as commands in their turn, and tells it
 * what it needs to know of the volume. Runs in the serving thread.
 *
 * What must hold: a request is answered when what it changed is durable, and
 * after the state that it led to was told.
 */
import { CommandError } from '../../lib/errors.js';
import { after, Deferred } from '../../lib/deferred.js';
import { settledWith } from '../../lib/work.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import type { IncomingStream } from '../../control/intake-handle.js';
import type { PeerDirection } from '../../format/records/peer-record.js';
import { formatEvery } from '../../format/text/schedule.js';
import type { Epoch, SyncSnapshot } from '../../sync/agent/messages.js';
import { decodeToken, snapshotOfUuid } from '../../sync/stream/sender.js';
import { takesAll } from '../../sync/stream/receive-checks.js';
import { resumeToken } from '../../sync/stream/receiving.js';
import type { Snapshot } from '../../volume/catalog.js';
import { ALWAYS } from '../../volume/peers/pull-schedule.js';
import type { RoleAnswer } from '../../volume/peers/role-commands.js';
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import type {
  AgentCommand,
  AgentReceiving,
  AgentReport,
  AgentRequest,
  AgentStarted,
  AgentState,
} from './agent-messages.js';
import type { TreeMove, VolumeCommands } from '../commands/commands.js';
import type { IncomingStreams } from '../transfer/incoming.js';
import { keepForSync, locksOfDownstreams, storeLocks } from './agent-locks.js';
import { groupAnswer } from './group-answer.js';
import type { GroupMember } from './group-member.js';
import { fromPlainError, toPlainError } from '../serve/messages.js';
import { requirePeer } from './peer-rules.js';
import type { FromSync, ToSync } from './connections-calls.js';

const SOURCE = 'peer';
/** More are not told: an answer to a peer has a greatest length. The newest count. */
const SNAPSHOTS_MAX = 4000;

export type FromAgent = Extract<FromSync, { kind: `agent-${string}` }>;

export interface RemoteAgentParts {
  volume: Volume;
  commands: VolumeCommands<View>;
  incoming: () => IncomingStreams;
  random: () => number;
  groups: GroupMember;
  /** Throws CommandError when the volume can't be a standby as it is mounted. */
  checkDemotion(): void;
  post(message: ToSync): void;
}

export class RemoteAgent {
  readonly #parts: RemoteAgentParts;
  #stream: IncomingStream | undefined;
  /** The state that the agent was told last; undefined: there is no agent. */
  #told: string | undefined;
  #report: AgentReport | undefined;
  readonly #commanded = new Map<number, Deferred<Answer>>();
  #nextId = 1;

  constructor(parts: RemoteAgentParts) {
    this.#parts = parts;
  }

  state(): AgentState {
    const { volume } = this.#parts;
    const { upstream, handover, shown } = volume.roles.current;
    return {
      history: this.#hasHistory() ? volume.catalog.identity.history : '',
      role: {
        role: volume.isStandby ? 'standby' : 'primary',
        epoch: this.#epoch,
        ...(upstream !== undefined && { upstream }),
        ...(handover !== undefined && { handover }),
      },
      snapshots: volume.snapshots().filter(isSent).slice(-SNAPSHOTS_MAX).map(syncSnapshot),
      locks: locksOfDownstreams(volume),
      shown: shown ?? null,
      pullEveryMs: volume.pulls.everyMs ?? null,
    };
  }

  get #epoch(): Epoch {
    const { epoch, by } = this.#parts.volume.roles.current;
    return { number: epoch, by: by ?? '' };
  }

  /** A standby that has received nothing yet belongs to no history. */
  #hasHistory(): boolean {
    const { volume } = this.#parts;
    return !volume.isStandby || volume.snapshots().length > 0;
  }

  /** Asks the agent; the answer comes when it has done what was asked. */
  command(command: AgentCommand, { peerName, force }: CommandArguments): Deferred<Answer> {
    const answer = new Deferred<Answer>();
    const id = this.#nextId++;
    const peer =
      peerName === undefined ? '' : requirePeer(this.#parts.volume.peers, peerName).volume;
    this.#commanded.set(id, answer);
    this.#parts.post({ kind: 'agent-command', id, command, peer, force: force ?? false });
    return answer;
  }

  /** Saves this volume and those of the peers, at one point. */
  groupSave({ name = '', peers = [] }: CommandArguments, source: string): Deferred<Answer> {
    const { groups, volume } = this.#parts;
    groups.check(name);
    const members = peers.map((peer) => requirePeer(volume.peers, peer).volume);
    const done = new Deferred<Answer>();
    const id = this.#nextId++;
    groups.source = source;
    this.#commanded.set(id, done);
    this.#parts.post({ kind: 'agent-group-save', id, command: { name, peers: members } });
    return after(done, (answer) => groupAnswer(answer, name, peers, volume, groups));
  }

  receive(message: FromAgent): void {
    switch (message.kind) {
      case 'agent-request': {
        const { id, request } = message;
        let answer: Deferred<unknown>;
        try {
          answer = this.#handle(request);
        } catch (error) {
          this.#parts.post({ kind: 'agent-answer', id, error: toPlainError(error) });
          return;
        }
        answer.settled(
          (value) => this.#parts.post({ kind: 'agent-answer', id, answer: value }),
          (error) => this.#parts.post({ kind: 'agent-answer', id, error: toPlainError(error) }),
        );
        break;
      }
      case 'agent-commanded': {
        const waiting = this.#commanded.get(message.id);
        this.#commanded.delete(message.id);
        if (message.error === undefined) waiting?.resolve(message.answer);
        else waiting?.reject(fromPlainError(message.error));
        break;
      }
      case 'agent-report':
        this.#report = message.report;
        break;
    }
  }

  /** For the state file `lag`. */
  lag(): object {
    const { volume } = this.#parts;
    const report = this.#report;
    const nameOf = (uuid: string): string => volume.peers.nameOf(uuid) ?? uuid;
    const { upstream = null, pending = [], conflicts = [] } = report ?? {};
    const [oldest] = pending;
    const every = volume.pulls.everyMs;
    return {
      role: volume.roles.current.role,
      upstream: upstream === null ? null : nameOf(upstream),
      every: every === undefined ? ALWAYS : formatEvery(every),
      snapshots: pending.length,
      seconds: oldest === undefined ? 0 : Math.max(0, (Date.now() - oldest.createdMs) / 1000),
      bytes: report?.bytes ?? (pending.length === 0 ? 0 : null),
      bytesReceived: report?.received ?? 0,
      isRunning: report?.isRunning ?? false,
      isPaused: report?.isPaused ?? false,
      error: report?.error ?? null,
      conflicts: conflicts.map(({ peer, mine, theirs }) => ({
        peer: nameOf(peer),
        mine,
        theirs,
        message:
          `${nameOf(peer)} is primary too, in role epoch ${theirs} (this volume: ${mine}): ` +
          (theirs > mine
            ? `make this one follow it with "shadowfs demote --peer ${nameOf(peer)}"`
            : 'make it follow this one with "shadowfs demote --peer NAME" there'),
      })),
    };
  }

  /** To be called after each command; tells the agent, if there is one, what is new. */
  changed(): void {
    if (this.#told === undefined) return;
    const state = this.state();
    const text = JSON.stringify(state);
    if (text === this.#told) return;
    this.#told = text;
    this.#parts.post({ kind: 'agent-state', state });
  }

  /** The agent is gone: what was coming in is kept as far as it came. */
  lost(): void {
    this.#parts.groups.lost();
    this.#stream?.suspend();
    this.#stream = undefined;
    this.#told = undefined;
    this.#report = undefined;
    const lost = new CommandError('internal-error', 'EIO', 'the thread of the peers has failed');
    for (const waiting of this.#commanded.values()) waiting.reject(lost);
    this.#commanded.clear();
  }

  /**
   * What this volume is to a new peer: the first one to write, or one that has nothing yet;
   * others are partners of group saves.
   */
  paired(direction: PeerDirection, peer: string): void {
    const { volume, random } = this.#parts;
    const { role } = volume.roles.current;
    if (role !== 'none') return;
    if (direction === 'downstream') {
      this.#move('promote', () => volume.roles.promote(SOURCE, random, 1, volume.uuid));
    } else if (takesAll(volume)) {
      this.#move('follow', () => volume.roles.follow(peer, { number: 0, by: '' }, SOURCE));
    }
  }

  peerRemoved(peer: string): void {
    this.#parts.groups.peerRemoved(peer);
  }

  #handle(request: AgentRequest): Deferred<unknown> {
    if (request.op === 'start') this.#told = '';
    const answer = this.#run(request);
    // A piece of a stream changes nothing that the agent is told, and there are many.
    if (request.op === 'push') return answer;
    answer.settled(
      () => this.changed(),
      () => this.changed(),
    );
    return answer;
  }

  #run(request: AgentRequest): Deferred<unknown> {
    const { volume, commands } = this.#parts;
    switch (request.op) {
      case 'start':
        return plain(
          commands.runChange('sync-start', (): AgentStarted => {
            const groups = this.#parts.groups.stored();
            return { incarnation: volume.catalog.takeAgentRun(), groups };
          }),
        );
      case 'group-park':
      case 'group-unpark':
      case 'group-save':
      case 'group-keep':
      case 'group-drop':
      case 'group-commit':
      case 'group-forget':
        return this.#parts.groups.run(request);
      case 'store-locks':
        return plain(storeLocks(volume, commands, request.from, request.set));
      case 'receive':
        return plain(this.#receive(request.from, request.to));
      case 'push':
        return plain(this.#open().push(bufferOf(request.bytes)));
      case 'adopt':
        return plain(this.#adopt(request.snapshot, bufferOf(request.bytes), request.epoch));
      case 'suspend': {
        const stream = this.#stream;
        this.#stream = undefined;
        return stream === undefined ? settledWith<unknown>(undefined) : plain(stream.suspend());
      }
      case 'show':
        return this.#move('show', () => {
          this.#requireStandby(request.epoch);
          const moving = volume.roles.show(this.#require(request.snapshot), SOURCE);
          keepForSync(volume, request.snapshot);
          return moving;
        });
      case 'promote': {
        const { number, by } = request.epoch;
        return this.#move('promote', () =>
          volume.roles.promote(SOURCE, this.#parts.random, number, by),
        );
      }
      case 'demote': {
        const { to, epoch, upstream } = request;
        return this.#move('demote', () => {
          this.#parts.checkDemotion();
          const name = to === null ? undefined : this.#require(to).name;
          const following = { by: epoch.by, upstream };
          return volume.roles.demote(name, SOURCE, epoch.number, following);
        });
      }
      case 'hand-over':
        return after(
          this.#move('hand-over', () => {
            this.#parts.checkDemotion();
            return volume.roles.handOver(request.to, request.epoch, SOURCE);
          }),
          (): unknown => volume.roles.current.handover,
        );
      case 'follow':
        return this.#move('follow', () => {
          const { handover } = volume.roles.current;
          const moving = volume.roles.follow(request.upstream, request.epoch, SOURCE);
          if (handover !== undefined) keepForSync(volume, handover.snapshot);
          return moving;
        });
    }
  }

  #move(name: string, change: () => TreeMove<View, RoleAnswer>): Deferred<unknown> {
    return plain(this.#parts.commands.move(name, change));
  }

  #require(uuid: string): Snapshot {
    return snapshotOfUuid(this.#parts.volume, uuid);
  }

  /** The role may have changed since the agent began. */
  #requireStandby(epoch: Epoch): void {
    const mine = this.#epoch;
    const { isStandby } = this.#parts.volume;
    if (isStandby && mine.number === epoch.number && mine.by === epoch.by) return;
    throw new CommandError('role-changed', 'ESTALE', 'the role has changed meanwhile');
  }

  #receive(from: string | null, to: string): Deferred<AgentReceiving> {
    const { volume, incoming } = this.#parts;
    this.#stream = incoming().open({ force: true, source: SOURCE });
    const text = resumeToken(volume);
    const token = text === undefined ? undefined : decodeToken(text);
    const isOurs = token?.from === from && token.to === to;
    const resumed =
      isOurs && token !== undefined ? { records: token.records, chain: token.chain } : null;
    return settledWith<AgentReceiving>({ resumed });
  }

  #open(): IncomingStream {
    if (this.#stream !== undefined) return this.#stream;
    throw new CommandError('receive-ended', 'EINVAL', 'nothing is coming in');
  }

  #adopt(snapshot: string, bytes: Buffer, epoch: Epoch): Deferred<Answer> {
    this.#requireStandby(epoch);
    const stream = this.#open();
    const taken = after(stream.push(bytes), () => stream.finish());
    return after(taken, () => {
      this.#stream = undefined;
      return this.#parts.commands.runChange('sync', () => {
        this.#parts.volume.roles.noteShown(snapshot);
        keepForSync(this.#parts.volume, snapshot);
        return {};
      });
    });
  }
}

/** The same memory. */
function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function isSent({ kind }: Snapshot): boolean {
  return kind === 'user' || kind === 'auto';
}

function syncSnapshot({ uuid, name, createdMs }: Snapshot): SyncSnapshot {
  return { uuid, name, createdMs };
}

function plain<T>(answer: Deferred<T>): Deferred<unknown> {
  return after(answer, (value): unknown => value);
}
