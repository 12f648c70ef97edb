/**
 * Entry of the serving thread of the kernel driver: opens the volume and serves
 * until the mount is gone. This thread never goes back to the event loop while
 * it serves; all messages reach it through the serving loop.
 */
import type { MessagePort, Transferable } from 'node:worker_threads';
import { after, Deferred } from '../../lib/deferred.js';
import { CommandError, FsError, messageOf } from '../../lib/errors.js';
import { settledWith } from '../../lib/work.js';
import { endThreads, threadData } from '../../lib/threads.js';
import { parseKernelOverride, type KernelOverride } from '../../fuse/protocol/kernel-override.js';
import { HelperClient, SessionNotifier } from '../../fuse/helpers/helper-client.js';
import { Placement } from '../../fuse/cpu/placement.js';
import { quiesce } from '../../fuse/loop/quiesce.js';
import { ServeLoop } from '../../fuse/loop/serve-loop.js';
import { FuseSession } from '../../fuse/session/session.js';
import { stackingHere } from '../../fuse/cpu/stacking.js';
import { SessionTrace } from '../../fuse/session/session-trace.js';
import type { TraceSink } from '../../measure/trace-entry.js';
import { markIoFlusher } from '../../libc/libc.js';
import type { WriterData } from '../../volume/commit/start-writer.js';
import type { Volume } from '../../volume/volume.js';
import { tuneCompiler } from './compiler.js';
import { keepLogShort, log } from './log.js';
import { toPlainError } from '../calls/plain-error.js';
import {
  FIRST_MOUNT,
  type FromServer,
  type OpenedFacts,
  type ServeData,
  type ToServer,
} from './messages.js';
import type { MountPlan } from '../mount/mount-plan.js';
import { MountServer } from './mount-server.js';
import {
  coverInBase,
  openedFacts,
  type OpenedVolume,
  openVolume,
  refuseOtherOptions,
  uncoverInBase,
} from './open-volume.js';
import type { MountThread, VolumeThread } from './serving.js';
import { type MountMaker, VolumeServer } from './volume-server.js';
import type { Connection } from './state.js';

const { plan, port, helpers: helperPorts, wakeFd, uid, gid } = threadData() as ServeData;

/** The writer has closed the volume; the remaining threads have no work to finish. */
const PATIENCE_MS = 2_000;
/** Changes of the base by others are told to the kernel together, when they come all the time. */
const BASE_PAUSE_MS = 3;
/** How long the kernel keeps a listing of the base of whose changes nothing tells. */
const BASE_UNHEARD_MS = 1000;

function post(message: FromServer, transfer: readonly Transferable[] = []): void {
  port.postMessage(message, transfer);
}

/** The main thread starts it, since this thread would not learn of its end. */
function startWriter(data: WriterData): undefined {
  port.postMessage({ kind: 'start-writer', data } satisfies FromServer, [data.port]);
}

function placementHere(): Placement | undefined {
  const stacking = stackingHere();
  return stacking && new Placement(stacking);
}

/** The descriptors of one mount: that of the volume's tree and that of its control files. */
class KernelMount implements MountThread {
  readonly server: MountServer;
  readonly #owner: KernelServer;
  readonly #plan: MountPlan;
  readonly #timers = new Set<() => void>();
  #session: FuseSession | undefined;
  #control: FuseSession | undefined;

  constructor(owner: KernelServer, id: number, plan: MountPlan) {
    this.#owner = owner;
    this.#plan = plan;
    this.server = new MountServer(owner.server, id, plan, this, owner.kernelOverride.nodesMax);
    const { baseChanges } = this.server.tree;
    baseChanges.expireLater = () => this.later(BASE_UNHEARD_MS, () => baseChanges.expire());
  }

  mounted(fd: number, controlFd: number, device: string | undefined): void {
    const { server, kernelOverride, loop, helpers } = this.#owner;
    const { tree, place, id, shown } = this.server;
    place.device = device;
    const control = new FuseSession(controlFd, this.server.control, {
      name: id === FIRST_MOUNT ? 'control' : `control ${id}`,
      // A failed `write` must report its own error, and each open has its own content.
      kernelOverride: { ...kernelOverride, writeback: false, noOpen: false },
      log,
    });
    this.#control = control;
    loop.addSession(control, () => log(`the control files of ${place.made} have been unmounted`));
    const session = new FuseSession(fd, tree, {
      name: id === FIRST_MOUNT ? 'mount' : `mount ${id}`,
      acls: true,
      // Otherwise a standby would show programs data that it refuses.
      kernelOverride:
        this.#plan.options.writeback && !shown.isStandby
          ? kernelOverride
          : { ...kernelOverride, writeback: false },
      warmer: helpers,
      waits: server.volume.waits,
      onInit: ({ writeback, acls }) => {
        tree.writeback = writeback;
        tree.acls = acls;
        post({ kind: 'ready', mount: id });
      },
      log,
    });
    this.#session = session;
    tree.notifier = new SessionNotifier(helpers, session, log);
    loop.addSession(session, () => {
      log(`the mount on ${place.made} has ended: ${session.ended}`);
      if (session.ended === 'unmounted') post({ kind: 'unmounted', mount: id });
      this.#owner.ended(this);
    });
  }

  /** Requests wait to be read, or for their turn. */
  get othersWait(): boolean {
    return this.#session?.othersWait === true;
  }

  /** Nothing more is served; the kernel fails what is still asked. */
  close(): void {
    const { loop, helpers } = this.#owner;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    for (const session of [this.#session, this.#control]) {
      if (session === undefined) continue;
      loop.removeSession(session);
      session.stop();
      helpers.closeLater(session.fd).settled(
        () => undefined,
        (error) => log(`closing the descriptor of a mount: ${messageOf(error)}`),
      );
    }
  }

  connection(): Connection | undefined {
    const session = this.#session;
    if (session === undefined || session.ended !== undefined) return undefined;
    const { book, negotiated } = session;
    const loop = this.#owner.loop.counts;
    const reset = (): void => {
      book.reset();
      loop.reset();
    };
    return {
      negotiated,
      served: book.served,
      counts: book.counts,
      loop,
      heldBack: book.heldBack,
      reset,
    };
  }

  later(delayMs: number, run: () => void): void {
    const cancel = this.#owner.loop.addTimer(delayMs, () => {
      this.#timers.delete(cancel);
      run();
    });
    this.#timers.add(cancel);
  }

  trace(sink: TraceSink | undefined): void {
    const session = this.#session;
    if (session === undefined) return;
    const { paths } = this.server.tree;
    session.book.trace =
      sink === undefined ? undefined : new SessionTrace(sink, (node) => paths.of(node));
  }

  holdChanges(): void {
    this.#session?.holdMutations();
  }

  letGo(): void {
    this.#session?.releaseMutations();
  }

  quiesce(): Deferred<void> {
    const session = this.#session;
    const { made, device = '' } = this.server.place;
    const { loop, helpers } = this.#owner;
    if (session !== undefined) return quiesce(loop, session, helpers, { path: made, device });
    const never = new Deferred<void>();
    never.reject(new FsError('ENODEV', 'quiesce', this.#plan.mountpoint));
    return never;
  }
}

class KernelServer implements VolumeThread, MountMaker {
  readonly server: VolumeServer;
  readonly loop = new ServeLoop({ wakeFd, placement: placementHere() });
  readonly helpers = new HelperClient(this.loop, helperPorts);
  readonly post = post;
  readonly #volume: Volume;
  readonly #opened: OpenedVolume;
  readonly #mounts = new Map<number, KernelMount>();
  #unwatch: (() => void) | undefined;

  constructor(
    opened: OpenedVolume,
    readonly kernelOverride: KernelOverride,
  ) {
    const { volume } = opened;
    this.#volume = volume;
    this.#opened = opened;
    this.server = new VolumeServer(volume, plan, { uid, gid }, this, this);
    this.#add(FIRST_MOUNT, plan);
  }

  #add(id: number, asked: MountPlan): void {
    const mount = new KernelMount(this, id, asked);
    this.#mounts.set(id, mount);
    this.server.add(mount.server);
  }

  open(mount: number, asked: MountPlan): OpenedFacts {
    const { isReadOnly } = this.#volume;
    refuseOtherOptions(this.#volume, asked.options.creation);
    if (isReadOnly && !asked.options.readOnly) {
      throw new CommandError(
        'read-only',
        'EROFS',
        'the process that serves the volume has opened it read-only: add --ro, or unmount it first',
      );
    }
    this.#add(mount, asked);
    coverInBase(this.#volume, asked);
    this.#tellOwner();
    return { ...openedFacts(asked, this.#opened), isNew: false };
  }

  drop(id: number): Deferred<undefined> {
    const mount = this.#mounts.get(id);
    if (mount === undefined) return settledWith(undefined);
    return after(this.#remove(mount), () => undefined);
  }

  /** The kernel has let go of it. */
  ended(mount: KernelMount): void {
    if (this.#mounts.size === 1) {
      this.loop.stop();
      return;
    }
    const { id } = mount.server;
    this.#remove(mount).settled(
      () => post({ kind: 'mount-ended', mount: id }),
      (error) => post({ kind: 'mount-ended', mount: id, error: toPlainError(error) }),
    );
  }

  #remove(mount: KernelMount): Deferred<void> {
    this.#mounts.delete(mount.server.id);
    mount.close();
    uncoverInBase(this.#volume, mount.server.plan);
    this.#tellOwner();
    // The last one was gone when this one could not be made.
    if (this.#mounts.size === 0) this.loop.stop();
    return this.server.remove(mount.server);
  }

  #tellOwner(): void {
    const [mountpoint] = this.server.shownMounts().map(({ mountpoint: at }) => at);
    if (mountpoint !== undefined) this.#opened.owner?.movedTo(mountpoint);
  }

  /** Returns when the mounts are gone, or on request. */
  serve(): void {
    this.loop.onPort(port, (message) => this.#handle(message as ToServer));
    this.loop.onWake(() => this.#volume.pump());
    const watchFd = this.#volume.base?.startWatching();
    if (watchFd !== undefined)
      this.#unwatch = this.loop.onReadable(watchFd, BASE_PAUSE_MS, () =>
        this.server.takeBaseChanges(),
      );
    this.#tick();
    this.#volume.waits.mode = 'yield';
    this.#volume.waits.othersWait = () => {
      for (const mount of this.#mounts.values()) if (mount.othersWait) return true;
      this.loop.waits();
      return false;
    };
    tuneCompiler();
    post({ kind: 'opened', volume: openedFacts(plan, this.#opened) });
    this.server.peering.start();
    this.loop.run();
    this.server.close();
    this.#volume.waits.mode = 'wait';
    this.helpers.close();
  }

  #tick(): void {
    this.loop.addTimer(this.#volume.tick(Date.now()), () => this.#tick());
  }

  #handle(message: ToServer): void {
    switch (message.kind) {
      case 'mounted':
        this.#mounts.get(message.mount)?.mounted(message.fd, message.controlFd, message.device);
        break;
      case 'mount':
        break;
      case 'stop':
        this.loop.stop();
        break;
      default:
        this.server.handle(message);
    }
  }

  onPort(connected: MessagePort, handle: (message: unknown) => void): () => void {
    return this.loop.onPort(connected, handle);
  }

  later(delayMs: number, run: () => void): void {
    this.loop.addTimer(delayMs, run);
  }

  flushFileSystem(fd: number): Deferred<void> {
    return this.helpers.flush(fd);
  }

  flushFile(fd: number): Deferred<void> {
    return this.helpers.flushFile(fd);
  }

  forgetBase(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  addJob(next: () => boolean): void {
    function* slices(): Generator<undefined> {
      while (!next()) yield undefined;
    }
    this.loop.addJob(slices());
  }
}

// The kernel may wait for this thread while memory is short. Only root may ask for this.
markIoFlusher();
keepLogShort(plan.log);
let opened: OpenedVolume | undefined;
let kernelOverride: KernelOverride = {};
try {
  kernelOverride = parseKernelOverride(process.env['SHADOWFS_KERNEL']);
  opened = openVolume(plan, { uid, gid, wakeFd, startWriter }, kernelOverride.log !== false);
} catch (error) {
  post({ kind: 'failed', error: toPlainError(error) });
}
try {
  if (opened !== undefined) serveAndClose(opened);
} finally {
  await endThreads(PATIENCE_MS);
}

function serveAndClose(served: OpenedVolume): void {
  new KernelServer(served, kernelOverride).serve();
  const { volume } = served;
  const snapshots = volume.snapshots().length;
  try {
    volume.close();
    post({ kind: 'ended', snapshots });
  } catch (error) {
    post({ kind: 'ended', error: toPlainError(error) });
  }
}
