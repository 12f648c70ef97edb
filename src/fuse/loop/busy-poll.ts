/**
 * How long to look for the next request before going to sleep. Waking up costs
 * more than most requests take, so a short spin pays while a program sends one
 * request after another, and only then: the time grows while requests come
 * soon after the last reply and shrinks to nothing while they don't.
 *
 * Pure apart from its own state; times are in microseconds.
 */
export class BusyPoll {
  readonly #maxUs: number;
  #spinUs = 0;

  /** `maxUs` 0 switches it off. */
  constructor(maxUs: number) {
    this.#maxUs = maxUs;
  }

  /** How long to spin now. */
  get spinUs(): number {
    return this.#spinUs;
  }

  /** A request came `gapUs` after the descriptor was found empty, found by spinning. */
  hit(gapUs: number): void {
    this.#spinUs = Math.min(this.#maxUs, Math.max(this.#spinUs, gapUs * 3));
  }

  /**
   * A request came `gapUs` after the descriptor was found empty, out of a sleep
   * (so `gapUs` contains the time of waking up); or nothing came at all.
   */
  miss(gapUs: number): void {
    if (gapUs <= 2 * this.#maxUs) {
      this.#spinUs = Math.min(this.#maxUs, this.#spinUs + this.#maxUs / 4);
    } else {
      this.#spinUs = this.#spinUs < 2 ? 0 : this.#spinUs / 2;
    }
  }
}
