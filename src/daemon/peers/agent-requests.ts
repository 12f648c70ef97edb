/**
 * The sync agent's requests to its volume, carried out as commands in their
 * turn. Runs in the serving thread.
 */
import { CommandError } from '../../lib/errors.js';
import { after, type Deferred } from '../../lib/deferred.js';
import { settledWith } from '../../lib/work.js';
import type { IncomingStream } from '../../control/intake-handle.js';
import type { PeerDirection } from '../../format/records/peer-record.js';
import type { Epoch, Handover } from '../../sync/agent/messages.js';
import { decodeToken, snapshotOfUuid } from '../../sync/stream/sender.js';
import { takesAll } from '../../sync/stream/receive-checks.js';
import { resumeToken } from '../../sync/stream/receiving.js';
import type { Snapshot } from '../../volume/catalog.js';
import type { RoleAnswer } from '../../volume/peers/role-commands.js';
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import type { Handlers } from '../calls/thread-calls.js';
import type { TreeMove } from '../commands/command-volume.js';
import type { VolumeCommands } from '../commands/commands.js';
import type { IncomingStreams } from '../transfer/incoming.js';
import { keepForSync, storeLocks } from './agent-locks.js';
import type { AgentReceiving, AgentStarted } from './agent-messages.js';
import type { AgentToVolume } from './connections-calls.js';
import type { GroupMember } from './group-member.js';

export interface AgentRequestsParts {
  volume: Volume;
  commands: VolumeCommands<View>;
  incoming: () => IncomingStreams;
  random: () => number;
  groups: GroupMember;
  /** Throws CommandError when the volume can't be a standby as it is mounted. */
  checkDemotion(): void;
  /** The agent starts. */
  started(): void;
}

export class AgentRequests {
  readonly #parts: AgentRequestsParts;
  #stream: IncomingStream | undefined;
  /** Who gave the command that the agent carries out now; undefined: none is given here. */
  asker: string | undefined;

  constructor(parts: AgentRequestsParts) {
    this.#parts = parts;
  }

  readonly handlers: Handlers<AgentToVolume> = {
    start: () => this.#start(),
    storeLocks: ({ from, set }) => storeLocks(this.#parts.volume, this.#parts.commands, from, set),
    receive: ({ from, to }) => this.#receive(from, to),
    push: ({ bytes }) => this.#open().push(bufferOf(bytes)),
    adopt: ({ snapshot, bytes, epoch }) => this.#adopt(snapshot, bufferOf(bytes), epoch),
    suspend: () => this.#suspend(),
    show: ({ snapshot, epoch }) =>
      this.#move('show', () => {
        const { volume } = this.#parts;
        this.#requireStandby(epoch);
        const moving = volume.roles.show(this.#require(snapshot), this.#upstreamSource());
        keepForSync(volume, snapshot);
        return moving;
      }),
    prune: ({ absent }) => this.#prune(absent),
    promote: ({ epoch }) => this.#promote(epoch, this.#parts.volume.roles.current.upstream),
    demote: ({ to, epoch, upstream }) =>
      this.#move('demote', () => {
        this.#parts.checkDemotion();
        const name = to === null ? undefined : this.#require(to).name;
        const following = { by: epoch.by, upstream };
        return this.#parts.volume.roles.demote(
          name,
          this.#sourceOf(upstream),
          epoch.number,
          following,
        );
      }),
    handOver: ({ to, epoch }) => this.#handOver(to, epoch),
    follow: ({ upstream, epoch }) =>
      this.#move('follow', () => {
        const { volume } = this.#parts;
        const { handover } = volume.roles.current;
        const moving = volume.roles.follow(upstream, epoch, this.#sourceOf(upstream));
        if (handover !== undefined) keepForSync(volume, handover.snapshot);
        return moving;
      }),
  };

  /**
   * Sets this volume's role towards a new peer: primary for a downstream, standby if it is still
   * empty. Volumes with other roles are partners of group saves.
   */
  paired(direction: PeerDirection, peer: string): void {
    const { volume } = this.#parts;
    const { role } = volume.roles.current;
    if (role !== 'none') return;
    if (direction === 'downstream') this.#promote({ number: 1, by: volume.uuid }, peer);
    else if (takesAll(volume)) {
      this.#move('follow', () =>
        volume.roles.follow(peer, { number: 0, by: '' }, this.#sourceOf(peer)),
      );
    }
  }

  /** Of a change of the role: whoever asked for it here, or the peer. */
  #sourceOf(peer: string | undefined): string {
    return this.asker ?? this.#parts.volume.peers.sourceOf(peer);
  }

  /** What a run of the sync does comes from there, whoever asked for the run. */
  #upstreamSource(): string {
    const { peers, roles } = this.#parts.volume;
    return peers.sourceOf(roles.current.upstream);
  }

  /** The agent is gone: keeps the part of the stream that has arrived. */
  lost(): void {
    this.#suspend();
  }

  #start(): Deferred<AgentStarted> {
    const { volume, commands, groups, started } = this.#parts;
    started();
    const made: AgentStarted[] = [];
    const run = commands.runChange('sync-start', () => {
      const stored = groups.stored();
      made.push({ incarnation: volume.catalog.takeAgentRun(), groups: stored });
      return {};
    });
    return after(run, () => made[0] as AgentStarted);
  }

  #prune(absent: readonly string[]): Deferred<undefined> {
    const { volume, commands } = this.#parts;
    if (!volume.pruned.isDue(absent)) return settledWith(undefined);
    const done = commands.runChange('prune', () => {
      // A run of an earlier role says nothing about the snapshots of this one.
      const upstream = volume.isStandby ? volume.roles.current.upstream : undefined;
      if (upstream === undefined) {
        throw new CommandError('role-changed', 'ESTALE', 'the role has changed meanwhile');
      }
      return volume.pruned.prune(absent, volume.peers.nameOf(upstream) ?? upstream);
    });
    return after(done, () => undefined);
  }

  #promote({ number, by }: Epoch, peer: string | undefined): Deferred<undefined> {
    const { volume, random } = this.#parts;
    const source = this.#sourceOf(peer);
    return this.#move('promote', () => volume.roles.promote(source, random, number, by));
  }

  #handOver(to: string, epoch: Epoch): Deferred<Handover> {
    const { volume, checkDemotion } = this.#parts;
    const moved = this.#move('hand-over', () => {
      checkDemotion();
      return volume.roles.handOver(to, epoch, volume.peers.sourceOf(to));
    });
    return after(moved, () => volume.roles.current.handover as Handover);
  }

  #move(name: string, change: () => TreeMove<View, RoleAnswer>): Deferred<undefined> {
    return after(this.#parts.commands.move(name, change), () => undefined);
  }

  #require(uuid: string): Snapshot {
    return snapshotOfUuid(this.#parts.volume, uuid);
  }

  /** The role may have changed since the agent started. */
  #requireStandby(epoch: Epoch): void {
    const { isStandby, roles } = this.#parts.volume;
    const mine = roles.current;
    if (isStandby && mine.epoch === epoch.number && (mine.by ?? '') === epoch.by) return;
    throw new CommandError('role-changed', 'ESTALE', 'the role has changed meanwhile');
  }

  #receive(from: string | null, to: string): Deferred<AgentReceiving> {
    const { volume, incoming } = this.#parts;
    this.#stream = incoming().open({ force: true, source: this.#upstreamSource() });
    const text = resumeToken(volume);
    const token = text === undefined ? undefined : decodeToken(text);
    const isOurs = token?.from === from && token.to === to;
    const resumed =
      isOurs && token !== undefined ? { records: token.records, chain: token.chain } : null;
    return settledWith<AgentReceiving>({ resumed });
  }

  #suspend(): Deferred<undefined> {
    const stream = this.#stream;
    this.#stream = undefined;
    return stream === undefined ? settledWith(undefined) : after(stream.suspend(), () => undefined);
  }

  #open(): IncomingStream {
    if (this.#stream !== undefined) return this.#stream;
    throw new CommandError('receive-ended', 'EINVAL', 'nothing is coming in');
  }

  #adopt(snapshot: string, bytes: Buffer, epoch: Epoch): Deferred<undefined> {
    this.#requireStandby(epoch);
    const stream = this.#open();
    const taken = after(stream.push(bytes), () => stream.finish());
    const noted = after(taken, () => {
      this.#stream = undefined;
      return this.#parts.commands.runChange('sync', () => {
        this.#requireStandby(epoch);
        this.#parts.volume.roles.noteShown(snapshot);
        keepForSync(this.#parts.volume, snapshot);
        return {};
      });
    });
    return after(noted, () => undefined);
  }
}

/** Uses the same memory. */
function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
