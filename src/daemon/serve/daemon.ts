/**
 * The main thread of a process that serves the mounts of a volume: starts the
 * serving thread and its helpers, makes more mounts when it is asked to, handles
 * signals, does the work for which the serving thread must never wait
 * (unmounting, inspections), and ends when the last mount is gone.
 *
 * What must hold: it ends only when everything is stored or has failed; it
 * never leaves a mount behind that nobody serves, whenever a signal comes.
 *
 * Doors: daemon, spawn.
 * Doors inside daemon/: log, messages.
 */
import { MessageChannel, type MessagePort, type Transferable } from 'node:worker_threads';
import { startHelpers } from '../../fuse/helpers/helper-client.js';
import { exitNow } from '../../libc/libc.js';
import { eventfd, eventfdSignal } from '../../libc/poll.js';
import { SERVING_LIMITS } from '../../lib/thread-limits.js';
import { failpoint } from '../../lib/failpoints.js';
import { endThreads, startThread, within, handlePosted } from '../../lib/threads.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import { invariant } from '../../lib/invariant.js';
import { startWriter } from '../../volume/commit/start-writer.js';
import type { Answer } from '../../control/command.js';
import { ThreadCalls } from '../calls/thread-calls.js';
import { Inspector } from '../commands/inspector.js';
import { mergeLines } from '../commands/merge-lines.js';
import { END_SIGNALS, mountInterrupted } from './interrupted.js';
import { keepLogShort, log } from './log.js';
import { fromPlainError, type PlainError, toPlainError } from '../calls/plain-error.js';
import {
  FIRST_MOUNT,
  type FromServer,
  type MountBeside,
  type OpenedFacts,
  type ServeData,
  type ToMainThread,
  type ToServer,
  type ToServingThread,
} from './messages.js';
import type { MountPlan } from '../mount/mount-plan.js';
import { ending, oneMountOnly, planBeside, unanswered } from '../mount/plan-beside.js';
import { ConnectionsLauncher } from '../peers/connections-launcher.js';
import { registerEnd, registerUse } from '../volumes/register.js';
import { ServedMount } from './served-mount.js';

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

/** Somebody waits for a message, perhaps about one mount. */
interface Waiting {
  kind: FromServer['kind'];
  mount: number | undefined;
  resolve: () => void;
  reject: (error: Error) => void;
}

class Daemon {
  /** Of the first mount, and so of the volume. */
  readonly #plan: MountPlan;
  readonly #first: ServedMount;
  readonly #mounts = new Map<number, ServedMount>();
  readonly #port: MessagePort;
  readonly #wakeFd = eventfd();
  readonly #inspector: Inspector;
  readonly #connections: ConnectionsLauncher;
  readonly #calls: ThreadCalls<ToServingThread, ToMainThread>;
  readonly #data: ServeData;
  #isEnding = false;
  /** The first mount has been requested; it exists, or may appear at any moment. */
  #isMounting = false;
  /** Programs can use the first mount. */
  #isReady = false;
  /** A signal that came before the mount was ready. */
  #early: string | undefined;
  /** The volume, once it is open. */
  #opened: OpenedFacts | undefined;
  /** When the mount ended. */
  #snapshots: number | undefined;
  /** The serving thread has reported its end. */
  #hasEnded = false;
  /** The mounts that are made beside the first one: one after another. */
  #adding: Promise<unknown> = Promise.resolve();
  #nextMount = FIRST_MOUNT + 1;
  #waiting: Waiting[] = [];
  #onEnded: ((failure: PlainError | undefined) => void) | undefined;

  constructor(plan: MountPlan) {
    this.#plan = plan;
    keepLogShort(plan.log);
    this.#first = new ServedMount(FIRST_MOUNT, plan, (...what) => this.#post(...what));
    this.#mounts.set(FIRST_MOUNT, this.#first);
    this.#first.prepareDirectories();
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
    this.#calls = new ThreadCalls<ToServingThread, ToMainThread>({
      post: (message, transfer) => this.#post({ kind: 'call', message }, transfer),
      handlers: {
        inspect: (request) => this.#inspector.run(request),
        mount: (asked) => this.#mountBeside(asked),
        startConnections: (start) => this.#connections.start(start),
        endConnections: (config) => void this.#connections.stop(config),
        watched: ({ mount }) => this.#served(mount).toucher.watched(),
        touch: ({ mount, batch }) => this.#served(mount).toucher.touch(batch),
        touched: ({ mount }) => this.#mounts.get(mount)?.toucher.end(),
        mergeText: ({ directory }) => mergeLines(directory),
      },
    });
  }

  async run(onReady: (volume: OpenedFacts) => void): Promise<PlainError | undefined> {
    const first = this.#first;
    const opened = this.#when('opened');
    const ready = this.#when('ready', first.id);
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
      this.#isMounting = true;
      first.mount();
      failpoint('mount:mounted');
      await ready;
      await first.answers();
    } catch (error) {
      await first.remove();
      this.#post({ kind: 'stop' });
      await within(GIVE_UP_MS, ended);
      throw error;
    }
    first.serving();
    this.#isReady = true;
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

  #served(id: number): ServedMount {
    const mount = this.#mounts.get(id);
    if (mount !== undefined) return mount;
    throw new CommandError('not-mounted', 'ENODEV', 'it is not mounted any more');
  }

  /**
   * Settles at the serving thread's next message of this kind (about this mount), or fails with it.
   */
  #when(kind: FromServer['kind'], mount?: number): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ kind, mount, resolve, reject });
    });
    // The waiting caller gets the failure; without a caller it must not count as unhandled.
    promise.catch(() => undefined);
    return promise;
  }

  /** Fails those who wait for news of a mount; absent: all who wait. */
  #giveUp(error: Error, mount?: number): void {
    const given = (one: Waiting): boolean => mount === undefined || one.mount === mount;
    for (const one of this.#waiting) if (given(one)) one.reject(error);
    this.#waiting = this.#waiting.filter((one) => !given(one));
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
      // Without the serving thread, a process that asks a mount waits for ever, and this process
      // may be one.
      if ([...this.#mounts.values()].some(({ hasMount }) => hasMount)) {
        this.#die('the serving thread', error);
      }
      this.#giveUp(error);
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
    if (message.kind === 'failed') this.#giveUp(fromPlainError(message.error));
    this.#waiting = this.#waiting.filter(({ kind, mount, resolve }) => {
      if (message.kind !== kind) return true;
      if (mount !== undefined && 'mount' in message && message.mount !== mount) return true;
      resolve();
      return false;
    });
    if (message.kind === 'unmounted') this.#mounts.get(message.mount)?.unmounted();
    if (message.kind === 'opened') this.#opened = message.volume;
    // Without a volume it has nothing to serve.
    else if (message.kind === 'failed' && this.#opened === undefined)
      this.#onEnded?.(message.error);
    // The serving thread no longer takes answers.
    if (this.#hasEnded) return;
    if (message.kind === 'call') this.#calls.receive(message.message);
    else if (message.kind === 'start-writer')
      startWriter(message.data, (why) => log(`the writer thread failed: ${why}`));
    else if (message.kind === 'mount-ended') void this.#oneEnded(message.mount, message.error);
    else if (message.kind === 'ended') {
      this.#hasEnded = true;
      this.#snapshots = message.snapshots;
      this.#giveUp(ending(this.#plan));
      this.#onEnded?.(message.error);
    }
  }

  /** One of several mounts is gone, and what was written in it is stored. */
  async #oneEnded(id: number, failure: PlainError | undefined): Promise<void> {
    const mount = this.#mounts.get(id);
    if (mount === undefined) return;
    const { mountpoint } = mount.plan;
    this.#giveUp(
      new CommandError('not-mounted', 'ENODEV', `${mountpoint} was unmounted at once`),
      id,
    );
    await mount.remove();
    this.#mounts.delete(id);
    mount.tellEnd(failure);
    const how = failure === undefined ? 'is stored' : `failed: ${failure.message}`;
    log(`${mountpoint} has ended and ${how}; the volume's other mounts go on`);
  }

  /** Makes one more mount of the volume. Throws CommandError; the others go on as they are. */
  async #mountBeside(asked: MountBeside): Promise<Answer> {
    const made = this.#adding.then(() => this.#add(asked));
    this.#adding = made.catch(() => undefined);
    return made;
  }

  async #add(asked: MountBeside): Promise<Answer> {
    if (this.#servesItself) throw oneMountOnly(this.#plan);
    const plan = planBeside(this.#plan, asked);
    if (this.#isEnding || this.#hasEnded || !this.#isReady) throw ending(plan);
    const id = this.#nextMount++;
    const mount = new ServedMount(id, plan, (...what) => this.#post(...what));
    mount.prepareDirectories();
    const facts = await this.#calls.promise('open', { mount: id, plan });
    if (this.#isEnding) throw ending(plan);
    this.#mounts.set(id, mount);
    try {
      const ready = this.#when('ready', id);
      mount.mount();
      failpoint('mount:beside-mounted');
      if (!(await within(GIVE_UP_MS, ready))) throw unanswered(plan);
      await mount.answers();
      mount.serving();
      if (asked.into !== undefined) await mount.moveInto(asked.into);
    } catch (error) {
      mount.tellEnd(undefined);
      await mount.remove();
      if (!this.#hasEnded) await this.#calls.promise('drop', { mount: id });
      this.#mounts.delete(id);
      throw error;
    }
    const { base = null, volume, mountpoint, driver } = plan;
    const { uuid, branch, snapshots: snapshotCount } = facts;
    return {
      mountpoint,
      base,
      volumePath: volume,
      uuid,
      branch,
      snapshotCount,
      driver,
      log: plan.log === '' ? null : plan.log,
      isNew: false,
      recovered: null,
    };
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
    const giveUp = (): void => this.#giveUp(mountInterrupted(signal, mountpoint));
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

  #post(message: ToServer, transfer: readonly Transferable[] = []): void {
    this.#port.postMessage(message, transfer);
    eventfdSignal(this.#wakeFd);
  }

  /** The newest first: one may lie in another. */
  #newestFirst(): ServedMount[] {
    return [...this.#mounts.values()].reverse();
  }

  /**
   * After a signal: stores, unmounts, and if programs still use a mount, detaches it from them.
   */
  async #end(signal: string): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const mounts = this.#newestFirst();
    log(`${signal}: unmounting ${mounts.map(({ place }) => place.mountpoint).join(', ')}`);
    for (const { id } of mounts) {
      try {
        await this.#calls.promise('store', { mount: id });
      } catch (error) {
        log(`storing before the unmount: ${messageOf(error)}`);
      }
    }
    let wasBusy = false;
    for (const mount of mounts) if (await mount.end()) wasBusy = true;
    if (wasBusy) this.#post({ kind: 'stop' });
  }

  async #ended(failure: PlainError | undefined): Promise<void> {
    this.#hasEnded = true;
    const mounts = this.#newestFirst();
    for (const { toucher } of mounts) toucher.end();
    await this.#connections.stop();
    for (const mount of mounts) await mount.remove();
    this.#tellEnd(failure);
    this.#port.close();
    // The failed thread may never end.
    if (failure !== undefined) process.once('exit', (code) => exitNow(code));
  }

  #tellEnd(failure: PlainError | undefined): void {
    if (this.#isReady) this.#registerEnd();
    for (const mount of this.#mounts.values()) mount.tellEnd(failure);
    log(failure === undefined ? 'ended; everything is stored' : `failed: ${failure.message}`);
  }

  /**
   * Ends the process, since going on would be wrong: stored data is whole, and the next mount
   * starts there.
   */
  #die(where: string, error: Error): never {
    log(`${where} failed: ${error.stack ?? error.message}`);
    this.#tellEnd(toPlainError(error));
    for (const mount of this.#newestFirst()) mount.detach();
    exitNow(1);
  }
}
