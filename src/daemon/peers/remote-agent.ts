/**
 * The sync agent as the serving thread sees it: takes commands, gets the state
 * of the volume that it needs, and reports the state of the sync.
 * agent-requests.ts has its requests to the volume.
 */
import { after, type Deferred } from '../../lib/deferred.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import { formatEvery } from '../../format/text/schedule.js';
import type { SyncSnapshot } from '../../sync/agent/messages.js';
import type { Snapshot } from '../../volume/catalog.js';
import { ALWAYS } from '../../volume/peers/pull-schedule.js';
import type { Volume } from '../../volume/volume.js';
import { locksOfDownstreams } from './agent-locks.js';
import type { AgentCommand, AgentReport, AgentState } from './agent-messages.js';
import type { Connections } from './connections.js';
import { groupAnswer } from './group-answer.js';
import type { GroupMember } from './group-member.js';
import { requirePeer } from './peer-rules.js';

/** At most this many are sent, the newest: an answer to a peer has a maximum length. */
const SNAPSHOTS_MAX = 4000;

export interface RemoteAgentParts {
  volume: Volume;
  groups: GroupMember;
  connections: () => Connections;
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
      snapshots: volume.snapshots().filter(isSent).slice(-SNAPSHOTS_MAX).map(syncSnapshot),
      locks: locksOfDownstreams(volume),
      shown: shown ?? null,
      pullEveryMs: volume.pulls.everyMs ?? null,
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
    return connections().call('command', { command, peer, force: force ?? false });
  }

  /** Saves this volume and those of the peers, at one point. */
  groupSave({ name = '', peers = [] }: CommandArguments, source: string): Deferred<Answer> {
    const { groups, volume, connections } = this.#parts;
    groups.check(name);
    const members = peers.map((peer) => requirePeer(volume.peers, peer).volume);
    groups.source = source;
    const done = connections().call('groupSave', { name, peers: members });
    return after(done, (answer) => groupAnswer(answer, name, peers, volume, groups));
  }

  /** The agent's report. */
  reported(report: AgentReport): void {
    this.#report = report;
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

function isSent({ kind }: Snapshot): boolean {
  return kind === 'user' || kind === 'auto';
}

function syncSnapshot({ uuid, name, createdMs }: Snapshot): SyncSnapshot {
  return { uuid, name, createdMs };
}
