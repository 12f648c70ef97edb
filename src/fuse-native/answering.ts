/**
 * Runs operations for the package: each call gets exactly one answer, even when
 * something is thrown (a call without an answer hangs its program), and changes
 * wait, in order, while the volume accepts none.
 */
import { Deferred } from '../lib/deferred.js';
import { ERRNO, errnoOf, FsError } from '../lib/errors.js';
import { InvariantError } from '../lib/invariant.js';

const RETRY_MS = 20;

export interface Answer<T> {
  done(value: T): void;
  failed(errno: number): void;
}

export class Answering {
  readonly #waiting: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** Calls that are answered or in work. */
  served = 0;
  #isClosed = false;
  #isHeld = false;

  constructor(
    readonly beginChange: () => boolean,
    readonly log: (message: string) => void,
  ) {}

  run<T>(work: () => T | Deferred<T>, answer: Answer<T>): void {
    this.served++;
    const failed = (error: unknown): void => answer.failed(this.#errnoOf(error));
    let result: T | Deferred<T>;
    try {
      if (this.#isClosed) throw new FsError('ENODEV');
      result = work();
    } catch (error) {
      failed(error);
      return;
    }
    if (result instanceof Deferred) result.settled((value) => answer.done(value), failed);
    else answer.done(result);
  }

  change<T>(work: () => T | Deferred<T>, answer: Answer<T>): void {
    if (this.#waiting.length === 0 && this.#mayChange()) this.run(work, answer);
    else this.#wait(() => this.run(work, answer));
  }

  #mayChange(): boolean {
    return !this.#isHeld && this.beginChange();
  }

  /** Later changes wait until `retry`. Reads continue. */
  holdChanges(): void {
    this.#isHeld = true;
  }

  letGo(): void {
    this.#isHeld = false;
    this.retry();
  }

  #wait(run: () => void): void {
    this.#waiting.push(run);
    this.#timer ??= setTimeout(() => this.retry(), RETRY_MS);
  }

  /** The volume may accept changes again. */
  retry(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#waiting.length > 0 && this.#mayChange()) this.#waiting.shift()?.();
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.retry(), RETRY_MS);
  }

  /** Answers later calls with ENODEV. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const run of this.#waiting.splice(0)) run();
  }

  #errnoOf(error: unknown): number {
    const expected = errnoOf(error);
    if (expected !== undefined) return expected;
    // Past a failed invariant it is better to restart than to go on wrong.
    if (error instanceof InvariantError) throw error;
    this.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return ERRNO.EIO;
  }
}
