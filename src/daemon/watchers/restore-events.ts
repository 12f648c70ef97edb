/**
 * Tells programs that watch files of the mount what a restore, or any other
 * switch of the live tree, has changed. Lives in the serving thread, after the
 * command has been answered: no command waits for it, but an unmount does.
 *
 * What must hold: nothing is done when nobody watches, but one look at /proc;
 * what is done is bounded by the change and touches watched inodes only; memory
 * is bounded by one batch and the list of watched inodes.
 */
import { randomBytes } from 'node:crypto';
import { getSystemErrorName } from 'node:util';
import { Deferred } from '../../lib/deferred.js';
import { messageOf } from '../../lib/errors.js';
import type { Transition } from '../../tree/coherence/transitions.js';
import type { Tree } from '../../tree/tree.js';
import { type Touch, touchKey } from '../../tree/watchers/touch.js';
import { Watched } from '../../tree/watchers/watched.js';
import type { TouchBatch, TouchReport } from './toucher-messages.js';
import type { WatchesFound } from './watches.js';

/** Calls of the toucher between two answers. */
const BATCH = 256;
/** Changes looked at between two yields. */
const SLICE = 256;
const SECRET_BYTES = 16;
const RANK = { removed: 0, added: 1, modified: 2, attributes: 2 };

type Job = Generator<Deferred<void> | undefined, void>;

export interface RestoreEventsParts {
  tree: Tree;
  /** The main thread's part. */
  toucher: {
    watched(): Deferred<WatchesFound>;
    touch(batch: Omit<TouchBatch, 'mountpoint'>): Deferred<TouchReport>;
    /** Nothing more to touch for now. */
    touched(): void;
  };
  pin(layer: number): void;
  unpin(layer: number): void;
  runJob(job: Job): void;
  nowMs(): number;
  log(message: string): void;
}

/** What `status` shows of the last time somebody watched. */
export interface RestoreEventsStatus {
  /** Processes, and the inodes that they watched. */
  programCount: number;
  watchedCount: number;
  /** Changes told, and those for which the kernel refused the call. */
  toldCount: number;
  failedCount: number;
  tookMs: number;
}

export class RestoreEvents {
  readonly #queue: Transition[] = [];
  #isRunning = false;
  #idle: Deferred<void>[] = [];
  #last: RestoreEventsStatus | undefined;

  constructor(readonly parts: RestoreEventsParts) {}

  get last(): RestoreEventsStatus | undefined {
    return this.#last;
  }

  /** Keeps the views of a transition until `tell` is done with them. */
  keep({ from, to }: Transition): void {
    this.parts.pin(from.top);
    this.parts.pin(to.top);
  }

  /** The kernel's caches agree with the live tree. `transition` was kept. */
  tell(transition: Transition): void {
    this.#queue.push(transition);
    if (!this.#isRunning) this.#next();
  }

  /** Settles when everything is told. */
  idle(): Deferred<void> {
    const idle = new Deferred<void>();
    if (this.#isRunning) this.#idle.push(idle);
    else idle.resolve();
    return idle;
  }

  #next(): void {
    const told = this.#queue.shift();
    this.#isRunning = told !== undefined;
    if (told === undefined) {
      for (const idle of this.#idle.splice(0)) idle.resolve();
      return;
    }
    const startedMs = this.parts.nowMs();
    this.parts.toucher.watched().settled(
      ({ programs, ...found }) => {
        const watched = new Watched(found);
        if (watched.isEmpty) {
          this.#done(told);
          return;
        }
        const status = {
          programCount: programs,
          watchedCount: found.inodes.length,
          toldCount: 0,
          failedCount: 0,
          tookMs: 0,
        };
        this.parts.runJob(this.#job(told, watched, status, startedMs));
      },
      (error) => {
        this.parts.log(`who watches the mount is not known: ${messageOf(error)}`);
        this.#done(told);
      },
    );
  }

  #done({ from, to }: Transition): void {
    this.parts.unpin(from.top);
    this.parts.unpin(to.top);
    this.#next();
  }

  *#job(told: Transition, watched: Watched, status: RestoreEventsStatus, startedMs: number): Job {
    const { tree, toucher, nowMs, log } = this.parts;
    const failures: Record<number, number> = {};
    const touchAll = (touches: Touch[]): Job => this.#touch(told, touches, status, failures);
    try {
      const gone = tree.forsaken(told, watched);
      const goneNames = new Set(gone.map(keyOf));
      for (let i = 0; i < gone.length; i += BATCH) yield* touchAll(gone.slice(i, i + BATCH));
      let batch: Touch[] = [];
      let seen = new Set<string>();
      let looked = 0;
      for (const touch of tree.watchedChanges(told, watched)) {
        if (touch === undefined) {
          if (++looked % SLICE === 0) yield undefined;
          continue;
        }
        const key = keyOf(touch);
        if (seen.has(key) || goneNames.has(key)) continue;
        seen.add(key);
        batch.push(touch);
        if (batch.length < BATCH) continue;
        yield* touchAll(batch);
        batch = [];
        seen = new Set();
      }
      if (batch.length > 0) yield* touchAll(batch);
    } finally {
      status.tookMs = Math.round(nowMs() - startedMs);
      this.#last = status;
      if (status.failedCount > 0) log(complaint(status, failures));
      toucher.touched();
      this.#done(told);
    }
  }

  *#touch(
    told: Transition,
    touches: Touch[],
    status: RestoreEventsStatus,
    failures: Record<number, number>,
  ): Job {
    const { touching, notifier } = this.parts.tree;
    const done = new Deferred<void>();
    const secret = `.shadowfs-${randomBytes(SECRET_BYTES).toString('hex')}`;
    // A name before what happens to its file. What goes, from below; what comes, from above.
    touches.sort((a, b) => {
      const deeper = a.parentPath.length - b.parentPath.length;
      return RANK[a.kind] - RANK[b.kind] || (a.kind === 'removed' ? -deeper : deeper);
    });
    yield notifier.notify(touching.begin(secret, touches, told.from));
    this.parts.toucher.touch({ secret, touches }).settled(
      ({ told: count, failed }: TouchReport) => {
        touching.end();
        status.toldCount += count;
        for (const [errno, times] of Object.entries(failed)) {
          status.failedCount += times;
          failures[Number(errno)] = (failures[Number(errno)] ?? 0) + times;
        }
        done.resolve();
      },
      (error) => {
        touching.end();
        status.failedCount += touches.length;
        this.parts.log(`programs that watch the mount were not told: ${messageOf(error)}`);
        done.resolve();
      },
    );
    yield done;
  }
}

function keyOf({ kind, directory, name }: Touch): string {
  return `${kind} ${touchKey(directory, name)}`;
}

function complaint(
  { toldCount, failedCount }: RestoreEventsStatus,
  failures: Record<number, number>,
): string {
  const why = Object.entries(failures).map(
    ([errno, count]) => `${count} ${getSystemErrorName(-Number(errno))}`,
  );
  return (
    `programs that watch the mount were told of ${toldCount} changes, but not of ${failedCount}` +
    (why.length === 0 ? '' : ` (${why.join(', ')})`)
  );
}
