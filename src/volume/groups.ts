/**
 * When groups are closed, and who waits for them: a group closes by age, by
 * size (core), for an fsync or a command; an answer that promises durability
 * waits for its group's ticket.
 */
import { performance } from 'node:perf_hooks';
import { Deferred } from '../base/deferred.js';
import { FsError } from '../base/errors.js';
import type { VolumeCore } from './core.js';
import type { SinkEvents } from './group-sink.js';
import { ThreadSink } from './thread-sink.js';

/** A group is closed when it is this old. */
export const GROUP_AGE_MS = 700;

export class Groups {
  readonly #waiting: { ticket: number; done: Deferred<void> }[] = [];
  #committed = 0;
  /** A group must be closed as soon as the writer is free. */
  #closeWanted = false;

  constructor(readonly core: VolumeCore) {}

  /** What the sink is to call. */
  events(emptied: (layer: number) => void): SinkEvents {
    return {
      committed: (id, { operations, valueBytes, elapsedMs }) => {
        this.core.commits.stored(operations, valueBytes, elapsedMs);
        this.core.groupCommitted(id);
        this.#committed = id;
        if (this.#closeWanted) this.#closeNow();
        this.#answer();
      },
      failed: (id, error) => {
        this.core.failure = error;
        const failed = new FsError('EIO', 'commit', `group ${id}: ${error.message}`);
        for (const { done } of this.#waiting.splice(0)) done.reject(failed);
      },
      emptied: (layer) => {
        // What was in the layer may lie in another one now: views without the layer must see it.
        this.core.reader.refresh();
        emptied(layer);
      },
      collected: () => {
        this.core.spaceChanged();
        this.core.reader.refresh();
      },
    };
  }

  #answer(): void {
    const ready = this.#waiting.filter((w) => w.ticket <= this.#committed);
    if (ready.length === 0) return;
    const rest = this.#waiting.filter((w) => w.ticket > this.#committed);
    this.#waiting.splice(0, this.#waiting.length, ...rest);
    for (const { done } of ready) done.resolve();
  }

  #closeNow(): void {
    if (this.core.closeGroup()) this.#closeWanted = false;
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
    if (this.core.failure !== undefined) done.reject(new FsError('EIO', 'commit'));
    else if (ticket <= this.#committed) done.resolve();
    else this.#waiting.push({ ticket, done });
    return done;
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
    if (openedMs === undefined) return GROUP_AGE_MS;
    const left = openedMs + GROUP_AGE_MS - nowMs;
    if (left > 0) return left;
    this.#closeWanted = true;
    this.#closeNow();
    return GROUP_AGE_MS;
  }
}
