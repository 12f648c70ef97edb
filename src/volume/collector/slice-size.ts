/**
 * How much the collector does in one transaction. Each transaction costs a
 * flush, whatever its size. When the disk is busy and a flush takes long, more
 * work is done per flush; otherwise the collector would fall behind just then.
 * Programs that wait for the writer wait a little longer than for the flush
 * alone.
 */

/** Places read in a transaction when flushes are fast. */
export const SLICE_PLACES = 400;
const PLACES_MAX = 16 * SLICE_PLACES;
/** Time of the work in a transaction, as a fraction of its flush. */
const WORK_PER_FLUSH = 0.5;
const WORK_MAX_MS = 60;

export class SliceSize {
  #places = SLICE_PLACES;

  get places(): number {
    return this.#places;
  }

  /** A slice is stored: its work and its commit took this long. */
  took(workMs: number, commitMs: number): void {
    const wantedMs = Math.min(commitMs * WORK_PER_FLUSH, WORK_MAX_MS);
    // A single slow flush may be chance: at most double the size each time.
    const wanted = workMs > 0 ? this.#places * Math.min(wantedMs / workMs, 2) : this.#places;
    this.#places = Math.round(Math.min(Math.max(wanted, SLICE_PLACES), PLACES_MAX));
  }
}
