/**
 * What serves a mount, whatever the driver: the volume, the tree, the commands
 * and the control files, put together. Lives in the thread that answers the
 * kernel; how that thread waits and runs is its driver's business (`ServingHost`).
 */
import { performance } from 'node:perf_hooks';
import { Deferred } from '../base/deferred.js';
import type { Answer, CommandArguments, CommandName } from '../control/command.js';
import { ControlFiles } from '../control/control-files.js';
import { byteStringOfText } from '../format/grammar.js';
import type { CoherenceReport } from '../tree/coherence.js';
import type { TraceSink } from '../measure/trace-entry.js';
import { smallLimits } from '../tree/forgetting-plan.js';
import { Tree } from '../tree/tree.js';
import type { View } from '../volume/view.js';
import type { Volume } from '../volume/volume.js';
import { type InspectRequest, VolumeCommands } from './commands.js';
import { log } from './log.js';
import { type FromServer, fromPlainError, toPlainError, type ToServer } from './messages.js';
import type { MountPlan } from './mount-plan.js';
import { type Connection, mountState } from './state.js';
import { step } from './steps.js';

export interface ServingHost {
  /** Settles when every write that had returned to its program has reached the volume. */
  quiesce(): Deferred<void>;
  /** Runs `next` in the thread's spare time until it returns true. */
  addJob(next: () => boolean): void;
  /** What is known of the conversation with the kernel. */
  connection(): Connection | undefined;
  /** Runs something once, in this thread. */
  later(delayMs: number, run: () => void): void;
  /** Tells the sink of each request from now on; undefined: nobody follows them any more. */
  trace(sink: TraceSink | undefined): void;
  post(message: FromServer): void;
}

/** Messages that mean the same for every driver. */
export type ServerMessage = Exclude<ToServer, { kind: 'mounted' | 'mount' | 'stop' }>;

export class MountServer {
  readonly commands: VolumeCommands<View>;
  readonly tree: Tree;
  readonly control: ControlFiles;
  readonly #host: ServingHost;
  readonly #inspections = new Map<number, Deferred<Answer>>();
  #nextInspection = 1;

  constructor(
    readonly volume: Volume,
    plan: MountPlan,
    who: { uid: number; gid: number },
    host: ServingHost,
    /** For tests: few nodes count as too many. */
    nodesMax?: number,
  ) {
    this.#host = host;
    this.commands = new VolumeCommands<View>({
      volume,
      quiesce: () => host.quiesce(),
      restored: (from, to) => this.#restored(from, to),
      inspect: (request) => this.#inspect(request),
      nowMs: () => performance.now(),
      log,
    });
    this.tree = new Tree(volume, {
      commands: {
        save: (name, source) => this.#run('save', { name }, source),
        delete: (name, source) => this.#run('delete', { name }, source),
        rename: (name, to, source) => this.#run('rename', { name, to }, source),
      },
      quiesce: () => host.quiesce(),
      runJob: (job) => this.#runJob(job, () => undefined),
      ...(nodesMax !== undefined && { nodeLimits: smallLimits(nodesMax) }),
      ownerUid: who.uid,
      readOnly: plan.options.readOnly,
      controlTarget: byteStringOfText(plan.controlMount),
    });
    this.control = new ControlFiles({
      uid: who.uid,
      gid: who.gid,
      commands: this.commands,
      state: mountState({
        plan,
        volume,
        commands: this.commands,
        tree: this.tree,
        connection: () => host.connection(),
      }),
      nowMs: () => Date.now(),
      canWait: plan.driver === 'kernel',
      later: (delayMs, run) => host.later(delayMs, run),
      trace: (sink) => host.trace(sink),
    });
  }

  #run(command: CommandName, args: CommandArguments, source: string): Deferred<unknown> {
    return step(this.commands.run(command, args, source), (answer): unknown => answer);
  }

  handle(message: ServerMessage): void {
    switch (message.kind) {
      case 'save':
        this.commands.run('save', {}, 'signal').settled(
          (answer) => log(`saved as ${String(answer['name'])}`),
          () => undefined,
        );
        break;
      case 'store':
        this.commands.storeAll().settled(
          () => this.#host.post({ kind: 'stored' }),
          (error) => this.#host.post({ kind: 'stored', error: toPlainError(error) }),
        );
        break;
      case 'inspect-progress':
        this.commands.inspectProgress(message.done, message.total);
        break;
      case 'inspected': {
        const waiting = this.#inspections.get(message.id);
        this.#inspections.delete(message.id);
        if (message.error !== undefined) waiting?.reject(fromPlainError(message.error));
        else waiting?.resolve(message.answer ?? {});
        break;
      }
    }
  }

  #restored(from: View, to: View): () => Deferred<Answer> {
    const transition = this.tree.transition(from, to);
    return () => {
      const done = new Deferred<Answer>();
      this.#runJob<CoherenceReport>(this.tree.coherence(transition), (report) =>
        done.resolve({ coherence: report }),
      );
      return done;
    };
  }

  /** In spare time; where the job waits for an answer, the thread goes on without it. */
  #runJob<T>(job: Generator<Deferred<void> | undefined, T>, done: (result: T) => void): void {
    const next = (): boolean => {
      const { value, done: isDone } = job.next();
      if (isDone === true) {
        done(value);
        return true;
      }
      if (value === undefined) return false;
      const goOn = (): void => this.#host.addJob(next);
      // A notification that could not be sent leaves the kernel to its time-outs; the rest goes on.
      value.settled(goOn, goOn);
      return true;
    };
    this.#host.addJob(next);
  }

  #inspect(request: InspectRequest): Deferred<Answer> {
    const answer = new Deferred<Answer>();
    const id = this.#nextInspection++;
    this.#inspections.set(id, answer);
    this.#host.post({ kind: 'inspect', id, request });
    return answer;
  }
}
