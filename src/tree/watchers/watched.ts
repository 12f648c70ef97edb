/** What programs watch of a mount. */

export interface WatchedParts {
  /** Inode numbers, live ones only. */
  inodes: readonly number[];
  /** Somebody watches the whole file system (fanotify). */
  everything: boolean;
}

export class Watched {
  readonly #inodes: ReadonlySet<number>;
  readonly everything: boolean;

  constructor({ inodes, everything }: WatchedParts) {
    this.#inodes = new Set(inodes);
    this.everything = everything;
  }

  has(ino: number): boolean {
    return this.everything || this.#inodes.has(ino);
  }

  get inodes(): Iterable<number> {
    return this.#inodes;
  }

  get isEmpty(): boolean {
    return !this.everything && this.#inodes.size === 0;
  }
}
