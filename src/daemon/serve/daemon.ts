/**
 * The main thread of a process that serves a mount: starts the serving thread
 * and its helpers, handles signals, does the work for which the serving thread
 * must never wait (unmounting, inspections), and ends when the mount is gone.
 *
 * What must hold: it ends only when everything is stored or has failed; it
 * never leaves a mount behind that nobody serves, whenever a signal comes.
 *
 * Doors: daemon, spawn.
 * Doors inside daemon/: log, messages.
 */
import { rmdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { MessageChannel, type MessagePort, type Transferable } from 'node:worker_threads';
import { startHelpers } from '../../fuse/helpers/helper-client.js';
import { mountFuse } from '../../fuse/mount/kernel-mount.js';
import { raiseReadahead } from '../../fuse/mount/mount-info.js';
import { exitNow } from '../../libc/libc.js';
import { eventfd, eventfdSignal } from '../../libc/poll.js';
import { SERVING_LIMITS } from '../../lib/thread-limits.js';
import { failpoint } from '../../lib/failpoints.js';
import { endThreads, startThread, within, handlePosted } from '../../lib/threads.js';
import { fsPath } from '../../lib/byte-text.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import { invariant } from '../../lib/invariant.js';
import { startWriter } from '../../volume/commit/start-writer.js';
import { ThreadCalls } from '../calls/thread-calls.js';
import { Inspector } from '../commands/inspector.js';
import { END_SIGNALS, mountInterrupted } from './interrupted.js';
import { keepLogShort, log } from './log.js';
import { fromPlainError, type PlainError, toPlainError } from '../calls/plain-error.js';
import type {
  FromServer,
  OpenedFacts,
  ServeData,
  ToMainThread,
  ToServer,
  ToServingThread,
} from './messages.js';
import { mergeLines } from '../commands/merge-lines.js';
import { makeDirectory } from '../../lib/make-directory.js';
import { refuseDetached } from '../mount/detached.js';
import { cleanControlMount, type MountPlan } from '../mount/mount-plan.js';
import { type MountRecord, startTicksOf, writeMountRecord } from '../mount/mount-record.js';
import { MountPlace } from '../mount/mount-place.js';
import {
  CONTROL_SUBTYPE,
  mountAt,
  type MountEntry,
  MOUNT_TYPE,
  readMountTable,
} from '../mount/mount-table.js';
import { ensurePrivateDirectory } from '../mount/paths.js';
import { Toucher } from '../watchers/toucher.js';
import { ConnectionsLauncher } from '../peers/connections-launcher.js';
import { detachLater, unmountElsewhere } from '../mount/unmount-elsewhere.js';
import { registerEnd, registerUse } from '../volumes/register.js';
import { unmountOrDetach, type UnmountReport, type UnmountTask } from '../mount/unmount-thread.js';

const READAHEAD_BYTES = 1024 * 1024;
/** After a signal: how long the kernel may take to greet a mount, and a server to end. */
const GIVE_UP_MS = 10_000;
/** Longer than the serving thread takes to end its own threads. */
const THREADS_END_MS = 15_000;

/**
 * Serves until the mount is gone. Returns the failure, if there was one. Throws when it can't
 * mount.
 */
export async function serve(
  plan: MountPlan,
  onReady: (volume: OpenedFacts) => void,
): Promise<PlainError | undefined> {
  try {
    const daemon = new Daemon(plan);
    return await daemon.run(onReady);
  } finally {
    if (!(await endThreads(THREADS_END_MS))) process.once('exit', (code) => exitNow(code));
  }
}

/** As `serve`, in the process of the command line; ends the process. */
export async function serveInForeground(
  plan: MountPlan,
  onReady: (volume: OpenedFacts) => void,
): Promise<void> {
  const failure = await serve({ ...plan, log: '' }, onReady);
  if (failure !== undefined) throw fromPlainError(failure);
}

class Daemon {
  readonly #plan: MountPlan;
  readonly #place: MountPlace;
  readonly #port: MessagePort;
  readonly #wakeFd = eventfd();
  readonly #inspector: Inspector;
  readonly #connections: ConnectionsLauncher;
  readonly #toucher: Toucher;
  readonly #calls: ThreadCalls<ToServingThread, ToMainThread>;
  readonly #data: ServeData;
  #record: MountRecord | undefined;
  #isEnding = false;
  /** The mount has been requested; it exists, or may appear at any moment. */
  #isMounting = false;
  /** Programs can use the mount. */
  #isReady = false;
  /** A signal that came before the mount was ready. */
  #early: string | undefined;
  /** The volume, once it is open. */
  #opened: OpenedFacts | undefined;
  /** When the mount ended. */
  #snapshots: number | undefined;
  /** The serving thread has reported its end. */
  #hasEnded = false;
  #hasMount = false;
  #hasControlMount = false;
  #waiting: { kind: string; resolve: () => void; reject: (error: Error) => void }[] = [];
  #onEnded: ((failure: PlainError | undefined) => void) | undefined;

  constructor(plan: MountPlan) {
    this.#plan = plan;
    keepLogShort(plan.log);
    this.#place = new MountPlace(plan.mountpoint);
    this.#prepareDirectories();
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const { ports: helpers, workers } = startHelpers(this.#wakeFd);
    for (const worker of workers)
      worker.on('error', (error) => this.#die('a helper thread', error));
    const data: ServeData = {
      plan,
      port: port2,
      helpers,
      wakeFd: this.#wakeFd,
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
    };
    this.#data = data;
    this.#inspector = new Inspector(plan, (progress) =>
      this.#calls.tell('inspectProgress', progress),
    );
    const { volume: directory, mountpoint, inPlace } = plan;
    this.#connections = new ConnectionsLauncher(
      { directory, mountpoint, inPlace, wakeFd: this.#wakeFd },
      (loss) => this.#calls.tell('connectionsLost', loss),
    );
    this.#toucher = new Toucher(this.#place);
    this.#calls = new ThreadCalls<ToServingThread, ToMainThread>({
      post: (message, transfer) => this.#post({ kind: 'call', message }, transfer),
      handlers: {
        inspect: (request) => this.#inspector.run(request),
        startConnections: (start) => this.#connections.start(start),
        endConnections: (config) => void this.#connections.stop(config),
        watched: () => this.#toucher.watched(),
        touch: (batch) => this.#toucher.touch(batch),
        touched: () => this.#toucher.end(),
        mergeText: ({ directory }) => mergeLines(directory),
      },
    });
  }

  async run(onReady: (volume: OpenedFacts) => void): Promise<PlainError | undefined> {
    const opened = this.#when('opened');
    const ready = this.#when('ready');
    const ended = new Promise<PlainError | undefined>((resolve) => {
      this.#onEnded = resolve;
    });
    this.#listen();
    this.#listenToSignals();
    try {
      failpoint('mount:begun');
      await this.#startServer();
      await opened;
      failpoint('mount:opened');
      this.#refuseEarlySignal();
      this.#register();
      this.#mount();
      failpoint('mount:mounted');
      await ready;
      // The first answer through the mount: from here on it can be used.
      await stat(fsPath(this.#plan.mountpoint));
    } catch (error) {
      await this.#removeMounts();
      this.#post({ kind: 'stop' });
      await within(GIVE_UP_MS, ended);
      throw error;
    }
    raiseReadahead(this.#plan.mountpoint, READAHEAD_BYTES);
    failpoint('mount:answered');
    this.#ready();
    if (this.#early === undefined) onReady(this.#facts);
    else void this.#end(this.#early);
    failpoint('mount:ready');
    const failure = await ended;
    await this.#ended(failure);
    if (failure === undefined) this.#refuseEarlySignal();
    return failure;
  }

  #refuseEarlySignal(): void {
    const { mountpoint } = this.#plan;
    if (this.#early !== undefined) throw mountInterrupted(this.#early, mountpoint);
  }

  /** Settles at the serving thread's next message of this kind, or fails with it. */
  #when(kind: FromServer['kind']): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ kind, resolve, reject });
    });
    // The waiting caller gets the failure; without a caller it must not count as unhandled.
    promise.catch(() => undefined);
    return promise;
  }

  get #servesItself(): boolean {
    return this.#plan.driver === 'fuse-native';
  }

  /** Runs in a thread of its own, except that fuse-native works in the main thread only. */
  async #startServer(): Promise<void> {
    if (this.#servesItself) {
      const { serveNative } = await import('./serve-native.js');
      serveNative(this.#data);
      return;
    }
    const { port, helpers } = this.#data;
    const worker = startThread(new URL('./serve-thread.js', import.meta.url), {
      data: this.#data,
      resourceLimits: SERVING_LIMITS,
      transferList: [port, helpers.kernel, helpers.reader],
      tell: () => this.#post({ kind: 'stop' }),
      isUncut: true,
    });
    const lost = (error: Error): void => {
      handlePosted<FromServer>(this.#port, (message) => this.#handle(message));
      if (this.#hasEnded) return;
      // Without the serving thread, a process that asks the mount waits for ever, and this process
      // may be one.
      if (this.#hasMount) this.#die('the serving thread', error);
      for (const { reject } of this.#waiting) reject(error);
      this.#calls.lost(error);
      this.#onEnded?.(toPlainError(error));
    };
    worker.once('error', lost);
    worker.once('exit', () => lost(new Error('the serving thread has ended without a word')));
  }

  #listen(): void {
    this.#port.on('message', (message: FromServer) => this.#handle(message));
  }

  #handle(message: FromServer): void {
    this.#waiting = this.#waiting.filter(({ kind, resolve, reject }) => {
      if (message.kind === 'failed') reject(fromPlainError(message.error));
      else if (message.kind === kind) resolve();
      else return true;
      return false;
    });
    if (message.kind === 'unmounted') this.#hasMount = false;
    if (message.kind === 'opened') this.#opened = message.volume;
    // Without a volume it has nothing to serve.
    else if (message.kind === 'failed' && this.#opened === undefined)
      this.#onEnded?.(message.error);
    // The serving thread no longer takes answers.
    if (this.#hasEnded) return;
    if (message.kind === 'call') this.#calls.receive(message.message);
    else if (message.kind === 'start-writer')
      startWriter(message.data, (why) => log(`the writer thread failed: ${why}`));
    else if (message.kind === 'ended') {
      this.#hasEnded = true;
      this.#snapshots = message.snapshots;
      this.#onEnded?.(message.error);
    }
  }

  #mount(): void {
    this.#isMounting = true;
    if (this.#servesItself) {
      this.#hasControlMount = true;
      this.#hasMount = true;
      this.#post({ kind: 'mount' });
      return;
    }
    const { mountpoint, controlMount, source, options } = this.#plan;
    const controlFd = mountFuse(controlMount, {
      // Not the bare path: `findmnt MOUNTPOINT` would show this mount instead.
      source: `control:${mountpoint}`,
      subtype: CONTROL_SUBTYPE,
      nosuid: true,
      nodev: true,
    });
    this.#hasControlMount = true;
    failpoint('mount:control-mounted');
    const fd = mountFuse(mountpoint, {
      source,
      readOnly: options.readOnly,
      allowOther: options.allowOther,
      nosuid: options.nosuid,
      nodev: options.nodev,
      noexec: options.noexec,
    });
    this.#hasMount = true;
    this.#place.learn();
    this.#post({ kind: 'mounted', fd, controlFd, device: this.#place.device });
  }

  #prepareDirectories(): void {
    const { paths, controlMount } = this.#plan;
    const uid = process.getuid?.() ?? 0;
    ensurePrivateDirectory(paths.stateDirectory, uid);
    ensurePrivateDirectory(paths.runtimeDirectory, uid);
    cleanControlMount(controlMount);
    refuseDetached(this.#plan);
    if (mountAt(readMountTable(), controlMount) !== undefined) {
      throw new CommandError(
        'mountpoint-in-use',
        'EBUSY',
        `something is mounted on ${controlMount}`,
      );
    }
    makeDirectory(controlMount);
  }

  #ready(): void {
    const plan = this.#plan;
    // fuse-native has mounted by itself.
    if (this.#place.device === undefined) this.#place.learn();
    this.#writeRecord();
    log(`serving ${plan.mountpoint} (volume ${plan.volume})`);
    this.#isReady = true;
  }

  /** Before anything is mounted: a signal's default action would leave a dead mount behind. */
  #listenToSignals(): void {
    for (const signal of END_SIGNALS) process.on(signal, () => this.#onSignal(signal));
    // Not SIGUSR1: that one opens Node's inspector.
    process.on('SIGUSR2', () => {
      if (this.#isReady) this.#post({ kind: 'save' });
    });
    process.on('uncaughtException', (error) => this.#die('the main thread', error));
  }

  #onSignal(signal: string): void {
    if (this.#isReady) {
      void this.#end(signal);
      return;
    }
    if (this.#early !== undefined) return;
    this.#early = signal;
    const { mountpoint } = this.#plan;
    log(`${signal}: ${mountpoint} will not be mounted`);
    const giveUp = (): void => {
      for (const { reject } of this.#waiting) reject(mountInterrupted(signal, mountpoint));
    };
    // A mount in progress is unmounted when it answers, like any mount.
    if (this.#isMounting) setTimeout(giveUp, GIVE_UP_MS).unref();
    else giveUp();
  }

  get #facts(): OpenedFacts {
    invariant(this.#opened !== undefined, 'the volume is open');
    return this.#opened;
  }

  /** Before anything is mounted: every volume in use stands in the list. */
  #register(): void {
    const { paths, volume, base, mountpoint, directory } = this.#plan;
    registerUse(paths, { ...this.#facts, volume, base: base ?? null, mountpoint, directory });
  }

  #registerEnd(): void {
    const { paths, volume } = this.#plan;
    if (this.#opened === undefined) return;
    try {
      registerEnd(paths, { uuid: this.#opened.uuid, volume }, this.#snapshots);
    } catch (error) {
      // Everything is stored; only the time of the last use is missing.
      log(messageOf(error));
    }
  }

  #writeRecord(): void {
    const plan = this.#plan;
    const mount = this.#place.entry();
    this.#record = {
      pid: process.pid,
      startTicks: startTicksOf(process.pid) ?? 0,
      mountpoint: plan.mountpoint,
      controlMount: plan.controlMount,
      volume: plan.volume,
      base: plan.base ?? null,
      log: plan.log === '' ? null : plan.log,
      ...(mount !== undefined && { device: mount.device, mountId: mount.mountId }),
      startedMs: Date.now(),
      state: 'serving',
    };
    writeMountRecord(plan.paths, this.#record);
  }

  #post(message: ToServer, transfer: readonly Transferable[] = []): void {
    this.#port.postMessage(message, transfer);
    eventfdSignal(this.#wakeFd);
  }

  /**
   * After a signal: stores, unmounts, and if programs still use the mount, detaches it from them.
   */
  async #end(signal: string): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    log(`${signal}: unmounting ${this.#place.mountpoint}`);
    try {
      await this.#calls.promise('store', undefined);
    } catch (error) {
      log(`storing before the unmount: ${messageOf(error)}`);
    }
    const mount = this.#mounted();
    if (mount === undefined) return;
    const { wasBusy } = await this.#unmount({ mountpoint: mount.mountpoint, lazy: false });
    if (wasBusy) this.#post({ kind: 'stop' });
  }

  /**
   * The mount, wherever it is now. Only while it is known to be there: the kernel gives the device
   * number of one that is gone to the next mount, which may be anybody's.
   */
  #mounted(): MountEntry | undefined {
    if (!this.#hasMount) return undefined;
    if (this.#place.device !== undefined) return this.#place.entry();
    const top = mountAt(readMountTable(), this.#plan.mountpoint);
    return top?.type === MOUNT_TYPE ? top : undefined;
  }

  /** The thread that serves the mount must not wait for it. */
  async #unmount(task: UnmountTask): Promise<UnmountReport> {
    // An unmount that is not lazy writes dirty pages out: meanwhile this thread must learn of
    // failures.
    const isElsewhere = this.#servesItself || !task.lazy;
    const report = isElsewhere ? await unmountElsewhere(task) : unmountOrDetach(task);
    for (const line of report.lines) log(line);
    return report;
  }

  async #removeControlMount(): Promise<void> {
    const { controlMount } = this.#plan;
    if (mountAt(readMountTable(), controlMount) !== undefined) {
      await this.#unmount({ mountpoint: controlMount, lazy: true });
    }
    try {
      rmdirSync(controlMount);
    } catch {
      // The next mount reuses it.
    }
  }

  /** Removes the mounts that this process has made and can't serve. */
  async #removeMounts(): Promise<void> {
    const mount = this.#mounted();
    if (mount !== undefined) await this.#unmount({ mountpoint: mount.mountpoint, lazy: true });
    if (this.#hasControlMount) await this.#removeControlMount();
  }

  async #ended(failure: PlainError | undefined): Promise<void> {
    this.#hasEnded = true;
    this.#toucher.end();
    await this.#connections.stop();
    await this.#removeMounts();
    this.#tellEnd(failure);
    this.#port.close();
    // The failed thread may never end.
    if (failure !== undefined) process.once('exit', (code) => exitNow(code));
  }

  #tellEnd(failure: PlainError | undefined): void {
    if (this.#record !== undefined) {
      this.#registerEnd();
      const state = failure === undefined ? 'stored' : 'failed';
      writeMountRecord(this.#plan.paths, {
        ...this.#record,
        state,
        ...(failure !== undefined && { failure: failure.message }),
      });
    }
    log(failure === undefined ? 'ended; everything is stored' : `failed: ${failure.message}`);
  }

  /**
   * Ends the process, since going on would be wrong: stored data is whole, and the next mount
   * starts there.
   */
  #die(where: string, error: Error): never {
    log(`${where} failed: ${error.stack ?? error.message}`);
    this.#tellEnd(toPlainError(error));
    // In separate processes: the unmounts may have to wait until this process is gone.
    const { controlMount } = this.#plan;
    const mount = this.#mounted();
    if (mount !== undefined) detachLater(mount.mountpoint);
    if (this.#hasControlMount && mountAt(readMountTable(), controlMount) !== undefined) {
      detachLater(controlMount);
    }
    exitNow(1);
  }
}
