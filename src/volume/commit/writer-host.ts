/**
 * The single writer of a volume: stores txgs, keeps space reserved and runs the
 * collector between txgs. Lives in the writer thread of a daemon, or in the
 * caller's own thread in tools and tests.
 */
import { performance } from 'node:perf_hooks';
import type { WriteBatch } from '../../store/batch.js';
import type { StoreStats } from '../../store/env.js';
import { MAX_RESERVE_BYTES, type SpaceState } from '../../store/space.js';
import { StoreWriter } from '../../store/writer.js';
import { Collector } from '../collector/collector.js';
import type { CommitCost, SinkSpace } from './txg-sink.js';
import { messageOf } from '../../lib/errors.js';
import { logFor } from '../../lib/log.js';
import { makeLogFile } from '../../store/log-file.js';
import { sealBlocks } from './seal-blocks.js';
import { Compaction, type CompactReport } from './compaction.js';
import { SliceSize } from '../collector/slice-size.js';

export interface WriterSetup {
  path: string;
  compression: boolean;
  quotaBytes: number;
  blockSize: number;
  hasBase: boolean;
}

export interface SpaceReport extends SinkSpace {
  canGrow: boolean;
  stats: StoreStats;
}

/**
 * The intent log is made only where this many times its size is free, so that the log does not fill
 * the disk.
 */
const LOG_SHARE = 8;

const log = logFor('writer');

const YOUNG_WORTH_BYTES = 1024 * 1024;
/** When the file has grown by so much, lent pages are taken back instead. */
const GROWN_BYTES = 16 * 1024 * 1024;
/** … so many times as much: it will go on growing. */
const BACK_FACTOR = 2;

export class WriterHost {
  readonly #writer: StoreWriter;
  readonly #path: string;
  readonly collector: Collector;
  readonly #size = new SliceSize();
  #compaction: Compaction | undefined;
  /** The file's last page when it was opened, compacted, or lent pages were taken back. */
  #lastPage: number;

  constructor(setup: WriterSetup, emptied: (layer: number) => void) {
    this.#writer = StoreWriter.open(setup.path, {
      compression: setup.compression,
      ...(setup.quotaBytes > 0 && { quotaBytes: setup.quotaBytes }),
    });
    this.#path = setup.path;
    this.#lastPage = this.#writer.stats().lastPage;
    this.collector = new Collector(setup.blockSize, setup.hasBase, emptied);
  }

  apply(batch: WriteBatch): CommitCost {
    const startMs = performance.now();
    sealBlocks(batch);
    const { operations, valueBytes } = this.#writer.apply(batch);
    const elapsedMs = performance.now() - startMs;
    this.collector.refresh(batch.count);
    return { operations, valueBytes, elapsedMs };
  }

  /** 0: no limit. */
  setQuota(bytes: number): void {
    this.#writer.setQuota(bytes > 0 ? bytes : undefined);
  }

  /** Makes room for `bytes` if the disk has it. */
  ensure(bytes: number): SpaceReport {
    const space = this.#writer.ensure(bytes);
    return this.#report(space, space.availableBytes >= bytes);
  }

  /** As it is, without taking any of the disk. */
  look(): SpaceReport {
    const space = this.#writer.space();
    const { availableBytes, growableBytes } = space;
    return this.#report(space, availableBytes + growableBytes >= MAX_RESERVE_BYTES);
  }

  #report(space: SpaceState, canGrow: boolean): SpaceReport {
    return {
      ...space,
      canGrow,
      stats: this.#writer.stats(),
    };
  }

  /** One slice of collecting; false when there is nothing to do. */
  collect(): boolean {
    const startMs = performance.now();
    let workedMs = startMs;
    let more: boolean;
    try {
      more = this.#writer.transaction((tx) => {
        const isMore = this.collector.slice(tx, this.#size.places);
        workedMs = performance.now();
        return isMore;
      });
    } catch (error) {
      this.collector.aborted();
      throw error;
    }
    this.collector.committed();
    this.#size.took(workedMs - startMs, performance.now() - workedMs);
    return more;
  }

  /**
   * Where space is short, the pages that were freed last must become usable without waiting for the
   * next change: none may come, since changes are refused. False when there is nothing to gain.
   */
  passWhenTight(): boolean {
    if (this.#writer.space().youngBytes < YOUNG_WORTH_BYTES) return false;
    this.#writer.pass();
    return true;
  }

  /** Begins to give free pages to the disk, in slices: when nothing is to be collected. */
  compact(): CompactReport {
    const failure = this.#writer.lending.tryPunch();
    if (failure < 0) return { phase: 'done', givenBytes: 0, plannedBytes: 0, failure };
    this.#compaction = new Compaction(this.#writer);
    return this.#compaction.report('collect');
  }

  get isCompacting(): boolean {
    return this.#compaction !== undefined;
  }

  /** One slice of the running one. A failure ends it. */
  compactSlice(): CompactReport {
    const compaction = this.#compaction as Compaction;
    let report: CompactReport;
    try {
      report = compaction.slice();
    } catch (error) {
      log(`compact: ${String(error)}`);
      report = { ...compaction.report('done'), error: messageOf(error) };
    }
    if (report.phase === 'done') {
      this.#compaction = undefined;
      this.#lastPage = this.#writer.stats().lastPage;
    }
    return report;
  }

  /** The file grows although the disk has pages of it: it gets those back. False: it does not. */
  takeBackWhenGrown(): boolean {
    const { lastPage, pageBytes } = this.#writer.stats();
    const grown = (lastPage - this.#lastPage) * pageBytes;
    if (grown < GROWN_BYTES || this.#writer.space().lentBytes === 0) return false;
    this.#lastPage = lastPage;
    return this.#writer.lending.takeBack(grown * BACK_FACTOR) > 0;
  }

  /** False: there is too little room for the intent log's file. Flushed when it returns. */
  makeLog(bytes: number): boolean {
    if (this.#writer.space().roomBytes < LOG_SHARE * bytes) return false;
    try {
      makeLogFile(this.#path, bytes);
      return true;
    } catch (error) {
      log(`the intent log: ${String(error)}`);
      return false;
    }
  }

  close(): void {
    this.#writer.close();
  }
}
