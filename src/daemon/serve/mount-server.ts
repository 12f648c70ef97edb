/**
 * The parts that serve a mount, whatever the driver: the volume, the tree, the
 * commands and the control files. Lives in the thread that answers the kernel.
 * The driver decides how that thread waits and runs (`ServingThread`).
 */
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { MessagePort, Transferable } from 'node:worker_threads';
import { after, Deferred } from '../../lib/deferred.js';
import { settledWith } from '../../lib/work.js';
import { CommandError } from '../../lib/errors.js';
import type { Answer, CommandArguments, CommandName } from '../../control/command.js';
import { ControlFiles } from '../../control/control-files.js';
import { byteStringOfText } from '../../lib/byte-text.js';
import { peerNameFrom } from '../../format/records/peer-record.js';
import type { CoherenceReport } from '../../tree/coherence/coherence.js';
import type { TraceSink } from '../../measure/trace-entry.js';
import { smallLimits } from '../../tree/nodes/forgetting-plan.js';
import { Tree } from '../../tree/tree.js';
import { REQUEST_KINDS } from '../../fuse/protocol/opcode-names.js';
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import { Applying } from '../commands/applying.js';
import { VolumeCommands } from '../commands/commands.js';
import { Freezing } from '../commands/freezing.js';
import { Merges } from '../commands/merging.js';
import { log } from './log.js';
import { branchToShow } from './open-volume.js';
import { IncomingStreams } from '../transfer/incoming.js';
import { ThreadCalls } from '../calls/thread-calls.js';
import type { FromServer, ToMainThread, ToServer, ToServingThread } from './messages.js';
import { MountPlace } from '../mount/mount-place.js';
import type { MountPlan } from '../mount/mount-plan.js';
import { SaveSchedule } from '../commands/save-schedule.js';
import { AgentRequests } from '../peers/agent-requests.js';
import { Connections } from '../peers/connections.js';
import { RemoteAgent } from '../peers/remote-agent.js';
import { GroupMember } from '../peers/group-member.js';
import { Peering } from '../peers/peering.js';
import { type Connection, mountState } from './state.js';
import { RestoreEvents } from '../watchers/restore-events.js';

/** The writer is behind: time until the next check. */
const PAUSE_MS = 2;

export interface ServingThread {
  /** Settles when every write that had returned to its program has reached the volume. */
  quiesce(): Deferred<void>;
  /** Programs' changes wait until `letGo`. Not allowed during a quiesce. */
  holdChanges(): void;
  letGo(): void;
  /** Writes out everything of the file system that a descriptor is on. */
  flushFileSystem(fd: number): Deferred<void>;
  /** Writes out one file, or one directory. */
  flushFile(fd: number): Deferred<void>;
  /** The base is about to be closed: nothing is heard of it any more. */
  forgetBase(): void;
  /** Runs `next` in the thread's spare time until it returns true. */
  addJob(next: () => boolean): void;
  /** What is known about the connection to the kernel. */
  connection(): Connection | undefined;
  /** Runs a function once, in this thread. */
  later(delayMs: number, run: () => void): void;
  /** Reports each request to the sink from now on; undefined: stops that. */
  trace(sink: TraceSink | undefined): void;
  post(message: FromServer, transfer?: readonly Transferable[]): void;
  /** Handles the messages of a port in this thread. Returns a function that stops this. */
  onPort(port: MessagePort, handle: (message: unknown) => void): () => void;
}

/** Messages with the same meaning for every driver. */
export type ServerMessage = Exclude<ToServer, { kind: 'mounted' | 'mount' | 'stop' }>;

export class MountServer {
  readonly commands: VolumeCommands<View>;
  /** The volume, at the branch that this mount shows. */
  readonly shown: Volume;
  readonly tree: Tree;
  readonly control: ControlFiles;
  readonly incoming: IncomingStreams;
  readonly peering: Peering;
  readonly agent: RemoteAgent;
  readonly place: MountPlace;
  readonly #thread: ServingThread;
  readonly #main: ThreadCalls<ToMainThread, ToServingThread>;
  readonly #connections: Connections;
  /** Undefined: programs that watch are not told of a restore. */
  readonly #events: RestoreEvents | undefined;

  constructor(
    /** At the branch that peers know. */
    readonly volume: Volume,
    plan: MountPlan,
    who: { uid: number; gid: number },
    thread: ServingThread,
    /** For tests: a low limit of nodes. */
    nodesMax?: number,
  ) {
    this.#thread = thread;
    const shown = volume.at(branchToShow(plan, volume));
    this.shown = shown;
    this.place = new MountPlace(plan.mountpoint);
    this.#main = new ThreadCalls<ToMainThread, ToServingThread>({
      post: (message, transfer) => thread.post({ kind: 'call', message }, transfer),
      handlers: {
        store: () => after(this.commands.storeAll(), () => this.#events?.idle()),
        inspectProgress: ({ done, total }) => this.commands.inspectProgress(done, total),
        connectionsLost: (loss) => this.#connections.lost(loss),
      },
    });
    this.commands = new VolumeCommands<View>({
      volume: shown,
      quiesce: () => thread.quiesce(),
      restored: (from, to) => this.#restored(from, to),
      inspect: (request) => this.#main.call('inspect', request),
      apply: new Applying({
        volume: shown,
        addJob: (next) => thread.addJob(next),
        host: {
          pause: () => this.#pause(),
          flush: (fd) => thread.flushFileSystem(fd),
          flushFile: (fd) => thread.flushFile(fd),
          volumePath: plan.volume,
        },
        log,
      }),
      merge: new Merges({
        volume: shown,
        addJob: (next) => thread.addJob(next),
        pause: () => this.#pause(),
        holdChanges: () => thread.holdChanges(),
        letGo: () => thread.letGo(),
        mergeText: (directory) => this.#main.call('mergeText', { directory }),
      }),
      freeze: new Freezing({
        volume,
        addJob: (next) => thread.addJob(next),
        pause: () => this.#pause(),
        baseReleased: (base) => {
          thread.forgetBase();
          thread.later(base.lentMs(), () => base.close());
        },
        log,
      }),
      checkDemotion: () => this.#checkDemotion(),
      random: Math.random,
      peering: (command, args, source) => this.peering.run(command, args, source),
      agent: (command, args, source) => {
        if (volume.peers.peers.size === 0) return undefined;
        if (command === 'group-save') return this.agent.groupSave(args, source);
        requests.asker = source;
        const done = this.agent.command(command, args);
        const isOver = (): void => {
          requests.asker = undefined;
        };
        done.settled(isOver, isOver);
        return done;
      },
      named: (text) => this.peering.named(text),
      nowMs: () => performance.now(),
      log,
    });
    const groups = new GroupMember({
      volume,
      commands: this.commands,
      holdChanges: () => thread.holdChanges(),
      letGo: () => thread.letGo(),
      later: (delayMs, run) => thread.later(delayMs, run),
    });
    this.agent = new RemoteAgent({
      volume,
      groups,
      connections: () => this.#connections,
      views: () => this.peering.views(),
      noteReport: (report) => this.peering.noteReport(report),
      nowMs: () => Date.now(),
    });
    const requests = new AgentRequests({
      volume,
      commands: this.commands,
      incoming: () => this.incoming,
      random: Math.random,
      groups,
      checkDemotion: () => this.#checkDemotion(),
      started: () => this.agent.started(),
    });
    this.commands.watch(() => this.agent.changed());
    this.#connections = new Connections({
      main: this.#main,
      handlers: {
        ...requests.handlers,
        ...groups.handlers,
        accept: (request) => this.peering.handlers.accept(request),
        upstreams: (learnt) => this.peering.handlers.upstreams(learnt),
        peeringState: (state) => this.peering.handlers.peeringState(state),
        report: (report) => this.agent.reported(report),
      },
      onPort: (port, handle) => thread.onPort(port, handle),
      // A piece of a stream changes nothing that the agent sees, and there are many pieces.
      beforeAnswer: (method) => {
        if (method !== 'push') this.agent.changed();
      },
      ended: (failure) => {
        groups.lost();
        requests.lost();
        this.agent.lost();
        if (failure !== undefined) this.peering.lost(failure);
      },
    });
    this.peering = new Peering({
      table: volume.peers,
      volume: volume.uuid,
      selfName: peerNameFrom(`${hostname()}:${basename(plan.mountpoint)}`),
      readOnly: plan.options.readOnly,
      epoch: () => volume.roles.current.epoch,
      change: (name, change) => this.commands.runChange(name, change),
      later: (delayMs, run) => thread.later(delayMs, run),
      connections: this.#connections,
      locksOf: (uuid) => volume.shownLocks().filter(({ origin }) => origin === uuid),
      releaseLocks: (uuid, source) => void volume.locks.release(uuid, source),
      removed: (peer) => groups.peerRemoved(peer),
      paired: (direction, peer) => requests.paired(direction, peer),
      nowMs: () => Date.now(),
      log,
    });
    this.incoming = this.#incomingStreams();
    this.commands.watch(({ command }) => {
      if (/^(promote|demote|switchover|revert)$/.test(String(command))) this.peering.start();
    });
    this.tree = new Tree(shown, {
      commands: {
        save: (name, source) => this.#run('save', { name }, source),
        delete: (name, source) => this.#run('delete', { name }, source),
        rename: (name, to, source) => this.#run('rename', { name, to }, source),
      },
      quiesce: () => thread.quiesce(),
      runJob: (job) => this.#runJob(job, () => undefined),
      ...(nodesMax !== undefined && { nodeLimits: smallLimits(nodesMax) }),
      ownerUid: who.uid,
      readOnly: plan.options.readOnly,
      controlTarget: byteStringOfText(plan.controlMount),
    });
    this.#events = this.#restoreEvents(plan);
    const schedule = new SaveSchedule(shown, this.commands, {
      isReady: () => thread.connection() !== undefined,
      later: (delayMs, run) => thread.later(delayMs, run),
    });
    this.control = new ControlFiles({
      uid: who.uid,
      gid: who.gid,
      commands: this.commands,
      openIncoming: (options) => this.incoming.open(options),
      state: mountState({
        plan,
        place: this.place,
        volume: shown,
        commands: this.commands,
        tree: this.tree,
        incoming: this.incoming,
        schedule,
        peering: this.peering,
        agent: this.agent,
        connection: () => thread.connection(),
        watchers: () => this.#events && { last: this.#events.last ?? null },
      }),
      nowMs: () => Date.now(),
      canWait: plan.driver === 'kernel',
      later: (delayMs, run) => thread.later(delayMs, run),
      trace: (sink) => thread.trace(sink),
      traceOps: REQUEST_KINDS,
    });
  }

  #pause(): Deferred<void> {
    const later = new Deferred<void>();
    this.#thread.later(PAUSE_MS, () => later.resolve());
    return later;
  }

  /** Only the kernel driver learns which process calls. */
  #restoreEvents({ driver, options }: MountPlan): RestoreEvents | undefined {
    if (driver !== 'kernel' || !options.notify) return undefined;
    const { volume, tree } = this;
    return new RestoreEvents({
      tree,
      main: this.#main,
      pin: (layer) => volume.pin(layer),
      unpin: (layer) => volume.unpin(layer),
      runJob: (job) => this.#runJob(job, () => undefined),
      nowMs: () => performance.now(),
      log,
    });
  }

  #incomingStreams(): IncomingStreams {
    const { volume, commands } = this;
    const thread = this.#thread;
    return new IncomingStreams({
      volume,
      context: {
        pause: () => this.#pause(),
        adopt: (change) => commands.adopt(change),
      },
      random: Math.random,
      addJob: (next) => thread.addJob(next),
      log,
    });
  }

  /**
   * With a writeback cache the kernel accepts programs' writes and shows them to other programs
   * before it asks us: a standby would show data that it refuses.
   */
  #checkDemotion(): void {
    if (!this.tree.writeback) return;
    throw new CommandError(
      'standby-writeback',
      'EINVAL',
      'a standby can not be mounted with -o writeback: mount it without, then demote',
    );
  }

  #run(command: CommandName, args: CommandArguments, source: string): Deferred<unknown> {
    return after(this.commands.run(command, args, source), (answer): unknown => answer);
  }

  handle(message: ServerMessage): void {
    switch (message.kind) {
      case 'save':
        this.commands.run('save', {}, 'signal').settled(
          (answer) => log(`saved as ${String(answer['name'])}`),
          () => undefined,
        );
        break;
      case 'call':
        this.#main.receive(message.message);
        break;
    }
  }

  /** The thread ends. */
  close(): void {
    this.#connections.close();
  }

  #restored(from: View, to: View): () => Deferred<Answer> {
    // A branch that is not shown here has moved: main, by a peer.
    if (to !== this.shown.live) return () => settledWith<Answer>({});
    const transition = this.tree.transition(from, to);
    return () => {
      const done = new Deferred<Answer>();
      this.#events?.keep(transition);
      this.#runJob<CoherenceReport>(this.tree.coherence(transition), (report) => {
        const { changes, staleNodes, notifications, incEpoch } = report;
        this.#events?.tell(transition);
        done.resolve({
          coherence: {
            changeCount: changes,
            staleNodeCount: staleNodes,
            notificationCount: notifications,
            incEpoch,
          },
        });
      });
      return done;
    };
  }

  /** Runs a job in spare time; while the job waits for an answer, the thread goes on without it. */
  #runJob<T>(job: Generator<Deferred<void> | undefined, T>, done: (result: T) => void): void {
    const next = (): boolean => {
      const { value, done: isDone } = job.next();
      if (isDone === true) {
        done(value);
        return true;
      }
      if (value === undefined) return false;
      const goOn = (): void => this.#thread.addJob(next);
      // If a notification could not be sent, the kernel's time-outs apply; the rest goes on.
      value.settled(goOn, goOn);
      return true;
    };
    this.#thread.addJob(next);
  }
}
