/**
 * The loop that serves the mounts of a process. It is synchronous, in one
 * thread, and never returns to the event loop, so no promise and no timer of
 * Node.js runs here. Owns the poll set, timers, jobs and message ports; the
 * sessions come from outside.
 *
 * Other threads post to a port and signal the wake-up counter; the loop sleeps
 * in poll(2) when there is nothing to do. Requests come first: messages and
 * timers are handled in between, jobs get slices.
 *
 * Doors: loop-counts, quiesce, serve-loop.
 */
import { performance } from 'node:perf_hooks';
import { availableParallelism } from 'node:os';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { invariant } from '../../lib/invariant.js';
import { eventfdClear, PollSet } from '../../libc/poll.js';
import { BusyPoll } from './busy-poll.js';
import { LoopCounts } from './loop-counts.js';
import type { Placement } from '../cpu/placement.js';
import { ENDED, type FuseSession, SERVED } from '../session/session.js';
import { type Timer, Timers } from './timers.js';

/** Most requests of one session in a row before the other sessions' turn. */
const BATCH = 64;
/** Longest turn of the jobs. */
const JOB_SLICE_MS = 1;
/** While requests come all the time, jobs leave this much time between their turns. */
const JOB_PAUSE_MS = 4;
/** While requests come all the time, messages wait at most about this long. */
const WAKE_CHECK_MS = 0.3;
const WAKE_PLACE = 0;
const TIMEOUT_MAX_MS = 0x7fff_ffff;

export interface ServeLoopOptions {
  /** An event counter (`eventfd`); other threads signal it after posting a message. */
  wakeFd: number;
  /** Longest spin for the next request, in microseconds (default 50; 0: never spin). */
  busyPollUs?: number;
  /** Decides whether to share a processor with the program being served. */
  placement?: Placement | undefined;
}

/** Work in pieces: each piece must take well under a millisecond. */
export type Job = Iterator<unknown>;

interface Seat {
  session: FuseSession;
  onEnd: ((session: FuseSession) => void) | undefined;
  /** The descriptor has requests, or may have some. */
  isReady: boolean;
}

/** Another descriptor that the loop waits for. */
interface Watched {
  fd: number;
  handle: () => void;
  pauseMs: number;
  /** It is left out of the poll set for a moment. */
  isPausing: boolean;
}

export class ServeLoop {
  readonly counts = new LoopCounts();
  readonly #wakeFd: number;
  readonly #busyPoll: BusyPoll;
  readonly #placement: Placement | undefined;
  readonly #timers = new Timers();
  #ports: readonly { port: MessagePort; handle: (message: unknown) => void }[] = [];
  readonly #wakeHandlers: (() => void)[] = [];
  #seats: Seat[] = [];
  #watched: readonly Watched[] = [];
  #pollSet: PollSet;
  #jobs: Job[] = [];
  #nextJobMs = 0;
  #isStopping = false;
  #isWoken = true;
  #lookedMs = 0;
  /** The session with the latest request. */
  #hot: Seat | undefined;
  /** Requests of more than one session have come since the last sleep. */
  #areSeveralHot = false;
  /** When the descriptors were found empty after a request; 0: they were not. */
  #emptyMs = 0;
  /** The latest time known without a clock call. */
  #clockMs = 0;

  constructor(options: ServeLoopOptions) {
    this.#wakeFd = options.wakeFd;
    // With one processor, the program being served can't run while this thread spins.
    const busyPollUs = availableParallelism() > 1 ? (options.busyPollUs ?? 50) : 0;
    this.#busyPoll = new BusyPoll(busyPollUs);
    this.#placement = options.placement;
    this.#pollSet = new PollSet([options.wakeFd]);
  }

  /** `onEnd` is called when the mount is gone, after the session was removed. */
  addSession(session: FuseSession, onEnd?: (session: FuseSession) => void): void {
    this.#seats = [...this.#seats, { session, onEnd, isReady: true }];
    this.#rebuild();
  }

  /** Stops serving the session. Its descriptor stays open. */
  removeSession(session: FuseSession): void {
    this.#seats = this.#seats.filter((seat) => seat.session !== session);
    if (this.#hot?.session === session) this.#hot = undefined;
    this.#rebuild();
  }

  #rebuild(): void {
    this.#pollSet = new PollSet([
      this.#wakeFd,
      ...this.#seats.map(({ session }) => session.fd),
      ...this.#watched.map(({ fd, isPausing }) => (isPausing ? -1 : fd)),
    ]);
  }

  /**
   * Messages of `port` are handled here. Who posts one signals the wake-up counter after it.
   * Returns what ends that.
   */
  onPort(port: MessagePort, handle: (message: unknown) => void): () => void {
    const entry = { port, handle };
    this.#ports = [...this.#ports, entry];
    this.#isWoken = true;
    return () => {
      this.#ports = this.#ports.filter((other) => other !== entry);
    };
  }

  /**
   * Runs `handle` whenever the wake-up counter was signalled: for callers with
   * their own message channels.
   */
  onWake(handle: () => void): void {
    this.#wakeHandlers.push(handle);
  }

  /** Calls `handle` when `fd` is readable, at most once in `pauseMs`, until the result is called. */
  onReadable(fd: number, pauseMs: number, handle: () => void): () => void {
    const watched = { fd, handle, pauseMs, isPausing: false };
    this.#watched = [...this.#watched, watched];
    this.#rebuild();
    return () => {
      this.#watched = this.#watched.filter((one) => one !== watched);
      this.#rebuild();
    };
  }

  #readable(watched: Watched): void {
    watched.isPausing = true;
    this.#rebuild();
    this.addTimer(watched.pauseMs, () => {
      watched.isPausing = false;
      this.#rebuild();
    });
    watched.handle();
  }

  /** Runs `run` once. Returns what cancels it. */
  addTimer(delayMs: number, run: () => void): () => void {
    const timer: Timer = this.#timers.add(performance.now(), delayMs, run);
    return () => this.#timers.cancel(timer);
  }

  /**
   * Runs the job's pieces in spare time until it is done. Returns a function
   * that ends it early.
   */
  addJob(job: Job): () => void {
    this.#jobs.push(job);
    return () => {
      const at = this.#jobs.indexOf(job);
      if (at < 0) return;
      this.#jobs.splice(at, 1);
      job.return?.();
    };
  }

  /** The current request is about to wait for a disk. */
  waits(): void {
    this.#placement?.waited();
  }

  /** Makes `run` return after the current request. From another thread: send a message. */
  stop(): void {
    this.#isStopping = true;
  }

  /** Serves until `stop`. Throws only errors that must stop the process. */
  run(): void {
    this.#isStopping = false;
    while (!this.#isStopping) {
      this.#clockMs = this.#lookAround(performance.now());
      const isBusy = this.#serveReady();
      const hasJobs = this.#jobs.length > 0;
      if (hasJobs) this.#runJobs(isBusy);
      if (this.#isStopping) break;
      if (isBusy || hasJobs) continue;
      if (!this.#spin()) this.#sleep();
    }
  }

  /** Handles messages, timers and parked requests. Returns the time afterwards. */
  #lookAround(nowMs: number): number {
    if (nowMs - this.#lookedMs > WAKE_CHECK_MS) this.#poll(0, nowMs);
    let hasWorked = this.#isWoken;
    if (this.#isWoken) {
      this.#isWoken = false;
      this.#runPorts();
    }
    if (this.#timers.runDue(nowMs)) hasWorked = true;
    for (const seat of this.#seats) {
      if (seat.session.waitingMutations > 0) {
        seat.session.retryWaiting();
        hasWorked = true;
      }
      if (seat.session.hasDrainWatchers || seat.session.ended !== undefined) seat.isReady = true;
    }
    if (!hasWorked) return nowMs;
    const doneMs = performance.now();
    this.counts.messages(doneMs - nowMs);
    return doneMs;
  }

  #runPorts(): void {
    eventfdClear(this.#wakeFd);
    for (const handle of this.#wakeHandlers) handle();
    for (const entry of this.#ports) {
      // A message before may have ended it.
      while (this.#ports.includes(entry)) {
        const received = receiveMessageOnPort(entry.port);
        if (received === undefined) break;
        entry.handle(received.message);
      }
    }
  }

  /** Serves each ready session up to a batch. True when a session has more. */
  #serveReady(): boolean {
    let hasMore = false;
    for (const seat of this.#seats) {
      if (!seat.isReady) continue;
      const outcome = this.#serveBatch(seat);
      seat.isReady = outcome === SERVED;
      if (outcome === SERVED) hasMore = true;
      else if (outcome === ENDED) this.#endSession(seat);
    }
    return hasMore;
  }

  #serveBatch(seat: Seat): number {
    const { session } = seat;
    session.book.clockMs = this.#clockMs;
    let outcome = session.serveOne();
    if (outcome !== SERVED) return outcome;
    this.#areSeveralHot ||= this.#hot !== undefined && this.#hot !== seat;
    this.#hot = seat;
    const placement = this.#placement;
    placement?.served(session.callerPid);
    for (let i = 1; i < BATCH && outcome === SERVED && !this.#isStopping; i++) {
      outcome = session.serveOne();
      if (outcome === SERVED) placement?.served(session.callerPid);
    }
    this.#emptyMs = performance.now();
    this.#clockMs = this.#emptyMs;
    return outcome;
  }

  #endSession(seat: Seat): void {
    this.removeSession(seat.session);
    seat.onEnd?.(seat.session);
  }

  #runJobs(isBusy: boolean): void {
    const startMs = performance.now();
    if (isBusy && startMs < this.#nextJobMs) return;
    while (performance.now() - startMs < JOB_SLICE_MS) {
      const job = this.#jobs.shift();
      if (job === undefined) break;
      // The job is in the list while it runs, so that it can be ended from inside.
      this.#jobs.push(job);
      if (job.next().done === true) this.#jobs = this.#jobs.filter((other) => other !== job);
    }
    const doneMs = performance.now();
    this.counts.jobs(doneMs - startMs);
    this.#nextJobMs = doneMs + JOB_PAUSE_MS;
    this.#poll(0, doneMs);
  }

  /** Looks for the next request for a short time. True when one came. */
  #spin(): boolean {
    const seat = this.#hot;
    const { spinUs } = this.#busyPoll;
    if (seat === undefined || spinUs === 0 || this.#emptyMs === 0) return false;
    // On a shared processor the program can't run while this thread spins.
    if (this.#placement?.isSharing === true) return false;
    const { book } = seat.session;
    const limitMs = this.#emptyMs + spinUs / 1000;
    // A timer may have run since the descriptors were found empty.
    const startMs = this.#clockMs;
    let nowMs = startMs;
    do {
      if (this.#areSeveralHot && this.#poll(0, nowMs) > 0) {
        nowMs = performance.now();
        this.counts.spun(true, nowMs - startMs);
        this.#busyPoll.hit((nowMs - this.#emptyMs) * 1000);
        return true;
      }
      book.clockMs = nowMs;
      const outcome = seat.session.serveOne();
      if (outcome === SERVED) {
        this.counts.spun(true, nowMs - startMs);
        nowMs = book.clockMs;
        this.#busyPoll.hit((nowMs - this.#emptyMs) * 1000);
        this.#emptyMs = nowMs;
        seat.isReady = true;
        this.#placement?.served(seat.session.callerPid);
        return true;
      }
      if (outcome === ENDED) {
        this.#endSession(seat);
        return true;
      }
      nowMs = performance.now();
    } while (nowMs < limitMs);
    this.counts.spun(false, nowMs - startMs);
    return false;
  }

  #sleep(): void {
    const nowMs = performance.now();
    const waitMs = this.#timers.waitMs(nowMs);
    const ready = this.#poll(Math.min(Math.ceil(waitMs), TIMEOUT_MAX_MS), nowMs, waitMs);
    if (waitMs > 0) this.counts.slept(this.#lookedMs - nowMs);
    if (this.#emptyMs === 0 || ready === 0) return;
    const gapUs = (performance.now() - this.#emptyMs) * 1000;
    // Only the first sleep after a request says something about the next request.
    this.#emptyMs = 0;
    this.#areSeveralHot = false;
    this.#placement?.rested(gapUs / 1000);
    this.#busyPoll.miss(gapUs);
  }

  #poll(timeoutMs: number, nowMs: number, waitMs = 0): number {
    const pollSet = this.#pollSet;
    const ready = pollSet.wait(waitMs === Number.POSITIVE_INFINITY ? -1 : timeoutMs);
    this.#lookedMs = timeoutMs === 0 ? nowMs : performance.now();
    invariant(ready >= 0, `poll answers ${ready}`);
    if (ready === 0) return 0;
    if (pollSet.ready(WAKE_PLACE) !== 0) this.#isWoken = true;
    for (const [i, seat] of this.#seats.entries()) {
      if (pollSet.ready(WAKE_PLACE + 1 + i) !== 0) seat.isReady = true;
    }
    const firstWatched = WAKE_PLACE + 1 + this.#seats.length;
    for (const [i, watched] of this.#watched.entries()) {
      if (pollSet.ready(firstWatched + i) !== 0) this.#readable(watched);
    }
    return ready;
  }
}
