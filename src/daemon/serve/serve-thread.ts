/**
 * Entry of the serving thread of the kernel driver: opens the volume and serves
 * until the mount is gone. This thread never goes back to the event loop while
 * it serves; all messages reach it through the serving loop.
 */
import type { MessagePort, Transferable } from 'node:worker_threads';
import { Deferred } from '../../lib/deferred.js';
import { FsError } from '../../lib/errors.js';
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
import type { FromServer, ServeData, ToServer } from './messages.js';
import { MountServer, type ServingThread } from './mount-server.js';
import { openedFacts, type OpenedVolume, openVolume } from './open-volume.js';
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

class KernelServer implements ServingThread {
  readonly #volume: Volume;
  readonly #opened: OpenedVolume;
  readonly #kernelOverride: KernelOverride;
  readonly #loop = new ServeLoop({ wakeFd, placement: placementHere() });
  readonly #helpers = new HelperClient(this.#loop, helperPorts);
  readonly #server: MountServer;
  readonly post = post;
  #session: FuseSession | undefined;
  #unwatch: (() => void) | undefined;

  constructor(opened: OpenedVolume, kernelOverride: KernelOverride) {
    const { volume } = opened;
    this.#volume = volume;
    this.#opened = opened;
    this.#kernelOverride = kernelOverride;
    this.#server = new MountServer(volume, plan, { uid, gid }, this, this.#kernelOverride.nodesMax);
  }

  /** Returns when the mount is gone, or on request. */
  serve(): void {
    this.#loop.onPort(port, (message) => this.#handle(message as ToServer));
    this.#loop.onWake(() => this.#volume.pump());
    const { baseChanges } = this.#server.tree;
    const watchFd = this.#volume.base?.startWatching();
    baseChanges.expireLater = () =>
      this.#loop.addTimer(BASE_UNHEARD_MS, () => baseChanges.expire());
    if (watchFd !== undefined) {
      const take = (): void => baseChanges.take((next) => this.addJob(next));
      this.#unwatch = this.#loop.onReadable(watchFd, BASE_PAUSE_MS, take);
    }
    this.#tick();
    this.#volume.waits.mode = 'yield';
    tuneCompiler();
    post({ kind: 'opened', volume: openedFacts(plan, this.#opened) });
    this.#server.peering.start();
    this.#loop.run();
    this.#server.close();
    this.#volume.waits.mode = 'wait';
    this.#helpers.close();
  }

  #tick(): void {
    this.#loop.addTimer(this.#volume.tick(Date.now()), () => this.#tick());
  }

  #handle(message: ToServer): void {
    switch (message.kind) {
      case 'mounted':
        this.#server.place.device = message.device;
        this.#mounted(message.fd, message.controlFd);
        break;
      case 'mount':
        break;
      case 'stop':
        this.#loop.stop();
        break;
      default:
        this.#server.handle(message);
    }
  }

  #mounted(fd: number, controlFd: number): void {
    const { tree } = this.#server;
    const control = new FuseSession(controlFd, this.#server.control, {
      name: 'control',
      // A failed `write` must report its own error, and each open has its own content.
      kernelOverride: { ...this.#kernelOverride, writeback: false, noOpen: false },
      log,
    });
    this.#loop.addSession(control, () => log('the control files have been unmounted'));
    const session = new FuseSession(fd, tree, {
      name: 'mount',
      acls: true,
      // Otherwise a standby would show programs data that it refuses.
      kernelOverride:
        plan.options.writeback && !this.#volume.isStandby
          ? this.#kernelOverride
          : { ...this.#kernelOverride, writeback: false },
      warmer: this.#helpers,
      waits: this.#volume.waits,
      onInit: ({ writeback, acls }) => {
        tree.writeback = writeback;
        tree.acls = acls;
        post({ kind: 'ready' });
      },
      log,
    });
    this.#session = session;
    this.#volume.waits.othersWait = () => {
      if (session.othersWait) return true;
      this.#loop.waits();
      return false;
    };
    tree.notifier = new SessionNotifier(this.#helpers, session, log);
    this.#loop.addSession(session, () => {
      log(`the mount has ended: ${session.ended}`);
      if (session.ended === 'unmounted') post({ kind: 'unmounted' });
      this.#loop.stop();
    });
  }

  connection(): Connection | undefined {
    const session = this.#session;
    if (session === undefined) return undefined;
    const { book, negotiated } = session;
    const loop = this.#loop.counts;
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

  onPort(connected: MessagePort, handle: (message: unknown) => void): () => void {
    return this.#loop.onPort(connected, handle);
  }

  later(delayMs: number, run: () => void): void {
    this.#loop.addTimer(delayMs, run);
  }

  trace(sink: TraceSink | undefined): void {
    const session = this.#session;
    if (session === undefined) return;
    const { paths } = this.#server.tree;
    session.book.trace =
      sink === undefined ? undefined : new SessionTrace(sink, (node) => paths.of(node));
  }

  flushFileSystem(fd: number): Deferred<void> {
    return this.#helpers.flush(fd);
  }

  flushFile(fd: number): Deferred<void> {
    return this.#helpers.flushFile(fd);
  }

  forgetBase(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  addJob(next: () => boolean): void {
    function* slices(): Generator<undefined> {
      while (!next()) yield undefined;
    }
    this.#loop.addJob(slices());
  }

  holdChanges(): void {
    this.#session?.holdMutations();
  }

  letGo(): void {
    this.#session?.releaseMutations();
  }

  quiesce(): Deferred<void> {
    const session = this.#session;
    const { made, device = '' } = this.#server.place;
    const mount = { path: made, device };
    if (session !== undefined) return quiesce(this.#loop, session, this.#helpers, mount);
    const never = new Deferred<void>();
    never.reject(new FsError('ENODEV', 'quiesce', plan.mountpoint));
    return never;
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
