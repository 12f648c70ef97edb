/**
 * Giving free pages back to the disk, slice by slice, in the writer between
 * txgs. First everything that no view sees is collected; then the pages that
 * were freed last come of age; then they are lent (`store/lending.ts`), as long
 * as that gives enough; at last what is allocated behind the file's end goes.
 */
import { performance } from 'node:perf_hooks';
import { MAX_RESERVE_BYTES } from '../../store/space.js';
import type { StoreWriter } from '../../store/writer.js';

export interface CompactReport {
  phase: 'collect' | 'lend' | 'done';
  /** What the disk has got. */
  givenBytes: number;
  /** What it will get, as far as that is known. */
  plannedBytes: number;
  /** Negative errno: the file system can't punch holes. Nothing was done. */
  failure?: number;
  /** Why it ended before it was done; what was given stays so. */
  error?: string;
}

const MIB = 1024 * 1024;
/** Pages that the last transactions freed are used again two transactions later. */
const PASSES = 3;
/** A round that finds less is not worth its transactions. */
const ROUND_LEAST_BYTES = MIB;
const ROUNDS_MAX = 10;
const SLICE_LEAST_BYTES = MIB;
const SLICE_MOST_BYTES = 16 * MIB;
/** A txg that comes meanwhile waits so long. */
const SLICE_MS = 25;

export class Compaction {
  readonly #writer: StoreWriter;
  #passes = 0;
  #rounds = 0;
  #sliceBytes = 4 * MIB;
  #givenBytes = 0;
  #roundBytes = 0;
  #plannedBytes = 0;
  #isPlanned = false;

  constructor(writer: StoreWriter) {
    this.#writer = writer;
  }

  /** Nothing to collect is left: one piece of the rest. */
  slice(): CompactReport {
    if (this.#passes < PASSES) {
      this.#passes++;
      this.#writer.pass();
      return this.report('lend');
    }
    return this.#isPlanned ? this.#lend() : this.#plan();
  }

  #plan(): CompactReport {
    const found = this.#writer.lending.plan();
    // A round that gave nothing found runs that LMDB does not see: the next one finds the same.
    const isOver =
      found < ROUND_LEAST_BYTES ||
      this.#rounds++ >= ROUNDS_MAX ||
      (this.#rounds > 1 && this.#roundBytes < ROUND_LEAST_BYTES);
    if (isOver) return this.#end();
    this.#plannedBytes = this.#givenBytes + found;
    this.#roundBytes = 0;
    this.#isPlanned = true;
    return this.report('lend');
  }

  #lend(): CompactReport {
    const startMs = performance.now();
    const { bytes, isMore } = this.#writer.lending.lend(this.#sliceBytes);
    const tookMs = performance.now() - startMs;
    const fitting = this.#sliceBytes * Math.min(2, Math.max(0.5, SLICE_MS / tookMs));
    this.#sliceBytes = Math.min(SLICE_MOST_BYTES, Math.max(SLICE_LEAST_BYTES, fitting));
    this.#givenBytes += bytes;
    this.#roundBytes += bytes;
    if (!isMore) {
      // What was freed meanwhile comes of age before it is looked for.
      this.#isPlanned = false;
      this.#passes = 0;
    }
    return this.report('lend');
  }

  #end(): CompactReport {
    const before = this.#writer.space().aheadBytes;
    this.#writer.releaseTail();
    // What has to be ahead is taken again at once.
    this.#writer.ensure(MAX_RESERVE_BYTES);
    this.#givenBytes += Math.max(0, before - this.#writer.space().aheadBytes);
    this.#plannedBytes = this.#givenBytes;
    return this.report('done');
  }

  report(phase: CompactReport['phase']): CompactReport {
    const plannedBytes = Math.max(this.#plannedBytes, this.#givenBytes);
    return { phase, givenBytes: this.#givenBytes, plannedBytes };
  }
}
