/**
 * Which blocks to fetch ahead of a program that reads a file in order. Pure
 * except for its memory: where the last reads of some files ended.
 */

/** How many files' reads are followed. */
export const FILES_FOLLOWED = 64;
/** Bytes requested at once, when a file has been read in order for a while. */
export const AHEAD_BYTES = 4 * 1024 * 1024;
const FIRST_AHEAD_BYTES = 128 * 1024;
/**
 * Requests of one reader overtake each other, and begin inside the block where the last one ended.
 */
const NEAR_BYTES = 1024 * 1024;

interface Following {
  /** The block behind the last read. */
  next: number;
  /** Blocks before this one were read or requested. */
  asked: number;
  /** How many blocks the next request asks for. */
  ahead: number;
}

/** Blocks from … end - 1. */
export interface BlockSpan {
  from: number;
  end: number;
}

export class ReadAhead {
  readonly #files = new Map<number, Following>();
  readonly #most: number;
  readonly #least: number;
  readonly #near: number;

  constructor(blockSize: number) {
    this.#most = Math.ceil(AHEAD_BYTES / blockSize);
    this.#least = Math.ceil(FIRST_AHEAD_BYTES / blockSize);
    this.#near = Math.ceil(NEAR_BYTES / blockSize);
  }

  /**
   * The blocks first … last of a file of `blocks` blocks are read. Returns the blocks to fetch
   * ahead; undefined when the file is not read in order.
   */
  next(ino: number, first: number, last: number, blocks: number): BlockSpan | undefined {
    const known = this.#files.get(ino);
    this.#files.delete(ino);
    const goesOn = first > 0 && known !== undefined && Math.abs(first - known.next) <= this.#near;
    const end = last + 1;
    const following: Following = goesOn
      ? { next: Math.max(known.next, end), asked: Math.max(known.asked, end), ahead: known.ahead }
      : { next: end, asked: end, ahead: this.#least };
    this.#files.set(ino, following);
    if (this.#files.size > FILES_FOLLOWED) {
      this.#files.delete(this.#files.keys().next().value as number);
    }
    if (!goesOn && first > 0) return undefined;
    const { asked, ahead } = following;
    const span = Math.min(Math.max(ahead, end - first), this.#most);
    // While half of the last request lies ahead there is time.
    if (asked >= blocks || asked - following.next > span >> 1) return undefined;
    following.asked = Math.min(asked + span, blocks);
    following.ahead = span * 2;
    return { from: asked, end: following.asked };
  }
}
