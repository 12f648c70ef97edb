/**
 * Starts the thread of the peers' connections when it is first needed, hands
 * messages on between it and the serving thread, and ends it when nobody needs
 * it. Lives in the main thread, which has an event loop.
 */
import type { Worker } from 'node:worker_threads';
import { SYNC_LIMITS } from '../../lib/thread-limits.js';
import { endThread, startThread } from '../../lib/threads.js';
import type { FromSync, ConnectionsData, ToSync } from './connections-calls.js';

/** How long peers may take to hear that we go. */
const FAREWELL_MS = 1_000;

export class ConnectionsLauncher {
  readonly #place: { directory: string; mountpoint: string };
  readonly #tell: (message: FromSync) => void;
  #worker: Worker | undefined;
  #config: ConnectionsData['config'] | undefined;

  constructor(place: { directory: string; mountpoint: string }, tell: (message: FromSync) => void) {
    this.#place = place;
    this.#tell = tell;
  }

  handle(message: ToSync): void {
    if ('config' in message) this.#config = message.config;
    if (message.kind === 'config' && !message.isNeeded) {
      // The last peer hears that it was removed, not that we are being unmounted.
      this.#worker?.postMessage(message);
      void this.stop();
      return;
    }
    // What the agent is told does not start it.
    if (message.kind.startsWith('agent-')) this.#worker?.postMessage(message);
    else this.#start()?.postMessage(message);
  }

  #start(): Worker | undefined {
    if (this.#worker !== undefined || this.#config === undefined) return this.#worker;
    const data: ConnectionsData = { ...this.#place, config: this.#config };
    const worker = startThread(new URL('./connections-thread.js', import.meta.url), {
      data,
      resourceLimits: SYNC_LIMITS,
    });
    this.#worker = worker;
    const lost = (message: string): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#tell({ kind: 'lost', message });
    };
    worker.on('message', (message: FromSync) => {
      if (message.kind !== 'stopped') this.#tell(message);
    });
    worker.once('error', (error) => lost(error.stack ?? error.message));
    worker.once('exit', () => lost('it ended without a word'));
    return worker;
  }

  /** Settles when the thread is gone. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#worker = undefined;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, FAREWELL_MS);
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      worker.on('message', (message: FromSync) => {
        if (message.kind === 'stopped') done();
      });
      worker.once('exit', done);
      worker.postMessage({ kind: 'stop' } satisfies ToSync);
    });
    await endThread(worker, FAREWELL_MS);
  }
}
