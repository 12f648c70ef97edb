/** Starting the writer thread, and hearing of its end. */
import type { MessagePort, Worker } from 'node:worker_threads';
import { startThread } from '../../lib/threads.js';
import { WRITING_LIMITS } from '../../lib/thread-limits.js';
import { eventfdSignal } from '../../libc/poll.js';
import type { WriterSetup } from './writer-host.js';
import { WriterSigns } from './writer-signs.js';

/** What the writer thread is given. */
export interface WriterData {
  setup: WriterSetup;
  port: MessagePort;
  /** Signalled after each message and at the end; -1: nobody polls. */
  wakeFd: number;
  /** Of `WriterSigns`. */
  signs: SharedArrayBuffer;
}

/**
 * Has `startWriter` called where an event loop turns. The data's port goes there, too. Gives
 * what tells whether the thread has stopped, where that loop is the caller's own: it does not
 * turn while the caller waits for the thread.
 */
export type StartWriter = (data: WriterData) => HasStopped | undefined;

export type HasStopped = () => boolean;

/**
 * How often the thread is looked at. One that ends says so sooner, and why. Of one that was never
 * looked at while it ran nothing is known later.
 */
const LOOK_MS = 250;
export const STOPPED = 'V8 has stopped it, most likely for want of memory, and it does not end';

/**
 * Starts the thread. An exception that nobody catches, or V8 out of memory, ends a thread, which
 * only an event loop hears of: call this in a thread that goes back to its own. `lost` gets why
 * the thread has failed.
 *
 * V8 out of memory inside a transaction gives no event: LMDB's package then waits for ever, at
 * the end of the thread, for the lock that the thread itself holds. What is known of its event
 * loop tells: the idle time of one that was stopped is -1.
 */
export function startWriter(
  data: WriterData,
  lost: (why: string) => void,
): { worker: Worker; hasStopped: HasStopped } {
  const signs = new WriterSigns(data.signs);
  const worker = startThread(new URL('./writer-thread.js', import.meta.url), {
    data,
    transferList: [data.port],
    resourceLimits: WRITING_LIMITS,
  });
  worker.unref();
  const ended = (why: string): void => {
    if (signs.ended(why)) lost(why);
    if (data.wakeFd >= 0) eventfdSignal(data.wakeFd);
  };
  const hasStopped = (): boolean => worker.performance.eventLoopUtilization().idle < 0;
  let looks = 0;
  const timer = setInterval(() => {
    if (hasStopped() && ++looks > 1) ended(STOPPED);
  }, LOOK_MS);
  timer.unref();
  worker.once('error', (error) => {
    lost(error.stack ?? error.message);
    ended(error.message);
  });
  worker.once('exit', (code) => {
    clearInterval(timer);
    ended(`it has ended with ${code} and without a word`);
  });
  return { worker, hasStopped };
}
