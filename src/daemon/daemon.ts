/**
 * The main thread of a process that serves a mount: starts the serving thread
 * and its helpers, listens to signals, does what the serving thread must never
 * wait for (unmounting, inspections), and ends when the mount is gone.
 *
 * What must hold: it ends only when everything is stored or has failed; it
 * never leaves a mount behind that nobody serves.
 */
import { mkdirSync, rmdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { startHelpers } from '../fuse/helper-client.js';
import { mountFuse, unmount } from '../fuse/kernel-mount.js';
import { raiseReadahead } from '../fuse/mount-info.js';
import { eventfd, eventfdSignal } from '../libc/poll.js';
import { CommandError } from '../base/errors.js';
import { Inspector } from './inspector.js';
import { log } from './log.js';
import {
  type FromServer,
  fromPlainError,
  type PlainError,
  type ServeData,
  toPlainError,
  type ToServer,
} from './messages.js';
import { cleanControlMount, type MountPlan } from './mount-plan.js';
import { type MountRecord, startTicksOf, writeMountRecord } from './mount-record.js';
import { mountAt, type MountEntry, MOUNT_TYPE, readMountTable } from './mount-table.js';
import { ensurePrivateDirectory } from './places.js';
import { describeUse, usesOfMount } from './processes.js';
import { registerVolume, volumeKey } from './registry.js';

const CONTROL_SUBTYPE = 'shadowfs-control';
const READAHEAD_BYTES = 1024 * 1024;

/** Serves until the mount is gone. Gives the failure, if there was one. Throws when it can't mount. */
export async function serve(plan: MountPlan, onReady: () => void): Promise<PlainError | undefined> {
  const daemon = new Daemon(plan);
  return await daemon.run(onReady);
}

/** As `serve`, in the process of the command line; ends the process. */
export async function serveInForeground(plan: MountPlan, onReady: () => void): Promise<void> {
  const failure = await serve({ ...plan, log: '' }, onReady);
  if (failure !== undefined) throw fromPlainError(failure);
}

class Daemon {
  readonly #plan: MountPlan;
  readonly #port: MessagePort;
  readonly #wakeFd = eventfd();
  readonly #worker: Worker;
  readonly #inspector: Inspector;
  #record: MountRecord | undefined;
  #isEnding = false;
  #hasMount = false;
  #hasControlMount = false;
  #waiting: { kind: string; resolve: () => void; reject: (error: Error) => void }[] = [];
  #onEnded: ((failure: PlainError | undefined) => void) | undefined;
  #onStored: ((error: PlainError | undefined) => void) | undefined;

  constructor(plan: MountPlan) {
    this.#plan = plan;
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
    this.#worker = new Worker(new URL('./serve-thread.js', import.meta.url), {
      workerData: data,
      transferList: [port2, helpers.kernel, helpers.reader],
    });
    this.#inspector = new Inspector(plan, (message) => this.#post(message));
  }

  async run(onReady: () => void): Promise<PlainError | undefined> {
    const opened = this.#when('opened');
    const ready = this.#when('ready');
    const ended = new Promise<PlainError | undefined>((resolve) => {
      this.#onEnded = resolve;
    });
    this.#listen();
    try {
      await opened;
      this.#mount();
      await ready;
      // The first answer through the mount: from here on it can be used.
      await stat(this.#plan.mountpoint);
    } catch (error) {
      this.#removeMounts();
      this.#post({ kind: 'stop' });
      throw error;
    }
    raiseReadahead(this.#plan.mountpoint, READAHEAD_BYTES);
    this.#ready();
    onReady();
    const failure = await ended;
    this.#ended(failure);
    return failure;
  }

  /** Settles at the serving thread's next message of this kind, or fails with it. */
  #when(kind: FromServer['kind']): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ kind, resolve, reject });
    });
    // Whoever waits for it hears of a failure; before that it is not unhandled.
    promise.catch(() => undefined);
    return promise;
  }

  #listen(): void {
    const lost = (error: Error): void => {
      for (const { reject } of this.#waiting) reject(error);
      if (this.#record !== undefined)
        log(`the serving thread failed: ${error.stack ?? error.message}`);
      this.#onEnded?.(toPlainError(error));
    };
    this.#worker.once('error', lost);
    this.#worker.once('exit', () => lost(new Error('the serving thread has ended without a word')));
    this.#port.on('message', (message: FromServer) => {
      this.#waiting = this.#waiting.filter(({ kind, resolve, reject }) => {
        if (message.kind === 'failed') reject(fromPlainError(message.error));
        else if (message.kind === kind) resolve();
        else return true;
        return false;
      });
      if (message.kind === 'stored') this.#onStored?.(message.error);
      else if (message.kind === 'inspect') this.#inspector.start(message.id, message.request);
      else if (message.kind === 'ended') this.#onEnded?.(message.error);
    });
  }

  #mount(): void {
    const { mountpoint, controlMount, source, options } = this.#plan;
    const controlFd = mountFuse(controlMount, {
      // Not the bare path: `findmnt MOUNTPOINT` would show this mount instead.
      source: `control:${mountpoint}`,
      subtype: CONTROL_SUBTYPE,
      nosuid: true,
      nodev: true,
    });
    this.#hasControlMount = true;
    const fd = mountFuse(mountpoint, {
      source,
      readOnly: options.readOnly,
      allowOther: options.allowOther,
      nosuid: options.nosuid,
      nodev: options.nodev,
      noexec: options.noexec,
    });
    this.#hasMount = true;
    this.#post({ kind: 'mounted', fd, controlFd });
  }

  #prepareDirectories(): void {
    const { places, controlMount } = this.#plan;
    const uid = process.getuid?.() ?? 0;
    ensurePrivateDirectory(places.stateDirectory, uid);
    ensurePrivateDirectory(places.runtimeDirectory, uid);
    cleanControlMount(controlMount);
    if (mountAt(readMountTable(), controlMount) !== undefined) {
      throw new CommandError(
        'mountpoint-in-use',
        'EBUSY',
        `something is mounted on ${controlMount}`,
      );
    }
    mkdirSync(controlMount, { recursive: true, mode: 0o700 });
  }

  #ready(): void {
    const plan = this.#plan;
    this.#writeRecord();
    log(`serving ${plan.mountpoint} (volume ${plan.volume})`);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.on(signal, () => void this.#end(signal));
    }
    // Not SIGUSR1: that one opens Node's inspector.
    process.on('SIGUSR2', () => this.#post({ kind: 'save' }));
    process.on('uncaughtException', (error) => this.#die('the main thread', error));
  }

  #writeRecord(): void {
    const plan = this.#plan;
    registerVolume(plan.places, volumeKey(plan.base, plan.mountpoint), plan.volume);
    this.#record = {
      pid: process.pid,
      startTicks: startTicksOf(process.pid) ?? 0,
      mountpoint: plan.mountpoint,
      controlMount: plan.controlMount,
      volume: plan.volume,
      base: plan.base ?? null,
      log: plan.log === '' ? null : plan.log,
      startedMs: Date.now(),
      state: 'serving',
    };
    writeMountRecord(plan.places, this.#record);
  }

  #post(message: ToServer): void {
    this.#port.postMessage(message);
    eventfdSignal(this.#wakeFd);
  }

  /** A signal: store, unmount, and when programs still use the mount, detach it from them. */
  async #end(signal: string): Promise<void> {
    const { mountpoint } = this.#plan;
    if (this.#isEnding) return;
    this.#isEnding = true;
    log(`${signal}: unmounting ${mountpoint}`);
    const error = await new Promise<PlainError | undefined>((resolve) => {
      this.#onStored = resolve;
      this.#post({ kind: 'store' });
    });
    if (error !== undefined) log(`storing before the unmount: ${error.message}`);
    const mount = this.#ownMount();
    if (mount === undefined) return;
    try {
      unmount(mountpoint);
    } catch (busy) {
      log(String(busy instanceof Error ? busy.message : busy));
      for (const use of usesOfMount(mount)) log(`in use by ${describeUse(use)}`);
      this.#tryUnmount(mountpoint);
      this.#post({ kind: 'stop' });
    }
  }

  #ownMount(): MountEntry | undefined {
    const top = mountAt(readMountTable(), this.#plan.mountpoint);
    return top?.type === MOUNT_TYPE ? top : undefined;
  }

  #tryUnmount(path: string): void {
    try {
      unmount(path, { lazy: true });
    } catch (error) {
      log(String(error instanceof Error ? error.message : error));
    }
  }

  #removeControlMount(): void {
    const { controlMount } = this.#plan;
    if (mountAt(readMountTable(), controlMount) !== undefined) this.#tryUnmount(controlMount);
    try {
      rmdirSync(controlMount);
    } catch {
      // The next mount uses it again.
    }
  }

  /** What this process has mounted and can't serve. */
  #removeMounts(): void {
    if (this.#hasMount && this.#ownMount() !== undefined) this.#tryUnmount(this.#plan.mountpoint);
    if (this.#hasControlMount) this.#removeControlMount();
  }

  #ended(failure: PlainError | undefined): void {
    this.#inspector.stop();
    this.#removeMounts();
    if (this.#record !== undefined) {
      const state = failure === undefined ? 'stored' : 'failed';
      writeMountRecord(this.#plan.places, {
        ...this.#record,
        state,
        ...(failure !== undefined && { failure: failure.message }),
      });
    }
    log(failure === undefined ? 'ended; everything is stored' : `failed: ${failure.message}`);
    this.#port.close();
  }

  /** Past this point going on would be wrong: what is stored is whole, and the next mount starts there. */
  #die(where: string, error: Error): void {
    log(`${where} failed: ${error.stack ?? error.message}`);
    this.#ended(toPlainError(error));
    process.exit(1);
  }
}
