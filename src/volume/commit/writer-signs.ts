/**
 * What the writer thread, who started it and the sink tell each other in shared
 * memory, so that a thread that never yields to its event loop, or waits for
 * the writer, hears of the writer's end.
 */
/** Counts what there is to look at: messages, and the end. */
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

  // Of the writer thread

  hasSpoken(): void {
    Atomics.add(this.#words, NEWS, 1);
    Atomics.notify(this.#words, NEWS);
  }

  // Of who started it

  /** The thread is gone. False: that is known already, or the sink has asked for it. */
  ended(why: string): boolean {
    if (this.end !== undefined) return false;
    const length = this.#why.write(why);
    Atomics.store(this.#words, WHY_LENGTH, length);
    const before = Atomics.exchange(this.#words, STATE, ENDED);
    this.hasSpoken();
    return before === RUNS;
  }

  // Of the sink

  closes(): void {
    Atomics.compareExchange(this.#words, STATE, RUNS, CLOSES);
  }

  /** Why the thread is gone; undefined while it is there. */
  get end(): string | undefined {
    if (Atomics.load(this.#words, STATE) !== ENDED) return undefined;
    return this.#why.toString('utf8', 0, Atomics.load(this.#words, WHY_LENGTH));
  }

  get news(): number {
    return Atomics.load(this.#words, NEWS);
  }

  /** Waits for news after `seen`. False: there were none. */
  wait(seen: number, timeoutMs: number): boolean {
    return Atomics.wait(this.#words, NEWS, seen, timeoutMs) !== 'timed-out';
  }
}
