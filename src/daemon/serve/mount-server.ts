/**
 * The parts that serve one mount, whatever the driver: the tree, the commands
 * that are given there, the control files. What all mounts of the volume share
 * is the `VolumeServer`. Lives in the thread that answers the kernel; the driver
 * decides how that thread waits and runs.
 */
import { performance } from 'node:perf_hooks';
import { after, Deferred } from '../../lib/deferred.js';
import type { Answer, CommandArguments, CommandName } from '../../control/command.js';
import { ControlFiles } from '../../control/control-files.js';
import { byteStringOfText } from '../../lib/byte-text.js';
import type { CoherenceReport } from '../../tree/coherence/coherence.js';
import { smallLimits } from '../../tree/nodes/forgetting-plan.js';
import { Tree } from '../../tree/tree.js';
import { REQUEST_KINDS } from '../../fuse/protocol/opcode-names.js';
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import { VolumeCommands } from '../commands/commands.js';
import { log } from './log.js';
import { branchToShow } from './open-volume.js';
import { MountPlace } from '../mount/mount-place.js';
import type { MountPlan } from '../mount/mount-plan.js';
import { SaveSchedule } from '../commands/save-schedule.js';
import type { MountThread } from './serving.js';
import { mountState } from './state.js';
import { RestoreEvents } from '../watchers/restore-events.js';
import type { VolumeServer } from './volume-server.js';

export class MountServer {
  readonly commands: VolumeCommands<View>;
  /** The volume, at the branch that this mount shows. */
  readonly shown: Volume;
  readonly tree: Tree;
  readonly control: ControlFiles;
  readonly place: MountPlace;
  readonly #server: VolumeServer;
  readonly #thread: MountThread;
  /** Undefined: programs that watch are not told of a restore. */
  readonly #events: RestoreEvents | undefined;
  readonly #listeners: ((answer: Answer) => void)[] = [];

  /** Throws no-such-branch, branch-in-use. */
  constructor(
    server: VolumeServer,
    /** By which the two threads name the mount. */
    readonly id: number,
    readonly plan: MountPlan,
    thread: MountThread,
    /** For tests: a low limit of nodes. */
    nodesMax?: number,
  ) {
    this.#server = server;
    this.#thread = thread;
    const { volume, who } = server;
    this.place = new MountPlace(plan.mountpoint);
    const branch = branchToShow(plan, volume);
    volume.branches.refuseMounted(branch);
    const shown = volume.at(branch, () => this.place.mountpoint);
    shown.seat.isRemembered = plan.options.branch === undefined || server.isEmpty;
    this.shown = shown;
    this.commands = new VolumeCommands<View>({
      ...server.commandParts,
      volume: shown,
      quiesce: (of) => (of === undefined ? thread.quiesce() : server.quiesce(of)),
      restored: (from, to) => server.restored(from, to),
      inspect: (request) => server.inspect(request),
      apply: server.applying(shown),
      merge: server.merging(shown, thread),
    });
    this.commands.watch((answer) => server.told(answer, this));
    this.tree = new Tree(shown, {
      commands: {
        save: (name, source) => this.#run('save', { name }, source),
        delete: (name, source) => this.#run('delete', { name }, source),
        rename: (name, to, source) => this.#run('rename', { name, to }, source),
      },
      quiesce: () => thread.quiesce(),
      runJob: (job) => server.runJob(job, () => undefined),
      ...(nodesMax !== undefined && { nodeLimits: smallLimits(nodesMax) }),
      ownerUid: who.uid,
      readOnly: plan.options.readOnly,
      controlTarget: byteStringOfText(plan.controlMount),
      isKnownElsewhere: (ino) => server.knows(ino, this),
    });
    this.#events = this.#restoreEvents();
    const schedule = new SaveSchedule(shown, this.commands, {
      isReady: () => thread.connection() !== undefined,
      later: (delayMs, run) => thread.later(delayMs, run),
    });
    this.control = new ControlFiles({
      uid: who.uid,
      gid: who.gid,
      commands: this.commands,
      openIncoming: (options) => server.incoming.open(options),
      state: mountState({
        plan,
        place: this.place,
        volume: shown,
        commands: this.commands,
        tree: this.tree,
        incoming: server.incoming,
        schedule,
        peering: server.peering,
        agent: server.agent,
        spaceProblems: () => server.space.problems(),
        mounts: () => server.shownMounts(),
        isCovered: () => server.coversBase,
        watch: (listener) => void this.#listeners.push(listener),
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

  /** Only the kernel driver learns which process calls. */
  #restoreEvents(): RestoreEvents | undefined {
    const { driver, options } = this.plan;
    if (driver !== 'kernel' || !options.notify) return undefined;
    const { tree, id: mount } = this;
    const { volume, main } = this.#server;
    return new RestoreEvents({
      tree,
      toucher: {
        watched: () => main.call('watched', { mount }),
        touch: (batch) => main.call('touch', { mount, batch }),
        touched: () => main.tell('touched', { mount }),
      },
      pin: (layer) => volume.pin(layer),
      unpin: (layer) => volume.unpin(layer),
      runJob: (job) => this.#server.runJob(job, () => undefined),
      nowMs: () => performance.now(),
      log,
    });
  }

  #run(command: CommandName, args: CommandArguments, source: string): Deferred<unknown> {
    return after(this.commands.run(command, args, source), (answer): unknown => answer);
  }

  /** Programs can use it. */
  get isServed(): boolean {
    return this.#thread.connection() !== undefined;
  }

  quiesce(): Deferred<void> {
    return this.#thread.quiesce();
  }

  holdChanges(): void {
    this.#thread.holdChanges();
  }

  letGo(): void {
    this.#thread.letGo();
  }

  /** Those who follow the events of this mount hear of it. */
  tell(answer: Answer): void {
    for (const listener of this.#listeners) listener(answer);
  }

  /** Stores everything that programs have written, and has told them what they watch. */
  storeAll(): Deferred<undefined> {
    const told = after(this.commands.storeAll(), () => this.#events?.idle());
    return after(told, () => undefined);
  }

  /** The live tree of this mount is another one now. The result runs when that is durable. */
  restored(from: View, to: View): () => Deferred<Answer> {
    const transition = this.tree.transition(from, to);
    return () => {
      const done = new Deferred<Answer>();
      this.#events?.keep(transition);
      this.#server.runJob<CoherenceReport>(this.tree.coherence(transition), (report) => {
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

  /** The mount is gone, and other mounts go on. Settles when everything is stored. */
  close(): Deferred<void> {
    return after(this.commands.whenDone(), (): Deferred<void> => {
      const { shown, tree } = this;
      tree.close();
      for (const ino of [...shown.pathNumbers()]) {
        if (!this.#server.knows(ino, this)) shown.forgetPath(ino);
      }
      shown.leave();
      return shown.whenCommitted(shown.commit());
    });
  }
}
