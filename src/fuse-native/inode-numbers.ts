/**
 * st_ino in 32 bits, the package's limit. Small numbers stay unchanged. All
 * others get a number of the upper half, in the order of requests, so that two
 * inodes never share one (programs would take them for hard links).
 *
 * Owns a table of bounded size. When it is full it starts again, with numbers
 * that were not used before.
 */
const UPPER_HALF = 2 ** 31;
const END = 2 ** 32;
const TABLE_MAX = 250_000;

export class InodeNumbers {
  readonly #given = new Map<string, number>();
  #next = UPPER_HALF;

  constructor(readonly tableMax = TABLE_MAX) {}

  of(high: number, low: number): number {
    if (high === 0 && low < UPPER_HALF) return low;
    const key = `${high}.${low}`;
    const known = this.#given.get(key);
    if (known !== undefined) return known;
    if (this.#given.size >= this.tableMax) this.#given.clear();
    const number = this.#next;
    this.#next = number + 1 < END ? number + 1 : UPPER_HALF;
    this.#given.set(key, number);
    return number;
  }
}
