/**
 * The sync agent in the thread of the connections: put together from the links
 * to the peers, the volume as it is seen from here, and this thread's clock.
 */
import { CommandError } from '../../lib/errors.js';
import { Agent } from '../../sync/agent/agent.js';
import type { Timers } from '../../sync/fabric.js';
import type { GroupAnswer } from '../../sync/group/group-messages.js';
import type { AgentPort } from '../../sync/peers/link.js';
import { LinkFabric } from '../../sync/peers/link-fabric.js';
import { PeerChannels, type PeerMessage } from '../../sync/peers/peer-channels.js';
import type {
  AgentCommand,
  AgentReport,
  AgentRequest,
  AgentStarted,
  AgentState,
} from './agent-messages.js';
import { RemoteVolume } from './remote-volume.js';
import { GroupRunner } from './group-runner.js';
import type { GroupCommand } from './group-requests.js';
import { fromPlainError, type PlainError, toPlainError } from '../serve/messages.js';
import type { SendSource } from '../transfer/sending.js';
import type { FromSync, ToSync } from './connections-calls.js';

/** Between two runs when there is no news, unless a person has said how often. */
const IDLE_MS = 60_000;
const REPORT_EVERY_MS = 500;

export interface AgentRunnerParts {
  volume: string;
  /** What peers know this volume by. */
  name: string;
  place: SendSource;
  timers: Timers;
  peers: () => readonly string[];
  post(message: FromSync): void;
  log(message: string): void;
}

export type ToAgent = Extract<ToSync, { kind: `agent-${string}` }>;

export class AgentRunner {
  readonly #parts: AgentRunnerParts;
  readonly #fabric: LinkFabric<PeerMessage>;
  readonly #channels: PeerChannels;
  #groups: GroupRunner | undefined;
  readonly #waiting = new Map<
    number,
    { resolve: (answer: unknown) => void; reject: (error: Error) => void }
  >();
  #nextId = 1;
  #agent: Agent | undefined;
  #volume: RemoteVolume | undefined;
  #state: AgentState | undefined;
  #reported = '';
  #isClosed = false;

  constructor(parts: AgentRunnerParts) {
    this.#parts = parts;
    this.#fabric = new LinkFabric(parts.volume, (action) => void setImmediate(action));
    this.#channels = new PeerChannels(parts.volume, this.#fabric);
    this.#start().catch((error: unknown) => parts.log(`the sync agent: ${String(error)}`));
  }

  /** What the connections tell of links. */
  get port(): AgentPort {
    const fabric = this.#fabric;
    return {
      kinds: fabric.kinds,
      linkUp: (link) => {
        fabric.linkUp(link);
        this.#agent?.met(link.peer);
      },
      linkDown: (link) => fabric.linkDown(link),
    };
  }

  async #start(): Promise<void> {
    const { volume, name, place, timers, peers, log } = this.#parts;
    const { incarnation, groups } = (await this.#ask({ op: 'start' })) as AgentStarted;
    if (this.#state === undefined || this.#isClosed) return;
    const ask = (request: AgentRequest): Promise<unknown> => this.#ask(request);
    this.#volume = new RemoteVolume({ uuid: volume, place, state: this.#state, ask });
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
      log,
    });
    this.#agent.start();
    this.#groups = new GroupRunner({
      volume,
      incarnation,
      stored: groups,
      fabric: this.#channels.group,
      timers,
      ask,
      log,
    });
    this.#reportNowAndThen();
  }

  #ask(request: AgentRequest): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#parts.post({ kind: 'agent-request', id, request });
    });
  }

  handle(message: ToAgent): void {
    switch (message.kind) {
      case 'agent-state': {
        const isNew = newest(this.#state) !== newest(message.state);
        const wasRole = this.#state?.role.role;
        const wasEveryMs = this.#state?.pullEveryMs;
        this.#state = message.state;
        this.#volume?.update(message.state);
        if (wasEveryMs !== message.state.pullEveryMs) this.#agent?.rescheduled();
        if (isNew || wasRole !== message.state.role.role) this.#agent?.changed();
        break;
      }
      case 'agent-answer': {
        const waiting = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        if (message.error !== undefined) waiting?.reject(fromPlainError(message.error));
        else waiting?.resolve(message.answer);
        break;
      }
      case 'agent-group-save': {
        const { id, command } = message;
        this.#groupSave(command).then(
          (answer) => this.#commanded(id, { ...answer }),
          (error: unknown) => this.#commanded(id, {}, toPlainError(error)),
        );
        break;
      }
      case 'agent-command': {
        const { id, command, peer, force } = message;
        this.#command(command, peer, force).then(
          (answer) => this.#commanded(id, answer),
          (error: unknown) => this.#commanded(id, {}, toPlainError(error)),
        );
        break;
      }
    }
  }

  #commanded(id: number, answer: Record<string, unknown>, error?: PlainError): void {
    this.#report();
    const failed = error !== undefined && { error };
    this.#parts.post({ kind: 'agent-commanded', id, answer, ...failed });
  }

  async #groupSave(command: GroupCommand): Promise<GroupAnswer> {
    if (this.#groups === undefined) throw starting();
    return await this.#groups.save(command);
  }

  async #command(
    command: AgentCommand,
    peer: string,
    force: boolean,
  ): Promise<Record<string, unknown>> {
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
      case 'revert':
        await agent.revert();
        return { role: 'primary', epoch: agent.standing().epoch.number };
    }
  }

  #reportNowAndThen(): void {
    if (this.#isClosed) return;
    this.#report();
    this.#parts.timers.after(REPORT_EVERY_MS, () => this.#reportNowAndThen());
  }

  #report(): void {
    if (this.#agent === undefined) return;
    const { upstream, isRunning, isPaused, pending, bytes, received, error, conflicts } =
      this.#agent.status();
    const report: AgentReport = {
      upstream: upstream ?? null,
      isRunning,
      isPaused,
      pending: pending.map(({ name, createdMs }) => ({ name, createdMs })),
      bytes: bytes ?? null,
      received,
      error: error ?? null,
      conflicts: conflicts.map(({ peer, mine, theirs }) => ({
        peer,
        mine: mine.number,
        theirs: theirs.number,
      })),
    };
    const text = JSON.stringify(report);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#parts.post({ kind: 'agent-report', report });
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
