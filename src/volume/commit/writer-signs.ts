/**
 * Shared memory between the writer thread, the thread that started it and the
 * sink. Through it a thread that never yields to its event loop, or that waits
 * for the writer, learns of the writer's end.
 */
/** Counts events: messages, and the end. */
const NEWS = 0;
const STATE = 1;
const WHY_LENGTH = 2;
const WORDS = 3;
const WHY_MAX_BYTES = 4096;

const RUNS = 0;
const CLOSES = 1;
const ENDED = 2;

export class WriterSigns {
  readonly #words: Int32Array;
  readonly #why: Buffer;

  constructor(readonly memory = new SharedArrayBuffer(WORDS * 4 + WHY_MAX_BYTES)) {
    this.#words = new Int32Array(memory, 0, WORDS);
    this.#why = Buffer.from(memory, WORDS * 4);
  }

  // Used by the writer thread

  hasSpoken(): void {
    Atomics.add(this.#words, NEWS, 1);
    Atomics.notify(this.#words, NEWS);
  }

  // Used by the thread that started it

  /** Marks the thread as gone. False: it was marked before, or the sink has asked for the end. */
  ended(why: string): boolean {
    if (this.end !== undefined) return false;
    const length = this.#why.write(why);
    Atomics.store(this.#words, WHY_LENGTH, length);
    const before = Atomics.exchange(this.#words, STATE, ENDED);
    this.hasSpoken();
    return before === RUNS;
  }

  // Used by the sink

  closes(): void {
    Atomics.compareExchange(this.#words, STATE, RUNS, CLOSES);
  }

  /** Why the thread is gone; undefined while it runs. */
  get end(): string | undefined {
    if (Atomics.load(this.#words, STATE) !== ENDED) return undefined;
    return this.#why.toString('utf8', 0, Atomics.load(this.#words, WHY_LENGTH));
  }

  get news(): number {
    return Atomics.load(this.#words, NEWS);
  }

  /** Waits for news after `seen`. False: there was none. */
  wait(seen: number, timeoutMs: number): boolean {
    return Atomics.wait(this.#words, NEWS, seen, timeoutMs) !== 'timed-out';
  }
}
