/**
 * What the mounts of a volume share in the thread that answers the kernel: the
 * order of commands, the peers, received streams, the base; and which mounts
 * there are. A command about a branch reaches the mount that shows it.
 *
 * What must hold: of each branch there is one mount at most, so that its
 * changes have one kernel to tell and one to wait for.
 */
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Deferred } from '../../lib/deferred.js';
import { settledWith } from '../../lib/work.js';
import { CommandError } from '../../lib/errors.js';
import type { Answer } from '../../control/command.js';
import { peerNameFrom } from '../../format/records/peer-record.js';
import { MAIN_BRANCH } from '../../volume/branches/branch.js';
import { BaseNews } from '../../tree/coherence/base-news.js';
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import { CommandOrder } from '../commands/command-order.js';
import type { CommandParts, InspectRequest } from '../commands/command-parts.js';
import { VolumeCommands } from '../commands/commands.js';
import { Applying } from '../commands/applying.js';
import { Freezing } from '../commands/freezing.js';
import { Merges } from '../commands/merging.js';
import { log } from './log.js';
import { IncomingStreams } from '../transfer/incoming.js';
import { ThreadCalls } from '../calls/thread-calls.js';
import type { OpenedFacts, ToMainThread, ToServer, ToServingThread } from './messages.js';
import type { MountPlan } from '../mount/mount-plan.js';
import { SpaceWatch } from '../commands/space-watch.js';
import { AgentRequests } from '../peers/agent-requests.js';
import { Connections } from '../peers/connections.js';
import { RemoteAgent } from '../peers/remote-agent.js';
import { GroupMember } from '../peers/group-member.js';
import { Peering } from '../peers/peering.js';
import type { MountServer } from './mount-server.js';
import type { MountThread, VolumeThread } from './serving.js';

/** The writer is behind: time until the next check. */
const PAUSE_MS = 2;

/** Messages with the same meaning for every driver. */
export type ServerMessage = Exclude<ToServer, { kind: 'mounted' | 'mount' | 'stop' }>;

/** Opens and drops mounts, as the driver does it. */
export interface MountMaker {
  open(mount: number, plan: MountPlan): OpenedFacts;
  drop(mount: number): Deferred<undefined>;
}

export class VolumeServer {
  readonly incoming: IncomingStreams;
  readonly peering: Peering;
  readonly agent: RemoteAgent;
  readonly main: ThreadCalls<ToMainThread, ToServingThread>;
  /** What the commands of every mount have in common. */
  readonly commandParts: Omit<
    CommandParts<View>,
    'volume' | 'quiesce' | 'restored' | 'inspect' | 'apply' | 'merge'
  >;
  /** Commands of peers, about the branch that they know, mounted or not. */
  readonly #commands: VolumeCommands<View>;
  readonly #order = new CommandOrder();
  readonly #mounts = new Map<number, MountServer>();
  readonly #connections: Connections;
  readonly #baseNews: BaseNews;
  readonly volumePath: string;
  readonly space: SpaceWatch;

  constructor(
    /** At the branch that peers know. */
    readonly volume: Volume,
    /** Of the mount with which the process began. */
    plan: MountPlan,
    readonly who: { uid: number; gid: number },
    readonly thread: VolumeThread,
    maker: MountMaker,
  ) {
    this.volumePath = plan.volume;
    this.#baseNews = new BaseNews(
      () => volume.base?.changes(),
      () => [...this.#mounts.values()].map(({ tree }) => tree.baseChanges),
    );
    this.main = new ThreadCalls<ToMainThread, ToServingThread>({
      post: (message, transfer) => thread.post({ kind: 'call', message }, transfer),
      handlers: {
        open: ({ mount, plan: asked }) => maker.open(mount, asked),
        drop: ({ mount }) => maker.drop(mount),
        store: ({ mount }) => this.#mounts.get(mount)?.storeAll() ?? settledWith(undefined),
        inspectProgress: ({ done, total }) => {
          this.#order.inspected = { done, total };
        },
        connectionsLost: (loss) => this.#connections.lost(loss),
      },
    });
    this.commandParts = {
      order: this.#order,
      mount: (asked) => this.main.call('mount', asked),
      freeze: new Freezing({
        volume,
        addJob: (next) => thread.addJob(next),
        pause: () => this.pause(),
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
    };
    this.#commands = new VolumeCommands<View>({
      ...this.commandParts,
      volume,
      quiesce: (branch = MAIN_BRANCH) => this.quiesce(branch),
      restored: (from, to) => this.restored(from, to),
      inspect: (request) => this.inspect(request),
      apply: this.applying(volume),
      merge: this.merging(volume, {
        holdChanges: () => this.#mountOf(MAIN_BRANCH)?.holdChanges(),
        letGo: () => this.#mountOf(MAIN_BRANCH)?.letGo(),
      }),
    });
    this.#commands.watch((answer) => this.told(answer, undefined));
    const groups = new GroupMember({
      volume,
      commands: this.#commands,
      holdChanges: () => this.#mountOf(MAIN_BRANCH)?.holdChanges(),
      letGo: () => this.#mountOf(MAIN_BRANCH)?.letGo(),
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
      commands: this.#commands,
      incoming: () => this.incoming,
      random: Math.random,
      groups,
      checkDemotion: () => this.#checkDemotion(),
      started: () => this.agent.started(),
    });
    this.#connections = new Connections({
      main: this.main,
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
      change: (name, change) => this.#commands.runChange(name, change),
      later: (delayMs, run) => thread.later(delayMs, run),
      connections: this.#connections,
      locksOf: (uuid) => volume.shownLocks().filter(({ origin }) => origin === uuid),
      releaseLocks: (uuid, source) => void volume.locks.release(uuid, source),
      removed: (peer) => groups.peerRemoved(peer),
      paired: (direction, peer) => requests.paired(direction, peer),
      nowMs: () => Date.now(),
      log,
    });
    this.space = new SpaceWatch({
      space: () => volume.space(),
      look: () => volume.lookAtSpace(),
      later: (delayMs, run) => thread.later(delayMs, run),
      tell: (event) => {
        for (const mount of this.#mounts.values()) mount.tell(event);
      },
      log,
    });
    if (!plan.options.readOnly) this.space.start();
    this.incoming = new IncomingStreams({
      volume,
      context: {
        pause: () => this.pause(),
        adopt: (change) => this.#commands.adopt(change),
      },
      random: Math.random,
      addJob: (next) => thread.addJob(next),
      log,
    });
  }

  // The mounts

  add(mount: MountServer): void {
    this.#mounts.set(mount.id, mount);
    this.#shareNodes();
  }

  /** What the kernel may know of all mounts together does not grow with their number. */
  #shareNodes(): void {
    for (const { tree } of this.#mounts.values()) tree.forgetting.shareWith(this.#mounts.size);
  }

  /** Settles when everything of it is stored; the others go on. */
  remove(mount: MountServer): Deferred<void> {
    this.#mounts.delete(mount.id);
    this.#shareNodes();
    return mount.close();
  }

  get isEmpty(): boolean {
    return this.#mounts.size === 0;
  }

  /** The mount that shows the branch. */
  #mountOf(branch: string): MountServer | undefined {
    return this.#find(({ shown }) => shown.seat.branch.name === branch);
  }

  #find(is: (mount: MountServer) => boolean): MountServer | undefined {
    for (const mount of this.#mounts.values()) if (is(mount)) return mount;
    return undefined;
  }

  /** Settles when what had been written in the mount of the branch, if there is one, is here. */
  quiesce(branch: string): Deferred<void> {
    const mount = this.#mountOf(branch);
    return mount?.isServed === true ? mount.quiesce() : settledWith<void>(undefined);
  }

  /** The live tree of a branch has moved: the mount that shows it agrees. */
  restored(from: View, to: View): () => Deferred<Answer> {
    const mount = this.#find(({ shown }) => shown.live === to);
    return mount?.restored(from, to) ?? (() => settledWith<Answer>({}));
  }

  /** Another mount than `asking` has a node that shows the inode. */
  knows(ino: number, asking: MountServer): boolean {
    return this.#find((mount) => mount !== asking && mount.tree.knows(ino)) !== undefined;
  }

  /** A mount covers the base: programs reach it through this process only. */
  get coversBase(): boolean {
    return this.#find(({ plan }) => plan.inPlace) !== undefined;
  }

  shownMounts(): { mountpoint: string; branch: string; readOnly: boolean }[] {
    return [...this.#mounts.values()].map(({ place, shown, plan }) => ({
      mountpoint: place.mountpoint,
      branch: shown.seat.branch.name,
      readOnly: plan.options.readOnly,
    }));
  }

  /** Others have changed the base: each kernel is told. */
  takeBaseChanges(): void {
    this.#baseNews.take((next) => this.thread.addJob(next));
  }

  // Commands

  /** A command is done; `by`: the mount at which it was given. Absent: a peer gave it. */
  told(answer: Answer, by: MountServer | undefined): void {
    for (const mount of this.#mounts.values()) {
      if (by === undefined) mount.commands.refused(answer);
      const isElsewhere = by !== undefined && by !== mount;
      mount.tell(isElsewhere ? { ...answer, givenAt: by.place.mountpoint } : answer);
    }
    this.agent.changed();
    if (/^(promote|demote|switchover|revert)$/.test(String(answer['command']))) {
      this.peering.start();
    }
  }

  /** What brings the tree of a branch into the base. */
  applying(volume: Volume): Applying {
    const { thread, volumePath } = this;
    return new Applying({
      volume,
      addJob: (next) => thread.addJob(next),
      host: {
        pause: () => this.pause(),
        flush: (fd) => thread.flushFileSystem(fd),
        flushFile: (fd) => thread.flushFile(fd),
        volumePath,
      },
      log,
    });
  }

  /** What brings another branch into the tree of a branch, whose changes wait meanwhile. */
  merging(volume: Volume, held: Pick<MountThread, 'holdChanges' | 'letGo'>): Merges {
    return new Merges({
      volume,
      addJob: (next) => this.thread.addJob(next),
      pause: () => this.pause(),
      holdChanges: () => held.holdChanges(),
      letGo: () => held.letGo(),
      mergeText: (directory) => this.main.call('mergeText', { directory }),
    });
  }

  inspect(request: InspectRequest): Deferred<Answer> {
    return this.main.call('inspect', request);
  }

  handle(message: ServerMessage): void {
    switch (message.kind) {
      case 'save':
        for (const { commands } of this.#mounts.values()) {
          commands.run('save', {}, 'signal').settled(
            (answer) => log(`saved as ${String(answer['name'])}`),
            () => undefined,
          );
        }
        break;
      case 'call':
        this.main.receive(message.message);
        break;
    }
  }

  /**
   * With a writeback cache the kernel accepts programs' writes and shows them to other programs
   * before it asks us: a standby would show data that it refuses.
   */
  #checkDemotion(): void {
    if (this.#mountOf(MAIN_BRANCH)?.tree.writeback !== true) return;
    throw new CommandError(
      'standby-writeback',
      'EINVAL',
      'a standby can not be mounted with -o writeback: mount it without, then demote',
    );
  }

  // The thread

  pause(): Deferred<void> {
    const later = new Deferred<void>();
    this.thread.later(PAUSE_MS, () => later.resolve());
    return later;
  }

  /** Runs a job in spare time; while the job waits for an answer, the thread goes on without it. */
  runJob<T>(job: Generator<Deferred<void> | undefined, T>, done: (result: T) => void): void {
    const next = (): boolean => {
      const { value, done: isDone } = job.next();
      if (isDone === true) {
        done(value);
        return true;
      }
      if (value === undefined) return false;
      const goOn = (): void => this.thread.addJob(next);
      // If a notification could not be sent, the kernel's time-outs apply; the rest goes on.
      value.settled(goOn, goOn);
      return true;
    };
    this.thread.addJob(next);
  }

  /** The thread ends. */
  close(): void {
    this.#connections.close();
  }
}
