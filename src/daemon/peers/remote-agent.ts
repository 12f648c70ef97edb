/**
 * The sync agent as the serving thread sees it: takes commands, gets the state
 * of the volume that it needs, and reports the state of the sync.
 * agent-requests.ts has its requests to the volume.
 */
import { CommandError } from '../../lib/errors.js';
import { after, type Deferred, failing } from '../../lib/deferred.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import type { Volume } from '../../volume/volume.js';
import { SNAPSHOTS_MAX } from '../../sync/agent/messages.js';
import { locksOfDownstreams } from './agent-locks.js';
import type { AgentCommand, AgentReport, AgentState } from './agent-messages.js';
import type { Connections } from './connections.js';
import { groupAnswer } from './group-answer.js';
import type { GroupMember } from './group-member.js';
import { requirePeer } from './peer-rules.js';
import { sentSnapshots, type SyncFacts, syncState } from './read-sync-state.js';
import { awayText } from './sync-problems.js';
import type { SyncState } from './sync-state.js';

export interface RemoteAgentParts {
  volume: Volume;
  groups: GroupMember;
  connections: () => Connections;
  /** What is known of the connections to all peers. */
  views: () => SyncFacts['peers'];
  /** What a report says of the peers is stored. */
  noteReport: (report: AgentReport) => void;
  nowMs: () => number;
}

export class RemoteAgent {
  readonly #parts: RemoteAgentParts;
  /** The state that the agent got last; undefined: there is no agent. */
  #told: string | undefined;
  #report: AgentReport | undefined;

  constructor(parts: RemoteAgentParts) {
    this.#parts = parts;
  }

  state(): AgentState {
    const { volume } = this.#parts;
    const { epoch, by, upstream, handover, shown } = volume.roles.current;
    return {
      history: this.#hasHistory() ? volume.catalog.identity.history : '',
      role: {
        role: volume.isStandby ? 'standby' : 'primary',
        epoch: { number: epoch, by: by ?? '' },
        ...(upstream !== undefined && { upstream }),
        ...(handover !== undefined && { handover }),
      },
      snapshots: sentSnapshots(volume).slice(-SNAPSHOTS_MAX),
      locks: locksOfDownstreams(volume),
      shown: shown ?? null,
      pullEveryMs: volume.pulls.everyMs ?? null,
      keeps: volume.pruned.text,
    };
  }

  /** A standby that has received nothing yet belongs to no history. */
  #hasHistory(): boolean {
    const { volume } = this.#parts;
    return !volume.isStandby || volume.snapshots().length > 0;
  }

  /** Asks the agent; the answer comes when the agent is done. */
  command(command: AgentCommand, { peerName, force }: CommandArguments): Deferred<Answer> {
    const { volume, connections } = this.#parts;
    const peer = peerName === undefined ? '' : requirePeer(volume.peers, peerName).volume;
    const asked = peer || (volume.roles.current.upstream ?? '');
    const done = connections().call('command', { command, peer, force: force ?? false });
    return failing(done, (error) => this.#withLink(asked, error));
  }

  /** A peer that does not answer: whether it is connected, and when it was heard. */
  #withLink(uuid: string, error: unknown): unknown {
    if (!(error instanceof CommandError) || error.code !== 'peer-silent') return error;
    const away = this.#awayText(uuid);
    if (away === undefined) return error;
    return new CommandError(error.code, error.errno, `${error.message}: ${away}`, error.details);
  }

  /** Undefined: it is connected, or no peer. */
  #awayText(uuid: string): string | undefined {
    const peer = this.#parts.views().find(({ record }) => record.volume === uuid);
    if (peer === undefined || peer.view.connected) return undefined;
    const { record, view } = peer;
    const error = view.lastError?.message ?? null;
    return awayText({ ...view, name: record.name, error }, this.#parts.nowMs());
  }

  /** Saves this volume and those of the peers, at one point. */
  groupSave({ name = '', peers = [], note }: CommandArguments, source: string): Deferred<Answer> {
    const { groups, volume, connections } = this.#parts;
    groups.check(name);
    const members = peers.map((peer) => requirePeer(volume.peers, peer).volume);
    groups.source = source;
    const done = connections().call('groupSave', {
      name,
      peers: members,
      ...(note !== undefined && { note }),
    });
    return after(done, (answer) => {
      const away = (uuid: string): string | undefined => this.#awayText(uuid);
      return groupAnswer(answer, name, peers, note, { volume, groups, away });
    });
  }

  /** The agent's report. */
  reported(report: AgentReport): void {
    this.#report = report;
    this.#parts.noteReport(report);
  }

  /** For people and monitors: `lag`, `status`, `peers`. */
  syncState(): SyncState {
    const { volume, views, nowMs } = this.#parts;
    return syncState({
      role: volume.roles.current,
      offline: volume.isReadOnly ? 'mounted read-only' : undefined,
      everyMs: volume.pulls.everyMs,
      keeps: volume.pruned.text,
      snapshots: sentSnapshots(volume),
      peers: views(),
      report: this.#report,
      nameOf: (uuid) => this.#nameOf(uuid),
      nowMs: nowMs(),
    });
  }

  /** For the state file `role`: volumes by their names here, and by their UUIDs. */
  shownRole(): object {
    const { volume } = this.#parts;
    const { role, epoch, by, upstream, shown, handover } = volume.roles.current;
    const named = (uuid: string | undefined): string | null =>
      uuid === undefined ? null : (this.#nameOf(uuid) ?? uuid);
    return {
      role,
      epoch,
      by: named(by),
      byVolume: by ?? null,
      upstream: named(upstream),
      upstreamVolume: upstream ?? null,
      shown: volume.snapshots().find(({ uuid }) => uuid === shown)?.name ?? null,
      shownUuid: shown ?? null,
      handoverTo: named(handover?.to),
      handoverVolume: handover?.to ?? null,
      handoverEpoch: handover?.epoch.number ?? null,
      handoverUuid: handover?.snapshot ?? null,
    };
  }

  #nameOf(uuid: string): string | undefined {
    const { volume } = this.#parts;
    return uuid === volume.uuid ? 'this volume' : volume.peers.nameOf(uuid);
  }

  /** From here on the agent gets every new state. */
  started(): void {
    this.#told = '';
  }

  /** Call after each command; sends the new state to the agent, if there is one. */
  changed(): void {
    if (this.#told === undefined) return;
    const state = this.state();
    const text = JSON.stringify(state);
    if (text === this.#told) return;
    this.#told = text;
    this.#parts.connections().tell('volumeState', state);
  }

  /** The agent is gone. */
  lost(): void {
    this.#told = undefined;
    this.#report = undefined;
  }
}
