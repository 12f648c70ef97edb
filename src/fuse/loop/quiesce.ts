/**
 * Waits until all earlier writes of programs have reached the operations.
 * Needed before a save, a restore, and any answer about the contents of a live
 * file.
 *
 * `syncfs` makes the kernel queue a WRITE for every dirty page, but returns
 * while they are still queued. So the loop then continues to serve until the
 * descriptor is empty and no WRITE is unanswered. Then the kernel holds no
 * write either, under two more conditions:
 * - The kernel holds background requests back when `max_background` of them are
 *   pending; unanswered READs count, so there must be spare room.
 * - It holds an inode's WRITEs back while a truncation or fallocate of it is
 *   pending, and queues them a moment *after* it got the answer.
 */
import { performance } from 'node:perf_hooks';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Deferred } from '../../lib/deferred.js';
import { FsError } from '../../lib/errors.js';
import type { ServeLoop } from './serve-loop.js';
import type { FuseSession } from '../session/session.js';

/**
 * How long after the answer to a truncation its inode's WRITEs may take to
 * appear: until the program's thread has run in the kernel again. Nothing
 * signals this, so the time allowed grows with the number of runnable threads.
 */
const BARRIER_SETTLE_MS = 10;
/** A program that truncates all the time must not delay a quiesce longer than this. */
const BARRIER_WAIT_MAX_MS = 500;
const CHECK_AGAIN_MS = 1;
const DEFAULT_BACKGROUND = 12;

/** A mount: where it was made, and the device (`major:minor`) by which it is found elsewhere. */
export interface MountedAt {
  readonly path: string;
  readonly device: string;
}

/** Queues WRITEs for all dirty pages of the file system of a mount. */
export interface MountSyncer {
  syncfs(mount: MountedAt): Deferred<void>;
}

/**
 * Settles in the loop's thread, at a moment at which all earlier writes are
 * answered. Rejects with ENODEV when the mount goes away meanwhile. Mutations
 * must not be held (`holdMutations`) during it.
 */
export function quiesce(
  loop: ServeLoop,
  session: FuseSession,
  syncer: MountSyncer,
  mount: MountedAt,
): Deferred<void> {
  const done = new Deferred<void>();
  if (session.ended !== undefined) {
    done.reject(new FsError('ENODEV', 'quiesce', mount.path));
    return done;
  }
  syncer.syncfs(mount).settled(
    () => settleWhenDrained(loop, session, mount.path, done),
    (error) => done.reject(error),
  );
  return done;
}

function settleWhenDrained(
  loop: ServeLoop,
  session: FuseSession,
  mountpoint: string,
  done: Deferred<void>,
): void {
  let settlingSinceMs: number | undefined;
  let settleMs = BARRIER_SETTLE_MS;
  const readsMax = Math.floor((session.negotiated?.maxBackground ?? DEFAULT_BACKGROUND) / 2);
  let cancelTimer: (() => void) | undefined;

  const stop = (): void => {
    unwatch();
    cancelTimer?.();
  };
  const check = (): void => {
    if (session.ended !== undefined) {
      stop();
      done.reject(new FsError('ENODEV', 'quiesce', mountpoint));
      return;
    }
    if (session.book.unansweredWrites > 0 || session.book.unansweredReads > readsMax) return;
    if (session.book.unansweredBarriers > 0) {
      settlingSinceMs = undefined;
      return;
    }
    const nowMs = performance.now();
    if (settlingSinceMs === undefined) {
      settlingSinceMs = nowMs;
      const isRecent = nowMs - session.book.barrierAnsweredMs < BARRIER_WAIT_MAX_MS;
      if (isRecent) settleMs = BARRIER_SETTLE_MS * threadsPerProcessor();
    }
    const isSettling = nowMs - session.book.barrierAnsweredMs < settleMs;
    if (isSettling && nowMs - settlingSinceMs < BARRIER_WAIT_MAX_MS) {
      // The loop reads the descriptor again when it wakes up, and then calls `check`.
      cancelTimer ??= loop.addTimer(CHECK_AGAIN_MS, () => {
        cancelTimer = undefined;
      });
      return;
    }
    stop();
    done.resolve();
  };
  const unwatch = session.watchDrained(check);
}

/** Number of threads that currently want each processor; at least 1. */
function threadsPerProcessor(): number {
  // "0.20 0.18 0.12 3/411 9821": 3 of 411 threads are running or ready.
  const running = / (\d+)\//.exec(readFileSync('/proc/loadavg', 'latin1'))?.[1];
  return Math.max(1, Number(running ?? 1) / availableParallelism());
}
