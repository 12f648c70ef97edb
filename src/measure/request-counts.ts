/**
 * The requests of one mount and how long they took, by kind. It runs for every
 * request: a kind's histogram is allocated when the kind first comes, and
 * nothing after that.
 *
 * `served` counts a request that is answered at once. For a request that has to
 * wait (for the disk, a commit, its turn), `begun` counts the time of the
 * serving thread, and `late` the time from arrival to answer.
 */
import { LogHistogram } from './log-histogram.js';
import type { RequestFigures } from './stats-report.js';

export class RequestCounts {
  readBytes = 0;
  writtenBytes = 0;

  readonly #names: readonly (string | undefined)[];
  readonly #counts: Float64Array;
  readonly #errors: Float64Array;
  readonly #late: Float64Array;
  /** Time of the serving thread. */
  readonly #busyMs: Float64Array;
  /** From arrival to answer. */
  readonly #totalMs: Float64Array;
  readonly #maxMs: Float64Array;
  readonly #histograms: (LogHistogram | undefined)[];

  /** `names` by kind; a kind without a name is counted under the last one. */
  constructor(names: readonly (string | undefined)[]) {
    const size = names.length;
    this.#names = names;
    this.#counts = new Float64Array(size);
    this.#errors = new Float64Array(size);
    this.#late = new Float64Array(size);
    this.#busyMs = new Float64Array(size);
    this.#totalMs = new Float64Array(size);
    this.#maxMs = new Float64Array(size);
    this.#histograms = new Array<LogHistogram | undefined>(size).fill(undefined);
  }

  #known(kind: number): number {
    return this.#names[kind] === undefined ? this.#names.length - 1 : kind;
  }

  /** Answered at once. */
  served(kind: number, isError: boolean, ms: number): void {
    const known = this.#known(kind);
    this.#busyMs[known] = (this.#busyMs[known] as number) + ms;
    this.#answered(known, isError, ms);
  }

  /** To be answered later; it took `ms` of this thread so far. */
  begun(kind: number, ms: number): void {
    const known = this.#known(kind);
    this.#busyMs[known] = (this.#busyMs[known] as number) + ms;
  }

  /** Answered `ms` after its arrival. */
  late(kind: number, isError: boolean, ms: number): void {
    const known = this.#known(kind);
    this.#late[known] = (this.#late[known] as number) + 1;
    this.#answered(known, isError, ms);
  }

  #answered(kind: number, isError: boolean, ms: number): void {
    this.#counts[kind] = (this.#counts[kind] as number) + 1;
    if (isError) this.#errors[kind] = (this.#errors[kind] as number) + 1;
    this.#totalMs[kind] = (this.#totalMs[kind] as number) + ms;
    if (ms > (this.#maxMs[kind] as number)) this.#maxMs[kind] = ms;
    let histogram = this.#histograms[kind];
    if (histogram === undefined) {
      histogram = new LogHistogram();
      this.#histograms[kind] = histogram;
    }
    histogram.add(ms);
  }

  reset(): void {
    this.readBytes = 0;
    this.writtenBytes = 0;
    for (const numbers of [
      this.#counts,
      this.#errors,
      this.#late,
      this.#busyMs,
      this.#totalMs,
      this.#maxMs,
    ]) {
      numbers.fill(0);
    }
    for (const histogram of this.#histograms) histogram?.clear();
  }

  /** Kinds that came, in descending order of the serving thread's time. */
  figures(): RequestFigures[] {
    const found: RequestFigures[] = [];
    for (const [kind, name] of this.#names.entries()) {
      const busyMs = this.#busyMs[kind] as number;
      const count = this.#counts[kind] as number;
      if (name === undefined || (count === 0 && busyMs === 0)) continue;
      found.push({
        name,
        count,
        errors: this.#errors[kind] as number,
        late: this.#late[kind] as number,
        busyMs,
        totalMs: this.#totalMs[kind] as number,
        maxMs: this.#maxMs[kind] as number,
        distribution: this.#histograms[kind]?.distribution() ?? [],
      });
    }
    return found.sort((a, b) => b.busyMs - a.busyMs);
  }
}
