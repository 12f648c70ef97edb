/**
 * Starts the thread of the peers' connections and ends it, for the serving
 * thread. Lives in the main thread, whose event loop learns of a thread's end.
 */
import type { Worker } from 'node:worker_threads';
import { SYNC_LIMITS } from '../../lib/thread-limits.js';
import { endThread, startThread } from '../../lib/threads.js';
import type { PeeringConfig } from '../../sync/peers/peering-messages.js';
import type {
  ConnectionsData,
  ConnectionsEnd,
  ConnectionsLoss,
  ConnectionsStart,
} from './connections-calls.js';

/** How long peers may take to receive the farewell. */
const FAREWELL_MS = 1_000;

export class ConnectionsLauncher {
  readonly #given: Pick<ConnectionsData, 'directory' | 'mountpoint' | 'inPlace' | 'wakeFd'>;
  readonly #lost: (loss: ConnectionsLoss) => void;
  #worker: Worker | undefined;

  constructor(
    given: Pick<ConnectionsData, 'directory' | 'mountpoint' | 'inPlace' | 'wakeFd'>,
    lost: (loss: ConnectionsLoss) => void,
  ) {
    this.#given = given;
    this.#lost = lost;
  }

  start({ number, config, port }: ConnectionsStart): void {
    const data: ConnectionsData = { ...this.#given, config, port };
    const worker = startThread(new URL('./connections-thread.js', import.meta.url), {
      data,
      isUncut: true,
      resourceLimits: SYNC_LIMITS,
      transferList: [port],
    });
    this.#worker = worker;
    const lost = (message: string): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#lost({ number, message });
    };
    worker.once('error', (error) => lost(error.stack ?? error.message));
    worker.once('exit', () => lost('it ended without a word'));
  }

  /** Settles when the thread is gone. `config`: the last one, if it has changed. */
  async stop(config?: PeeringConfig): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#worker = undefined;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, FAREWELL_MS);
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      // Its only message: all connections are closed.
      worker.once('message', done);
      worker.once('exit', done);
      worker.postMessage({ config } satisfies ConnectionsEnd);
    });
    await endThread(worker, FAREWELL_MS);
  }
}
