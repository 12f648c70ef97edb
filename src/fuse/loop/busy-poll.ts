/**
 * How long to spin for the next request before sleeping. A wake-up costs more
 * than most requests, so a short spin pays while a program sends one request
 * after another, and only then. The time grows while requests come soon after
 * the last reply, and shrinks to nothing while they don't.
 *
 * Pure except for its own state; times are in microseconds.
 */
export class BusyPoll {
  readonly #maxUs: number;
  #spinUs = 0;

  /** `maxUs` 0 switches spinning off. */
  constructor(maxUs: number) {
    this.#maxUs = maxUs;
  }

  /** How long to spin now. */
  get spinUs(): number {
    return this.#spinUs;
  }

  /** Spinning found a request `gapUs` after the descriptor was found empty. */
  hit(gapUs: number): void {
    this.#spinUs = Math.min(this.#maxUs, Math.max(this.#spinUs, gapUs * 3));
  }

  /**
   * A request ended a sleep `gapUs` after the descriptor was found empty
   * (`gapUs` includes the wake-up), or no request came.
   */
  miss(gapUs: number): void {
    if (gapUs <= 2 * this.#maxUs) {
      this.#spinUs = Math.min(this.#maxUs, this.#spinUs + this.#maxUs / 4);
    } else {
      this.#spinUs = this.#spinUs < 2 ? 0 : this.#spinUs / 2;
    }
  }
}
