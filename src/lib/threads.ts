/**
 * The door to other threads: starts them, knows which of them are not up yet,
 * and ends them. Each thread knows those that it has started itself.
 *
 * What must hold: no thread is cut off while it starts, or while it may be in
 * LMDB's package. Native code that is
 * being loaded just then finds that it may not run JavaScript any more and ends
 * the whole process (SIGABRT, `napi_throw`). So who has started threads calls
 * `endThreads` before it ends; a process that must not wait ends with `_exit`,
 * which cuts nothing off in JavaScript.
 */
import {
  type MessagePort,
  receiveMessageOnPort,
  type ResourceLimits,
  type Transferable,
  Worker,
  workerData as given,
} from 'node:worker_threads';
import { invariant } from './invariant.js';

/** Word of a thread's state: its own code has begun; 0 while it loads its modules. */
const UP = 1;
/** A start takes 0.1 s; on a machine that is busy some more. */
const START_MAX_MS = 10_000;
const LOOK_MS = 5;

export interface ThreadOptions {
  /** What `threadData` answers in the new thread. */
  data: unknown;
  transferList?: Transferable[];
  resourceLimits?: ResourceLimits;
  /** Asks the thread to end by itself; without it the thread is cut off once it is up. */
  tell?: () => void;
  /** Never cut off: it uses LMDB's package, whose calls end the whole process then. */
  isUncut?: boolean;
}

interface ThreadData {
  state: Int32Array;
  data: unknown;
}

interface Thread {
  state: Int32Array;
  tell: (() => void) | undefined;
  isUncut: boolean;
  gone: Promise<void>;
}

const threads = new Map<Worker, Thread>();
let isOver = false;

/** Starts a thread whose entry, the file at `url`, calls `threadData`. Not after `endThreads`. */
export function startThread(url: URL, options: ThreadOptions): Worker {
  invariant(!isOver, 'no thread is started while this one ends');
  const { data, tell, isUncut = false, ...rest } = options;
  const state = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(url, { ...rest, workerData: { state, data } satisfies ThreadData });
  const gone = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      threads.delete(worker);
      resolve();
    });
  });
  threads.set(worker, { state, tell, isUncut, gone });
  return worker;
}

/** In a thread's entry, behind its imports: says that it is up. What `startThread` was given. */
export function threadData(): unknown {
  const { state, data } = given as ThreadData;
  Atomics.store(state, 0, UP);
  Atomics.notify(state, 0);
  return data;
}

/**
 * Handles what a thread posted on `port` and nobody has handled yet. A thread's `exit` may overtake
 * its last messages, so whoever asks at `exit` how it ended calls this first.
 */
export function handlePosted<M>(port: MessagePort, handle: (message: M) => void): void {
  for (;;) {
    const posted = receiveMessageOnPort(port) as { message: M } | undefined;
    if (posted === undefined) return;
    handle(posted.message);
  }
}

function isUp({ state }: Thread): boolean {
  return Atomics.load(state, 0) === UP;
}

/** True: it settled in time. */
export async function within(limitMs: number, settles: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, limitMs, false);
  });
  const isInTime = await Promise.race([settles.then(() => true), late]);
  clearTimeout(timer);
  return isInTime;
}

/**
 * Ends one thread. It has `patienceMs` to end by itself; one that is up after that is cut off,
 * unless it must not be, and has the same time once more, since it may be in a system call.
 * Returns whether it is gone.
 */
export async function endThread(worker: Worker, patienceMs: number): Promise<boolean> {
  const thread = threads.get(worker);
  if (thread === undefined) return true;
  const { tell, isUncut, gone } = thread;
  worker.ref();
  // Whoever has to know of a failure listens already; nobody else is hurt by it any more.
  worker.on('error', () => undefined);
  tell?.();
  if ((tell !== undefined || isUncut) && (await within(patienceMs, gone))) return true;
  if (!isUncut) await cutOff(worker, thread, patienceMs);
  worker.unref();
  return !threads.has(worker);
}

async function cutOff(worker: Worker, thread: Thread, patienceMs: number): Promise<void> {
  const endMs = performance.now() + START_MAX_MS;
  while (!isUp(thread) && threads.has(worker) && performance.now() < endMs) {
    await within(LOOK_MS, thread.gone);
  }
  worker.unref();
  if (isUp(thread)) await within(patienceMs, worker.terminate());
}

/**
 * Ends all threads that this one has started; no other can be started from here on. Those that
 * can neither be told nor cut off go on. False: some are left, and the process has to end with
 * `_exit`, since Node.js would cut them off.
 */
export async function endThreads(patienceMs: number): Promise<boolean> {
  isOver = true;
  const ends = [...threads].map(([worker, { tell, isUncut }]) =>
    endThread(worker, tell === undefined && isUncut ? 0 : patienceMs),
  );
  return (await Promise.all(ends)).every((isGone) => isGone);
}
