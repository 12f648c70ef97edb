/**
 * The cycle of transaction groups: when the open one is closed, and who waits
 * for that. All reasons to close it stand here: it is old (`tick`), full, or
 * more than the disk is sure to hold (`beginChange`); a command or an fsync that
 * the intent log can't answer (`commit`). An answer that promises durability
 * waits for its txg's ticket, or for the log's flush. Those that come while one
 * runs share the next.
 *
 * Doors: start-writer, txgs.
 * Doors inside volume/: compacting, inline-sink, no-sink, thread-sink, txg, txg-records,
 *   txg-sink.
 */
import { performance } from 'node:perf_hooks';
import { Deferred } from '../../lib/deferred.js';
import { FsError } from '../../lib/errors.js';
import type { CommitCounts } from '../../measure/commit-counts.js';
import type { VolumeCore } from '../core.js';
import type { Txg } from './txg.js';
import type { SinkEvents } from './txg-sink.js';
import type { IntentLog } from '../log/intent-log.js';
import { ThreadSink } from './thread-sink.js';

interface Flushing {
  waiting: readonly Deferred<void>[];
  /** The txg whose changes the record has. */
  txg: number;
  /** The txg that must be in LMDB too; 0: none. */
  needs: number;
  startMs: number;
}

/** A txg is closed when it is this old. */
export const TXG_AGE_MS = 700;
/** A txg of this many bytes is closed at once; twice that is the bound of both. */
export const TXG_BYTES = 24 * 1024 * 1024;
/** … or of this many records. */
export const TXG_RECORDS = 100_000;

/** The room for a txg is computed for this many records more than it holds. */
const AHEAD_RECORDS = 256;
const AHEAD_BYTES = 1024 * 1024;

/** This much of the reserve (which is at least 4 MiB) may stand in memory. */
const PRESSED_BYTES = 1024 * 1024;

export class TxgPipeline {
  readonly #waiting: { ticket: number; done: Deferred<void> }[] = [];
  #committed = 0;
  /** A txg must be closed as soon as the writer is free. */
  #closeWanted = false;
  /** Absent: every fsync goes to LMDB. */
  log: IntentLog | undefined = undefined;
  /**
   * The running flush of the log: the callers that wait for it, and what else their answers need.
   */
  #flushed: Flushing | undefined;
  /** Callers that arrived while it runs. */
  #next: Deferred<void>[] = [];
  /** The open txg is known to fit on the disk while it is smaller than this. */
  #roomRecords = 0;
  #roomBytes = 0;

  constructor(readonly core: VolumeCore) {}

  /** The callbacks for the sink. */
  events(emptied: (layer: number) => void): SinkEvents {
    return {
      committed: (id, { operations, valueBytes, elapsedMs }) => {
        this.core.commits.stored(operations, valueBytes, elapsedMs);
        const txg = this.core.txgCommitted(id);
        this.#forgetRoom();
        this.log?.committed(txg);
        this.#committed = id;
        if (this.#closeWanted) this.#close();
        this.#answer();
      },
      failed: (id, error) => this.#fail(error, `txg ${id}: ${error.message}`),
      lost: (error) => this.#fail(error, error.message),
      emptied: (layer) => {
        // What was in the layer may now lie in another one: views without the layer must see it.
        this.core.reader.refresh();
        emptied(layer);
      },
      collected: () => {
        this.#forgetRoom();
        this.core.reader.refresh();
      },
      compacting: (report) => this.core.compacting.reported(report, this.core.sink.space()),
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

  /** Closes the open txg as soon as the writer is free. */
  #close(): void {
    this.#closeWanted = !this.#closeIfFree();
  }

  /** False: the previous txg is still being stored. */
  #closeIfFree(): boolean {
    const isClosed = this.core.closeTxg();
    if (isClosed) this.#forgetRoom();
    return isClosed;
  }

  /**
   * Before a change: closes the open txg when that is due, and asks for room on the disk. False:
   * the change must wait, since the writer is behind. Reads go on.
   */
  beginChange(): boolean {
    // The change itself throws EIO.
    if (this.core.failure !== undefined) return true;
    if (this.#isPressed()) {
      this.#closeIfFree();
      return false;
    }
    if (this.#isFull() && !this.#closeIfFree()) return false;
    return this.#hasRoom();
  }

  /**
   * Whether the disk can hold what is in memory. Computing a worst case takes longer than most
   * changes take. So it is computed for a larger txg than the present one, and the result holds for
   * a while.
   */
  #hasRoom(): boolean {
    const { open, sink } = this.core;
    if (open.records < this.#roomRecords && open.bytes < this.#roomBytes) return true;
    if (sink.ready(this.core.pendingCost(AHEAD_RECORDS, AHEAD_BYTES))) {
      this.#roomRecords = open.records + AHEAD_RECORDS;
      this.#roomBytes = open.bytes + AHEAD_BYTES;
      return true;
    }
    return sink.ready(this.core.pendingCost());
  }

  /** What is known about the room on the disk may have changed. */
  #forgetRoom(): void {
    this.#roomRecords = 0;
    this.#roomBytes = 0;
  }

  /**
   * Near the end of the space. Worst cases are far above what txgs use, so the txg is stored before
   * further changes are refused because of it. Changes that use the reserve (removals) are stored
   * before they can need more than the reserve.
   */
  #isPressed(): boolean {
    const { sink } = this.core;
    if (sink.canGrow()) return false;
    const { availableBytes } = sink.space();
    return this.core.pendingCost() > Math.max(availableBytes / 4, PRESSED_BYTES);
  }

  /** What the open txg holds, and the ticket of the one that is being stored. */
  get load(): { bytes: number; records: number; storing: number | undefined } {
    const { open, closing } = this.core;
    return { bytes: open.bytes, records: open.records, storing: closing?.id };
  }

  /** See `VolumeCore.onClose`. */
  onClose(listener: (txg: Txg) => void): () => void {
    return this.core.onClose(listener);
  }

  get counts(): CommitCounts {
    return this.core.commits;
  }

  #isFull(): boolean {
    const { open } = this.core;
    return open.bytes >= TXG_BYTES || open.records >= TXG_RECORDS;
  }

  /** Closes the open txg (now, or when the writer is free); returns the ticket to wait for. */
  commit(): number {
    const { open, closing, readOnly } = this.core;
    if (open.isEmpty || readOnly) return closing?.id ?? this.#committed;
    const ticket = this.core.open.id;
    this.#close();
    return ticket;
  }

  /** Resolves when the txg is on disk; rejects when it could not be stored. */
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
    // A closed txg that the log has only in part must be in LMDB too.
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

  /**
   * Checks whether the log's flush is over; the loop calls it when woken. `waits`: blocks until it
   * is.
   */
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

  /** Called before the last flush: no fsync comes any more. Returns whether LMDB has to be told. */
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

  /** Closes the txg when it is old enough; returns ms until the next call is due. */
  tick(nowMs: number): number {
    const { openedMs } = this.core.open;
    if (openedMs === undefined) return TXG_AGE_MS;
    const left = openedMs + TXG_AGE_MS - nowMs;
    if (left > 0) return left;
    this.#close();
    return TXG_AGE_MS;
  }
}
