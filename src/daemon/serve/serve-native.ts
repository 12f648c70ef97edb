/**
 * Serves a mount of the fuse-native driver in the main thread, since the
 * package works in no other. Everything runs in the event loop; the volume's
 * writer and the helper threads wake it through the event counter.
 */
import { performance } from 'node:perf_hooks';
import { read } from 'node:fs';
import type { MessagePort, Transferable } from 'node:worker_threads';
import { Deferred } from '../../lib/deferred.js';
import { FsError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { HelperClient } from '../../fuse/helpers/helper-client.js';
import type { TraceSink } from '../../measure/trace-entry.js';
import { NativeMount } from '../../fuse-native/native-mount.js';
import { O_NONBLOCK } from '../../libc/constants.js';
import { getStatusFlags, markIoFlusher, setStatusFlags } from '../../libc/libc.js';
import { eventfdSignal } from '../../libc/poll.js';
import { startWriter } from '../../volume/commit/start-writer.js';
import type { Volume } from '../../volume/volume.js';
import { log } from './log.js';
import { toPlainError } from '../calls/plain-error.js';
import { FIRST_MOUNT, type FromServer, type ServeData, type ToServer } from './messages.js';
import { MountServer } from './mount-server.js';
import { VolumeServer } from './volume-server.js';
import { oneMountOnly } from '../mount/plan-beside.js';
import { settledWith } from '../../lib/work.js';
import { CONTROL_SUBTYPE, SUBTYPE } from '../mount/mount-table.js';
import { openedFacts, type OpenedVolume, openVolume } from './open-volume.js';
import type { MountThread, VolumeThread } from './serving.js';
import type { Connection } from './state.js';

/** Programs' stores through maps may be on their way until no write has come for this long. */
const DRAIN_LOOK_MS = 2;
const DRAIN_LOOKS = 3;
/** Other programs that write all the time must not delay a command for longer. */
const DRAIN_MAX_MS = 200;
/** How often to look what others have changed in the base. */
const BASE_LOOK_MS = 500;

class NativeServer implements VolumeThread, MountThread {
  readonly #data: ServeData;
  readonly #volume: Volume;
  readonly #helpers: HelperClient;
  readonly #server: VolumeServer;
  readonly #served: MountServer;
  #mount: NativeMount | undefined;
  #control: NativeMount | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #baseLook: NodeJS.Timeout | undefined;
  readonly #opened: OpenedVolume;

  constructor(opened: OpenedVolume, data: ServeData) {
    this.#data = data;
    const { volume } = opened;
    this.#volume = volume;
    this.#opened = opened;
    this.#helpers = new HelperClient(
      { onPort: (port, handle) => void port.on('message', handle) },
      data.helpers,
    );
    const { plan } = data;
    this.#server = new VolumeServer(volume, plan, data, this, {
      open: () => {
        throw oneMountOnly(plan);
      },
      drop: () => settledWith(undefined),
    });
    this.#served = new MountServer(this.#server, FIRST_MOUNT, plan, this);
    this.#server.add(this.#served);
    // With this driver, old and new versions of a file meet in one page cache.
    this.#served.tree.sharesPages = true;
  }

  start(): void {
    const { port } = this.#data;
    port.on('message', (message) => this.#handle(message as ToServer));
    this.#watchWake();
    this.#tick();
    // This driver's kernel asks again after a second by itself.
    if (this.#volume.base?.startWatching() !== undefined) {
      this.#baseLook = setInterval(() => this.#server.takeBaseChanges(), BASE_LOOK_MS).unref();
    }
    this.post({ kind: 'opened', volume: openedFacts(this.#data.plan, this.#opened) });
    this.#server.peering.start();
  }

  post(message: FromServer, transfer: readonly Transferable[] = []): void {
    this.#data.port.postMessage(message, transfer);
  }

  #tick(): void {
    this.#timer = setTimeout(() => this.#tick(), this.#volume.tick(Date.now()));
  }

  /** One thread of Node's pool sleeps in a read of the event counter. */
  #watchWake(): void {
    const { wakeFd } = this.#data;
    setStatusFlags(wakeFd, getStatusFlags(wakeFd) & ~O_NONBLOCK);
    const count = Buffer.alloc(8);
    const wait = (): void =>
      read(wakeFd, count, 0, 8, null, () => {
        if (this.#isClosed) return;
        this.#volume.pump();
        this.#mount?.operations.answering.retry();
        wait();
      });
    wait();
    // The end of the process waits for the pool.
    process.once('exit', () => eventfdSignal(wakeFd));
  }

  #handle(message: ToServer): void {
    if (this.#isClosed) return;
    switch (message.kind) {
      case 'mount':
        this.#mountBoth().then(
          () => this.post({ kind: 'ready', mount: FIRST_MOUNT }),
          (error) => this.post({ kind: 'failed', error: toPlainError(error) }),
        );
        break;
      case 'mounted':
        break;
      case 'stop':
        this.#close();
        break;
      default:
        this.#server.handle(message);
    }
  }

  async #mountBoth(): Promise<void> {
    const { plan, uid, gid } = this.#data;
    const { control, tree, place } = this.#served;
    const common = { uid, gid, log };
    this.#control = await NativeMount.mount(
      plan.controlMount,
      control,
      { ...common, source: `control:${plan.mountpoint}`, subtype: CONTROL_SUBTYPE, directIo: true },
      () => log('the control files have been unmounted'),
    );
    failpoint('mount:control-mounted');
    const { source, options } = plan;
    const { readOnly, noexec } = options;
    // libfuse leaves both off, and only root may turn them on.
    const isRoot = process.geteuid?.() === 0;
    const suid = isRoot && !options.nosuid;
    const dev = isRoot && !options.nodev;
    this.#mount = await NativeMount.mount(
      plan.mountpoint,
      tree,
      { ...common, source, subtype: SUBTYPE, readOnly, noexec, suid, dev },
      () => {
        log('the mount has ended: unmounted');
        this.post({ kind: 'unmounted', mount: FIRST_MOUNT });
        this.#close();
      },
    );
    place.learn();
  }

  connection(): Connection | undefined {
    const mount = this.#mount;
    if (mount === undefined) return undefined;
    const { answering, measured } = mount.operations;
    const { counts } = measured;
    return {
      negotiated: undefined,
      served: answering.served,
      counts,
      loop: null,
      heldBack: null,
      reset: () => counts.reset(),
    };
  }

  onPort(port: MessagePort, handle: (message: unknown) => void): () => void {
    port.on('message', handle);
    return () => void port.off('message', handle);
  }

  later(delayMs: number, run: () => void): void {
    const timer = setTimeout(() => {
      if (!this.#isClosed) run();
    }, delayMs);
    // Work that is due much later does not delay the end.
    timer.unref();
  }

  trace(sink: TraceSink | undefined): void {
    const mount = this.#mount;
    if (mount !== undefined) mount.operations.measured.trace = sink;
  }

  flushFileSystem(fd: number): Deferred<void> {
    return this.#helpers.flush(fd);
  }

  flushFile(fd: number): Deferred<void> {
    return this.#helpers.flushFile(fd);
  }

  forgetBase(): void {
    clearInterval(this.#baseLook);
  }

  addJob(next: () => boolean): void {
    const slice = (): void => {
      if (!this.#isClosed && !next()) setImmediate(slice);
    };
    setImmediate(slice);
  }

  holdChanges(): void {
    this.#mount?.operations.answering.holdChanges();
  }

  letGo(): void {
    this.#mount?.operations.answering.letGo();
  }

  /**
   * A returned write was answered here. So the only thing left to wait for are stores through
   * shared maps, which the kernel writes out on request.
   */
  quiesce(): Deferred<void> {
    const done = new Deferred<void>();
    const { mountpoint } = this.#data.plan;
    const mount = this.#mount;
    if (mount === undefined || mount.ended) {
      done.reject(new FsError('ENODEV', 'quiesce', mountpoint));
      return done;
    }
    const { device = '' } = this.#served.place;
    this.#helpers.syncfs({ path: mountpoint, device }).settled(
      () => this.#drain(mount, done),
      (error) => done.reject(error),
    );
    return done;
  }

  #drain(mount: NativeMount, done: Deferred<void>): void {
    const startedMs = performance.now();
    const { operations } = mount;
    let written = operations.writesServed;
    let quietLooks = 0;
    const look = (): void => {
      const isQuiet = !mount.hasUnread && operations.writesServed === written;
      written = operations.writesServed;
      quietLooks = isQuiet ? quietLooks + 1 : 0;
      const isLate = performance.now() - startedMs > DRAIN_MAX_MS;
      if (quietLooks < DRAIN_LOOKS && !isLate) {
        setTimeout(look, DRAIN_LOOK_MS);
        return;
      }
      // After a restore names lead elsewhere. The switch follows in this same turn.
      operations.paths.clear();
      done.resolve();
    };
    look();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#mount?.close();
    this.#control?.close();
    this.#server.close();
    this.#helpers.close();
    eventfdSignal(this.#data.wakeFd);
    const snapshots = this.#volume.snapshots().length;
    try {
      this.#volume.close();
      this.post({ kind: 'ended', snapshots });
    } catch (error) {
      this.post({ kind: 'ended', error: toPlainError(error) });
    }
  }
}

/** Opens the volume and waits for messages on the port. Failures go to the port, too. */
export function serveNative(data: ServeData): void {
  // The kernel may wait for this thread while memory is short. Only root may ask for this.
  markIoFlusher();
  let opened: OpenedVolume;
  try {
    opened = openVolume(data.plan, {
      ...data,
      startWriter: (writer) =>
        startWriter(writer, (why) => log(`the writer thread failed: ${why}`)).hasStopped,
    });
  } catch (error) {
    data.port.postMessage({ kind: 'failed', error: toPlainError(error) } satisfies FromServer);
    return;
  }
  new NativeServer(opened, data).start();
}
