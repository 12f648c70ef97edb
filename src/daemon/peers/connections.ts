/**
 * The serving thread's access to the thread of the peers' connections: has the
 * main thread start it when it is first needed and end it when it is no longer
 * needed, and holds this end of the calls. The two threads talk directly.
 *
 * What must hold: questions to a thread fail when it ends; messages of a lost
 * or ending thread are ignored.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Deferred } from '../../lib/deferred.js';
import { CommandError } from '../../lib/errors.js';
import type { PeeringConfig } from '../../sync/peers/peering-messages.js';
import { type Asking, type Handlers, ThreadCalls } from '../calls/thread-calls.js';
import type { ToMainThread, ToServingThread } from '../serve/messages.js';
import type {
  CallsToConnections,
  ConnectionsLoss,
  ToConnections,
  ToVolume,
} from './connections-calls.js';

export interface ConnectionsParts {
  main: ThreadCalls<ToMainThread, ToServingThread>;
  handlers: Handlers<ToVolume>;
  /** Handles the messages of a port in this thread. Returns a function that stops this. */
  onPort(port: MessagePort, handle: (message: unknown) => void): () => void;
  beforeAnswer(method: keyof ToVolume): void;
  /** The thread is gone. `failure`: it ended unexpectedly. */
  ended(failure: string | undefined): void;
}

interface OpenConnections {
  number: number;
  calls: CallsToConnections;
  close(): void;
}

export class Connections implements Asking<ToConnections> {
  readonly #parts: ConnectionsParts;
  #open: OpenConnections | undefined;
  #started = 0;

  constructor(parts: ConnectionsParts) {
    this.#parts = parts;
  }

  /** Starts the thread, unless it runs. */
  start(config: PeeringConfig): void {
    if (this.#open !== undefined) return;
    const { main, handlers, onPort, beforeAnswer } = this.#parts;
    const { port1, port2 } = new MessageChannel();
    const calls: CallsToConnections = new ThreadCalls({
      post: (message, transfer) => port1.postMessage(message, transfer),
      handlers,
      beforeAnswer,
    });
    const ignore = onPort(port1, (message) => calls.receive(message));
    const number = ++this.#started;
    const close = (): void => {
      ignore();
      port1.close();
    };
    this.#open = { number, calls, close };
    main.tell('startConnections', { number, config, port: port2 }, [port2]);
  }

  /** `isNeeded`: there are peers or open invitations; without them the thread ends. */
  configure(config: PeeringConfig, isNeeded: boolean): void {
    if (isNeeded) {
      this.start(config);
      this.tell('config', config);
      return;
    }
    if (this.#open === undefined) return;
    // The last peer learns that it was removed, not that this volume is being unmounted.
    this.#parts.main.tell('endConnections', config);
    this.#end(undefined, 'the connections to the peers are closed');
  }

  /** Fails when the thread does not run. */
  call: CallsToConnections['call'] = (method, args, transfer) => {
    if (this.#open !== undefined) return this.#open.calls.call(method, args, transfer);
    const failed: ReturnType<CallsToConnections['call']> = new Deferred();
    failed.reject(
      new CommandError('sync-starting', 'EAGAIN', 'the connections to the peers are not open yet'),
    );
    return failed;
  };

  tell: CallsToConnections['tell'] = (method, args, transfer) =>
    this.#open?.calls.tell(method, args, transfer);

  lost({ number, message }: ConnectionsLoss): void {
    if (this.#open?.number !== number) return;
    this.#end(message, `the thread of the peers failed: ${message}`);
  }

  #end(failure: string | undefined, message: string): void {
    const open = this.#open;
    this.#open = undefined;
    open?.close();
    // Before other callers learn that their questions failed, and may start the next thread.
    this.#parts.ended(failure);
    open?.calls.lost(new CommandError('internal-error', 'EIO', message));
  }

  /** The serving thread ends, too. */
  close(): void {
    this.#open?.close();
    this.#open = undefined;
  }
}
