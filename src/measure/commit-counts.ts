/** What storing the txgs cost. One object per volume, counted in the serving thread. */
import type { CommitFigures } from './stats-report.js';

const NOTHING: CommitFigures = {
  groups: 0,
  records: 0,
  storedBytes: 0,
  storeMs: 0,
  storeMaxMs: 0,
  handOverMs: 0,
  waitedMs: 0,
  syncsByLog: 0,
  syncsByStore: 0,
  logFlushes: 0,
  logFlushMs: 0,
  logFlushMaxMs: 0,
};

export class CommitCounts {
  #figures: CommitFigures = { ...NOTHING };

  stored(records: number, bytes: number, ms: number): void {
    const figures = this.#figures;
    figures.groups++;
    figures.records += records;
    figures.storedBytes += bytes;
    figures.storeMs += ms;
    figures.storeMaxMs = Math.max(figures.storeMaxMs, ms);
  }

  handedOver(ms: number): void {
    this.#figures.handOverMs += ms;
  }

  waited(ms: number): void {
    this.#figures.waitedMs += ms;
  }

  /** One flush of the intent log answered `syncs` fsyncs. */
  syncedByLog(syncs: number, ms: number): void {
    const figures = this.#figures;
    figures.syncsByLog += syncs;
    figures.logFlushes++;
    figures.logFlushMs += ms;
    figures.logFlushMaxMs = Math.max(figures.logFlushMaxMs, ms);
  }

  syncedByStore(syncs: number): void {
    this.#figures.syncsByStore += syncs;
  }

  reset(): void {
    this.#figures = { ...NOTHING };
  }

  figures(): CommitFigures {
    return { ...this.#figures };
  }
}
