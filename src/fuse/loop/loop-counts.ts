/** How the serving loop spends its time outside requests. */
import type { LoopFigures } from '../../measure/stats-report.js';

const NOTHING: LoopFigures = {
  sleeps: 0,
  idleMs: 0,
  spinHits: 0,
  spinMisses: 0,
  spinMs: 0,
  messagesMs: 0,
  jobsMs: 0,
};

export class LoopCounts {
  #figures: LoopFigures = { ...NOTHING };

  slept(ms: number): void {
    this.#figures.sleeps++;
    this.#figures.idleMs += ms;
  }

  /** Looked for the next request without sleeping; `found`: it came. */
  spun(found: boolean, ms: number): void {
    if (found) this.#figures.spinHits++;
    else this.#figures.spinMisses++;
    this.#figures.spinMs += ms;
  }

  messages(ms: number): void {
    this.#figures.messagesMs += ms;
  }

  jobs(ms: number): void {
    this.#figures.jobsMs += ms;
  }

  reset(): void {
    this.#figures = { ...NOTHING };
  }

  figures(): LoopFigures {
    return { ...this.#figures };
  }
}
