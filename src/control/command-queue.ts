/**
 * Runs one command at a time: a second one waits until the first is answered.
 *
 * Owns the order of commands. What must hold: each job's answer settles exactly
 * once; a job that throws or rejects does not stop the jobs behind it; the
 * number of waiting jobs is bounded.
 */
import { CommandError } from '../lib/errors.js';
import { Deferred } from '../lib/deferred.js';

/** Far above the normal use by people and scripts; a runaway loop gets EBUSY. */
const MAX_WAITING_COMMANDS = 256;

interface Job<T> {
  name: string;
  start: () => Deferred<T>;
  answer: Deferred<T>;
}

export class CommandQueue<T> {
  #waiting: Job<T>[] = [];
  #current: Job<T> | undefined;
  #starting = false;

  /** Name of the running command. */
  get current(): string | undefined {
    return this.#current?.name;
  }

  get isIdle(): boolean {
    return this.#current === undefined && this.#waiting.length === 0;
  }

  /** Calls `start` when all earlier commands are answered. */
  run(name: string, start: () => Deferred<T>): Deferred<T> {
    const answer = new Deferred<T>();
    if (this.#waiting.length >= MAX_WAITING_COMMANDS) {
      answer.reject(
        new CommandError(
          'too-many-commands',
          'EBUSY',
          `${MAX_WAITING_COMMANDS} commands are waiting already`,
        ),
      );
      return answer;
    }
    this.#waiting.push({ name, start, answer });
    this.#next();
    return answer;
  }

  #next(): void {
    // A job that settles at once would recurse; the loop below starts the next one instead.
    if (this.#starting) return;
    this.#starting = true;
    while (this.#current === undefined) {
      const job = this.#waiting.shift();
      if (job === undefined) break;
      this.#current = job;
      this.#start(job);
    }
    this.#starting = false;
  }

  #start(job: Job<T>): void {
    let running: Deferred<T>;
    try {
      running = job.start();
    } catch (error) {
      this.#finish(() => job.answer.reject(error));
      return;
    }
    running.settled(
      (value) => this.#finish(() => job.answer.resolve(value)),
      (error) => this.#finish(() => job.answer.reject(error)),
    );
  }

  #finish(tell: () => void): void {
    this.#current = undefined;
    try {
      tell();
    } finally {
      this.#next();
    }
  }
}
