/**
 * The serving loop's side of the helper threads, and their start.
 *
 * Two threads, so that a warm-up never waits behind a notification: a
 * notification may wait for a page that a READ has locked, and that READ may
 * wait for the warm-up.
 *
 * Doors: helper-client.
 */
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { Deferred } from '../../lib/deferred.js';
import { invariant } from '../../lib/invariant.js';
import { HELPER_LIMITS } from '../../lib/thread-limits.js';
import { startThread } from '../../lib/threads.js';
import { fsError } from '../../libc/library.js';
import type { Notification, Notifier } from '../../tree/coherence/notification.js';
import type { HelperAnswer, HelperData, HelperTask, NotifyResult } from './helper-messages.js';
import { encodeNotifications } from '../protocol/notifications.js';
import type { MountedAt } from '../loop/quiesce.js';
import type { FuseSession } from '../session/session.js';
import type { PageWarmer } from '../session/session-options.js';

/** What the loop's thread receives; transfer both ports to it. */
export interface HelperPorts {
  kernel: MessagePort;
  reader: MessagePort;
}

/**
 * Starts the helper threads. Called by a thread that has an event loop, before
 * the serving loop runs. They end when the ports are closed (`HelperClient.close`).
 */
export function startHelpers(wakeFd: number): { ports: HelperPorts; workers: Worker[] } {
  const workers: Worker[] = [];
  const start = (): MessagePort => {
    const { port1, port2 } = new MessageChannel();
    const data: HelperData = { port: port2, wakeFd };
    const url = new URL('./helper-thread.js', import.meta.url);
    const worker = startThread(url, {
      data,
      transferList: [port2],
      resourceLimits: HELPER_LIMITS,
      // Whoever was given the port has closed it.
      tell: () => port1.close(),
    });
    workers.push(worker);
    return port1;
  };
  return { ports: { kernel: start(), reader: start() }, workers };
}

/** Handles the messages of a port in its thread. */
export interface PortListener {
  onPort(port: MessagePort, handle: (message: unknown) => void): void;
}

export class HelperClient implements PageWarmer {
  readonly #ports: HelperPorts;
  readonly #open = new Map<number, (answer: HelperAnswer) => void>();
  #nextId = 1;

  constructor(loop: PortListener, ports: HelperPorts) {
    this.#ports = ports;
    const onAnswer = (message: unknown): void => {
      const answer = message as HelperAnswer;
      const settle = this.#open.get(answer.id);
      invariant(settle !== undefined, 'a helper answers a task that exists');
      this.#open.delete(answer.id);
      settle(answer);
    };
    loop.onPort(ports.kernel, onAnswer);
    loop.onPort(ports.reader, onAnswer);
  }

  /** Writes the file system of the mount out. Not a barrier: see `quiesce.ts`. */
  syncfs({ path, device }: MountedAt): Deferred<void> {
    return this.#ask<void>(this.#ports.kernel, { kind: 'syncfs', path, device }, () => undefined);
  }

  /** Writes out everything of the file system that a descriptor is on. */
  flush(fd: number): Deferred<void> {
    return this.#ask<void>(this.#ports.kernel, { kind: 'flush', fd }, () => undefined);
  }

  flushFile(fd: number): Deferred<void> {
    return this.#ask<void>(this.#ports.kernel, { kind: 'flush-file', fd }, () => undefined);
  }

  /** Closes the descriptor of a session that has ended, when no notification is on its way. */
  closeLater(fd: number): Deferred<void> {
    return this.#ask<void>(this.#ports.kernel, { kind: 'close', fd }, () => undefined);
  }

  warm(fd: number, offset: number, length: number): Deferred<void> {
    return this.#ask<void>(
      this.#ports.reader,
      { kind: 'warm', fd, offset, length },
      () => undefined,
    );
  }

  /** Settles when the kernel has been told everything. */
  notify(fd: number, batch: readonly Notification[]): Deferred<NotifyResult> {
    const block = encodeNotifications(batch);
    return this.#ask(
      this.#ports.kernel,
      { kind: 'notify', fd, block },
      (answer) => answer.result ?? { sent: 0, failed: batch.length },
      [block.buffer as ArrayBuffer],
    );
  }

  /** Ends the helper threads. */
  close(): void {
    this.#ports.kernel.close();
    this.#ports.reader.close();
  }

  #ask<T>(
    port: MessagePort,
    task: HelperTask,
    value: (answer: HelperAnswer) => T,
    transfer: ArrayBuffer[] = [],
  ): Deferred<T> {
    const done = new Deferred<T>();
    const id = this.#nextId++;
    this.#open.set(id, (answer) => {
      if (answer.errno === 0) done.resolve(value(answer));
      else done.reject(fsError(-answer.errno, task.kind));
    });
    port.postMessage({ id, task }, transfer);
    return done;
  }
}

/** Carries the tree's notifications to the kernel behind one session. */
export class SessionNotifier implements Notifier {
  readonly #helpers: HelperClient;
  readonly #session: FuseSession;
  readonly #log: (message: string) => void;

  constructor(helpers: HelperClient, session: FuseSession, log: (message: string) => void) {
    this.#helpers = helpers;
    this.#session = session;
    this.#log = log;
  }

  get canIncEpoch(): boolean {
    return this.#session.negotiated?.incEpoch ?? false;
  }

  get canExpireOnly(): boolean {
    return this.#session.negotiated?.expireOnly ?? false;
  }

  get canPrune(): boolean {
    return this.#session.negotiated?.prune ?? false;
  }

  get isSilent(): boolean {
    return this.#session.ended !== undefined;
  }

  notify(batch: Notification[]): Deferred<void> {
    const done = new Deferred<void>();
    if (batch.length === 0 || this.#session.ended !== undefined) {
      done.resolve();
      return done;
    }
    this.#helpers.notify(this.#session.fd, batch).settled(
      ({ failed }) => {
        if (failed > 0) this.#log(`the kernel refused ${failed} of ${batch.length} notifications`);
        done.resolve();
      },
      (error) => done.reject(error),
    );
    return done;
  }
}
