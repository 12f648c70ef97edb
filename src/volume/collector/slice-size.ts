/**
 * How much the collector does in one transaction. Each one costs a flush, whatever
 * is done in it; where the disk is busy and a flush takes long, more is done between
 * two of them, or the collector would fall behind just then. Programs that wait
 * for the writer wait a little longer than for the flush alone.
 */

/** Places looked at in a transaction when flushes are quick. */
export const SLICE_PLACES = 400;
const PLACES_MAX = 16 * SLICE_PLACES;
/** Work in a transaction, as a part of what its flush takes. */
const WORK_PER_FLUSH = 0.5;
const WORK_MAX_MS = 60;

export class SliceSize {
  #places = SLICE_PLACES;

  get places(): number {
    return this.#places;
  }

  /** A slice is stored: what it did took so long, and its commit so long. */
  took(workMs: number, commitMs: number): void {
    const wantedMs = Math.min(commitMs * WORK_PER_FLUSH, WORK_MAX_MS);
    // One slow flush may be chance: at most twice as much as before.
    const wanted = workMs > 0 ? this.#places * Math.min(wantedMs / workMs, 2) : this.#places;
    this.#places = Math.round(Math.min(Math.max(wanted, SLICE_PLACES), PLACES_MAX));
  }
}
