/**
 * Writing the store: the only place that commits.
 *
 * One LMDB transaction per batch, flushed when `apply` returns; a failure of
 * any kind leaves nothing of it. The writer maintains the delta map (rule D2);
 * the layers above never write to it.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { FsError } from '../lib/errors.js';
import { invariant } from '../lib/invariant.js';
import { failpoint } from '../lib/failpoints.js';
import { isVersioned, TABLE } from '../format/records/tables.js';
import type { WriteBatch } from './batch.js';
import { OrderedBatch } from './batch-order.js';
import type { Env, EnvOptions, StoreStats } from './env.js';
import { Lending } from './lending.js';
import { createVolumeFiles, DATA_FILE, isVolume, openEnv, tuneMemoryForWriting } from './open.js';
import { Space, type SpaceOptions, type SpaceState } from './space.js';
import { Span } from './span.js';
import { WriteTransaction } from './write-transaction.js';

/** A commit that fails with less free disk space than this failed for lack of space. */
const FULL_DISK_BYTES = 1024 * 1024;

const NOTHING = Buffer.alloc(0);

export interface WriterOptions extends EnvOptions, SpaceOptions {}

export interface CommitStats {
  id: number;
  /** Records put and deleted, delta entries not counted. */
  operations: number;
  /** Bytes of the values put. */
  valueBytes: number;
  /** LMDB's number of the transaction. */
  transaction: number;
  elapsedMs: number;
  space: SpaceState;
}

export class StoreWriter {
  readonly #env: Env;
  readonly #space: Space;
  /** The data file, for what LMDB does not do with it. */
  readonly #fd: number;
  readonly lending: Lending;
  readonly #transaction: WriteTransaction;

  private constructor(path: string, env: Env, options: WriterOptions) {
    this.#env = env;
    this.#transaction = new WriteTransaction(env);
    this.#fd = openSync(join(path, DATA_FILE), 'r+');
    this.lending = new Lending({
      fd: this.#fd,
      env,
      transaction: (body) => this.transaction(body),
      stats: () => this.stats(),
    });
    const holes = this.lending.punchAll();
    const stats = this.#takeStats();
    this.#space = new Space(this.#fd, stats, options, () => env.oldestReader(), holes);
  }

  /** `create`: makes the files when there are none. */
  static open(path: string, options: WriterOptions = {}): StoreWriter {
    tuneMemoryForWriting();
    if (options.create && !isVolume(path)) createVolumeFiles(path, options);
    return new StoreWriter(path, openEnv(path, { ...options, create: false }), options);
  }

  /** Stores a whole batch, or throws FsError (ENOSPC, EIO) and stores nothing. */
  apply(batch: WriteBatch): CommitStats {
    const startedMs = performance.now();
    const ordered = new OrderedBatch(batch);
    const valueBytes = this.transaction((tx) => this.#store(tx, ordered));
    return {
      id: batch.id,
      operations: ordered.order.length,
      valueBytes,
      transaction: this.#space.stats.lastTransaction,
      elapsedMs: performance.now() - startedMs,
      space: this.#space.space(),
    };
  }

  /** Stores the records, then the delta map, each in key order. Returns the bytes of the values. */
  #store(tx: WriteTransaction, batch: OrderedBatch): number {
    const key = new Span(NOTHING);
    const value = new Span(NOTHING);
    let valueBytes = 0;
    for (const index of batch.order) {
      const table = batch.table(index);
      batch.key(index, key);
      if (batch.isDelete(index)) {
        tx.deleteRecord(table, key);
      } else {
        tx.putRecord(table, key, batch.value(index, value));
        valueBytes += value.length;
      }
    }
    for (const index of batch.order) {
      const table = batch.table(index);
      if (isVersioned(table) && !batch.isDelete(index))
        tx.noteDeltaOf(table, batch.key(index, key));
    }
    for (const index of batch.order) {
      const table = batch.table(index);
      if (!isVersioned(table) || !batch.isDelete(index)) continue;
      tx.dropDelta(table, batch.key(index, key).view());
    }
    return valueBytes;
  }

  /**
   * Runs `body` in one transaction and commits it, flushed. When `body` throws,
   * nothing is stored and the error is rethrown. `body` is synchronous, and
   * `tx` must not be used after it.
   */
  transaction<T>(body: (tx: WriteTransaction) => T): T {
    let answer: { value: T } | undefined;
    let isCommitting = false;
    try {
      this.#env.root.transactionSync(() => {
        answer = { value: body(this.#transaction) };
        failpoint('store:before-commit');
        isCommitting = true;
      });
    } catch (error) {
      throw isCommitting ? this.#commitError(error) : error;
    }
    failpoint('store:after-commit');
    this.#space.update(this.#takeStats());
    invariant(answer !== undefined, 'the transaction ran');
    return answer.value;
  }

  #commitError(error: unknown): FsError {
    const { message } = error as Error;
    const { diskFreeBytes } = this.#space.space();
    const isFull = /ENOSPC|No space|EDQUOT|quota/i.test(message) || diskFreeBytes < FULL_DISK_BYTES;
    const failure = new FsError(isFull ? 'ENOSPC' : 'EIO', 'commit', this.#env.path);
    failure.cause = error;
    return failure;
  }

  #takeStats(): StoreStats {
    this.#env.renew();
    const stats = this.#env.stats();
    // A held state prevents the reuse of pages freed since.
    this.#env.release();
    return stats;
  }

  /** Commits a transaction without changes, so that pages freed by earlier ones become usable. */
  pass(): void {
    this.transaction((tx) => {
      for (const { key, value } of tx.range(TABLE.layers, undefined, undefined, { limit: 1 })) {
        tx.put(TABLE.layers, Buffer.from(key), Buffer.from(value));
      }
    });
  }

  stats(): StoreStats {
    return this.#space.stats;
  }

  space(): SpaceState {
    return this.#space.space();
  }

  /**
   * Allocates disk blocks in advance, so that a transaction may use `bytes`, if
   * disk and quota allow.
   */
  ensure(bytes: number): SpaceState {
    return this.#space.ensure(bytes);
  }

  /** Undefined: no limit. */
  setQuota(quotaBytes: number | undefined): void {
    this.#space.setQuota(quotaBytes);
  }

  /** Gives back what is allocated behind the end of the file. */
  releaseTail(): void {
    this.#space.releaseTail();
  }

  close(): void {
    this.#space.releaseTail();
    closeSync(this.#fd);
    this.#env.close();
  }
}
