/**
 * The sync agent in the thread of the connections: it consists of the links to
 * the peers, the volume as seen from here, and this thread's clock.
 */
import { CommandError } from '../../lib/errors.js';
import { Agent } from '../../sync/agent/agent.js';
import type { AgentStatus } from '../../sync/agent/agent-setup.js';
import type { Timers } from '../../sync/fabric.js';
import type { GroupAnswer } from '../../sync/group/group-messages.js';
import type { AgentPort } from '../../sync/peers/link.js';
import { LinkFabric } from '../../sync/peers/link-fabric.js';
import { PeerChannels, type PeerMessage } from '../../sync/peers/peer-channels.js';
import type { Answer } from '../../control/command.js';
import type { AgentOrder, AgentReport, AgentState, GroupOrder } from './agent-messages.js';
import type { CallsToVolume } from './connections-calls.js';
import { RemoteVolume } from './remote-volume.js';
import { GroupRunner } from './group-runner.js';
import type { SendSource } from '../transfer/sending.js';

/** Interval between two runs without news, unless a person has set another one. */
const IDLE_MS = 60_000;
const REPORT_EVERY_MS = 500;
/** How many times are remembered in both clocks: of the last look and the last failure. */
const WALLS_MAX = 8;

export interface AgentRunnerParts {
  volume: string;
  /** The name by which peers know this volume. */
  name: string;
  place: SendSource;
  timers: Timers;
  peers: () => readonly string[];
  /** The name that people use for a peer. */
  nameOf: (peer: string) => string;
  /** When the peer was last heard, by the wall clock; undefined: it is not connected. */
  heardMs: (peer: string) => number | undefined;
  wallMs: () => number;
  calls: CallsToVolume;
  log(message: string): void;
}

export class AgentRunner {
  readonly #parts: AgentRunnerParts;
  readonly #fabric: LinkFabric<PeerMessage>;
  readonly #channels: PeerChannels;
  #groups: GroupRunner | undefined;
  #agent: Agent | undefined;
  #volume: RemoteVolume | undefined;
  #state: AgentState | undefined;
  #reported = '';
  /** When all of this upstream's snapshots were here last. */
  #level: { upstream: string; ms: number } | undefined;
  readonly #walls = new Map<number, number>();
  #isClosed = false;

  constructor(parts: AgentRunnerParts) {
    this.#parts = parts;
    this.#fabric = new LinkFabric(parts.volume, (action) => void setImmediate(action));
    this.#channels = new PeerChannels(parts.volume, this.#fabric);
    this.#start().catch((error: unknown) => parts.log(`the sync agent: ${String(error)}`));
  }

  /** The port through which the connections report links. */
  get port(): AgentPort {
    const fabric = this.#fabric;
    return {
      kinds: fabric.kinds,
      linkUp: (link) => {
        fabric.linkUp(link);
        this.#agent?.met(link.peer);
      },
      linkDown: (link) => {
        fabric.linkDown(link);
        if (fabric.isUp(link.peer)) return;
        this.report();
        this.#agent?.lost(link.peer);
      },
    };
  }

  async #start(): Promise<void> {
    const { volume, name, place, timers, peers, nameOf, calls, log } = this.#parts;
    const { incarnation, groups } = await calls.promise('start', undefined);
    if (this.#state === undefined || this.#isClosed) return;
    this.#volume = new RemoteVolume({ uuid: volume, place, state: this.#state, calls });
    this.#agent = new Agent({
      volume: this.#volume,
      incarnation,
      fabric: this.#channels.agent,
      timers,
      random: () => Math.random(),
      name,
      dataset: '/',
      idleMs: IDLE_MS,
      peers,
      nameOf,
      log,
    });
    this.#agent.start();
    this.#groups = new GroupRunner({
      volume,
      incarnation,
      stored: groups,
      fabric: this.#channels.group,
      timers,
      calls,
      log,
    });
    this.#reportNowAndThen();
  }

  /** Called by the serving thread before it answers the request that changed the state. */
  volumeState(state: AgentState): void {
    const isNew = newest(this.#state) !== newest(state);
    const wasRole = this.#state?.role.role;
    const wasEveryMs = this.#state?.pullEveryMs;
    const keptBefore = this.#state?.keeps;
    this.#state = state;
    this.#volume?.update(state);
    if (wasEveryMs !== state.pullEveryMs) this.#agent?.rescheduled();
    if (keptBefore !== state.keeps) this.#agent?.keepsElse();
    if (isNew || wasRole !== state.role.role) this.#agent?.changed();
  }

  async groupSave(order: GroupOrder): Promise<GroupAnswer> {
    if (this.#groups === undefined) throw starting();
    return await this.#groups.save(order);
  }

  async command({ command, peer, force }: AgentOrder): Promise<Answer> {
    const agent = this.#agent;
    if (agent === undefined) throw starting();
    switch (command) {
      case 'sync': {
        const { received } = await agent.syncNow();
        return { received };
      }
      case 'pause':
      case 'resume':
        agent.pause(command === 'pause');
        return { isPaused: command === 'pause' };
      case 'promote': {
        const { number } = await agent.promote(force);
        return { role: 'primary', epoch: number };
      }
      case 'demote':
        await agent.demote(peer);
        return { role: 'standby', epoch: agent.standing().epoch.number };
      case 'switchover':
        await agent.switchOver();
        return { role: 'primary', epoch: agent.standing().epoch.number };
    }
  }

  #reportNowAndThen(): void {
    if (this.#isClosed) return;
    this.report();
    this.#parts.timers.after(REPORT_EVERY_MS, () => this.#reportNowAndThen());
  }

  /** Reports the state of the sync, if that has changed. */
  report(): void {
    if (this.#agent === undefined) return;
    const status = this.#agent.status();
    const { upstream, isRunning, isPaused, pending, bytes, received, isLevel } = status;
    const report: AgentReport = {
      upstream: upstream ?? null,
      isRunning,
      isPaused,
      pending: pending.map(({ name, createdMs }) => ({ name, createdMs })),
      seenMs: status.seenMs === undefined ? null : this.#wallOf(status.seenMs),
      bytes: bytes ?? null,
      received,
      isLevel,
      levelMs: this.#levelMs(status),
      failure: this.#failureOf(status),
      conflicts: status.conflicts.map(({ peer, mine, theirs }) => ({
        peer,
        mine: mine.number,
        theirs: theirs.number,
      })),
      peers: status.peers.map(({ peer, role, epoch, isFollower, has }) => ({
        peer,
        role,
        epoch: epoch.number,
        isFollower,
        has: has === undefined ? null : (has ?? ''),
      })),
    };
    const text = JSON.stringify(report);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#parts.calls.tell('report', report);
  }

  /** While the volume is level, each word of the upstream moves this time on. */
  #levelMs({ upstream, isLevel }: AgentStatus): number | null {
    if (upstream === undefined || this.#level?.upstream !== upstream) this.#level = undefined;
    const heardMs = upstream === undefined ? undefined : this.#parts.heardMs(upstream);
    if (upstream !== undefined && isLevel && heardMs !== undefined) {
      this.#level = { upstream, ms: heardMs };
    }
    return this.#level?.ms ?? null;
  }

  #failureOf({ failure }: AgentStatus): AgentReport['failure'] {
    if (failure === undefined) return null;
    const { code, message, atMs } = failure;
    return { code, message, timeMs: this.#wallOf(atMs) };
  }

  /**
   * From the timers' clock to the wall clock, converted once: a report is sent only when it differs
   * from the one before.
   */
  #wallOf(atMs: number): number {
    const { timers, wallMs } = this.#parts;
    const known = this.#walls.get(atMs);
    const wall = known ?? Math.round(wallMs() - (timers.nowMs() - atMs));
    if (known === undefined) {
      this.#walls.set(atMs, wall);
      const [oldest] = this.#walls.keys();
      if (this.#walls.size > WALLS_MAX && oldest !== undefined) this.#walls.delete(oldest);
    }
    return wall;
  }

  close(): void {
    this.#isClosed = true;
    this.#agent?.close();
  }
}

function starting(): CommandError {
  return new CommandError('sync-starting', 'EAGAIN', 'the sync agent is just being started');
}

function newest(state: AgentState | undefined): string | undefined {
  return state?.snapshots.at(-1)?.uuid;
}
