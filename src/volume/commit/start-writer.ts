/** Starts the writer thread and reports its end. */
import type { MessagePort, Worker } from 'node:worker_threads';
import { startThread } from '../../lib/threads.js';
import { WRITING_LIMITS } from '../../lib/thread-limits.js';
import { eventfdSignal } from '../../libc/poll.js';
import type { WriterSetup } from './writer-host.js';
import { WriterSigns } from './writer-signs.js';

/** What the writer thread receives. */
export interface WriterData {
  setup: WriterSetup;
  port: MessagePort;
  /** Signalled after each message and at the end; -1: no thread polls. */
  wakeFd: number;
  /** The memory of `WriterSigns`. */
  signs: SharedArrayBuffer;
}

/**
 * Has `startWriter` called in a thread whose event loop turns. The data's port goes there too. If
 * that thread is the caller's own, returns a function that tells whether the writer thread has
 * stopped: the event loop does not turn while the caller waits for it.
 */
export type StartWriter = (data: WriterData) => HasStopped | undefined;

export type HasStopped = () => boolean;

/**
 * How often the thread is checked. A thread that ends reports that sooner, with the reason. Node
 * tells nothing about a stopped thread that was never checked while it ran.
 */
const LOOK_MS = 250;
export const STOPPED = 'V8 has stopped it, most likely for want of memory, and it does not end';

/**
 * Starts the thread. An uncaught exception, or V8 out of memory, ends a thread,
 * and only an event loop learns of it: call this in a thread that returns to
 * its event loop. `lost` gets the reason why the thread failed.
 *
 * V8 out of memory inside a transaction gives no event: at the end of the
 * thread, LMDB's package waits for ever for the lock that the thread itself
 * holds. The statistics of its event loop reveal it: the idle time of a stopped
 * loop is -1.
 */
export function startWriter(
  data: WriterData,
  lost: (why: string) => void,
): { worker: Worker; hasStopped: HasStopped } {
  const signs = new WriterSigns(data.signs);
  const worker = startThread(new URL('./writer-thread.js', import.meta.url), {
    data,
    isUncut: true,
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
