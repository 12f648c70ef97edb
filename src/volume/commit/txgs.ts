/**
 * When groups are closed, and who waits for them: a group closes by age, by
 * size (core), for a command, or for an fsync that the intent log can't answer;
 * an answer that promises durability waits for its group's ticket, or for the
 * log's flush. Those that come while one runs share the next.
 */
import { performance } from 'node:perf_hooks';
import { Deferred } from '../../lib/deferred.js';
import { FsError } from '../../lib/errors.js';
import type { VolumeCore } from '../core.js';
import type { SinkEvents } from './txg-sink.js';
import type { IntentLog } from '../log/intent-log.js';
import { ThreadSink } from './thread-sink.js';

interface Flushing {
  waiting: readonly Deferred<void>[];
  /** Whose changes the record has. */
  txg: number;
  /** The group that has to be in LMDB, too; 0: none. */
  needs: number;
  startMs: number;
}

/** A group is closed when it is this old. */
export const TXG_AGE_MS = 700;

export class TxgPipeline {
  readonly #waiting: { ticket: number; done: Deferred<void> }[] = [];
  #committed = 0;
  /** A group must be closed as soon as the writer is free. */
  #closeWanted = false;
  /** Absent: every fsync goes to LMDB. */
  log: IntentLog | undefined = undefined;
  /** The flush of the log that runs: who waits for it, and what else it takes to answer them. */
  #flushed: Flushing | undefined;
  /** Came while it runs. */
  #next: Deferred<void>[] = [];

  constructor(readonly core: VolumeCore) {}

  /** What the sink is to call. */
  events(emptied: (layer: number) => void): SinkEvents {
    return {
      committed: (id, { operations, valueBytes, elapsedMs }) => {
        this.core.commits.stored(operations, valueBytes, elapsedMs);
        const txg = this.core.txgCommitted(id);
        this.log?.committed(txg);
        this.#committed = id;
        if (this.#closeWanted) this.#closeNow();
        this.#answer();
      },
      failed: (id, error) => this.#fail(error, `txg ${id}: ${error.message}`),
      lost: (error) => this.#fail(error, error.message),
      emptied: (layer) => {
        // What was in the layer may lie in another one now: views without the layer must see it.
        this.core.reader.refresh();
        emptied(layer);
      },
      collected: () => {
        this.core.spaceChanged();
        this.core.reader.refresh();
      },
      logMade: (isMade) => this.log?.made(isMade),
    };
  }

  #fail(error: Error, what: string): void {
    this.core.failure ??= error;
    const failed = new FsError('EIO', 'commit', what);
    for (const { done } of this.#waiting.splice(0)) done.reject(failed);
    for (const done of this.#next.splice(0)) done.reject(failed);
  }

  #answer(): void {
    const ready = this.#waiting.filter((w) => w.ticket <= this.#committed);
    if (ready.length === 0) return;
    const rest = this.#waiting.filter((w) => w.ticket > this.#committed);
    this.#waiting.splice(0, this.#waiting.length, ...rest);
    for (const { done } of ready) done.resolve();
  }

  #closeNow(): void {
    if (this.core.closeTxg()) this.#closeWanted = false;
  }

  /** Closes the open group (now or when the writer is free); the ticket to wait for. */
  commit(): number {
    if (this.core.open.isEmpty) return this.core.closing?.id ?? this.#committed;
    const ticket = this.core.open.id;
    this.#closeWanted = true;
    this.#closeNow();
    return ticket;
  }

  /** Resolves when the group is on disk; rejects when it could not be stored. */
  whenCommitted(ticket: number): Deferred<void> {
    const done = new Deferred<void>();
    this.#wait(ticket, done);
    return done;
  }

  #wait(ticket: number, done: Deferred<void>): void {
    if (this.core.failure !== undefined) done.reject(new FsError('EIO', 'commit'));
    else if (ticket <= this.#committed) done.resolve();
    else this.#waiting.push({ ticket, done });
  }

  /** Resolves when everything done until now is on disk, in LMDB or in the intent log. */
  durable(): Deferred<void> {
    const done = new Deferred<void>();
    if (this.log?.isFlushing) this.#next.push(done);
    else this.#makeDurable([done]);
    return done;
  }

  #makeDurable(waiting: readonly Deferred<void>[]): void {
    const { core, log } = this;
    const { open } = core;
    // A closed group that the log has only in part must be in LMDB, too.
    const needs = core.closing?.isUnlogged === false ? 0 : (core.closing?.id ?? 0);
    if (log === undefined || !log.isReady || core.failure !== undefined) {
      log?.wanted();
      this.#byStore(this.commit(), waiting);
    } else if (open.isLogged && !log.hasUnflushed) {
      for (const done of waiting) this.#wait(needs, done);
    } else if (log.write(open)) {
      this.#flushed = { waiting, txg: open.id, needs, startMs: performance.now() };
      if (log.isHalfFull) this.commit();
      this.#takeFlush(false);
    } else {
      this.#byStore(this.commit(), waiting);
    }
  }

  #byStore(ticket: number, waiting: readonly Deferred<void>[]): void {
    this.core.commits.syncedByStore(waiting.length);
    for (const done of waiting) this.#wait(ticket, done);
  }

  /** The log's flush may be over; the loop calls it when woken. `waits`: until it is. */
  pump(waits = false): void {
    if (this.#flushed !== undefined) this.#takeFlush(waits);
  }

  #takeFlush(waits: boolean): void {
    const { log } = this;
    const flushed = this.#flushed;
    if (log === undefined || flushed === undefined) return;
    const { waiting, txg, needs, startMs } = flushed;
    const isDurable = log.take(waits);
    if (isDurable === undefined) return;
    this.#flushed = undefined;
    if (isDurable) {
      this.core.commits.syncedByLog(waiting.length, performance.now() - startMs);
      for (const done of waiting) this.#wait(needs, done);
    } else {
      this.#byStore(this.core.open.id === txg ? this.commit() : txg, waiting);
    }
    const next = this.#next.splice(0);
    if (next.length > 0) this.#makeDurable(next);
  }

  /** Before the last flush: nobody fsyncs any more. Returns whether LMDB has to be told. */
  endLog(): boolean {
    while (this.#flushed !== undefined) this.#takeFlush(true);
    return this.log?.end() ?? false;
  }

  /** Commits and waits in this thread: for tools, tests and closing. Not for the serving loop. */
  flush(): void {
    const ticket = this.commit();
    const { sink } = this.core;
    const startMs = performance.now();
    while (this.#committed < ticket && this.core.failure === undefined) {
      if (sink instanceof ThreadSink) sink.wait(1000);
      else sink.pump();
    }
    this.core.commits.waited(performance.now() - startMs);
    if (this.core.failure !== undefined) throw this.core.failure;
  }

  /** Closes the group when it is old enough; returns ms until the next call is due. */
  tick(nowMs: number): number {
    const { openedMs } = this.core.open;
    if (openedMs === undefined) return TXG_AGE_MS;
    const left = openedMs + TXG_AGE_MS - nowMs;
    if (left > 0) return left;
    this.#closeWanted = true;
    this.#closeNow();
    return TXG_AGE_MS;
  }
}
