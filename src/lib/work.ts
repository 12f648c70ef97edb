/**
 * Long work in pieces, for a thread that also serves requests: a generator that
 * yields often. Its caller decides when it continues.
 */
import { Deferred } from './deferred.js';

/** Something to wait for. */
export interface Settling {
  settled(resolved: () => void, rejected: (error: unknown) => void): void;
}

/**
 * After `undefined` the work is resumed at once; after a `Deferred`, when that
 * settles. A rejection is thrown where the work waits.
 */
export type Work<T> = Generator<Settling | undefined, T, undefined>;

/** Waits, inside a piece of work, for an answer. */
export function* answerOf<T>(deferred: Deferred<T>): Work<T> {
  const values: T[] = [];
  deferred.settled(
    (value) => values.push(value),
    () => undefined,
  );
  yield deferred;
  return values[0] as T;
}

export function settledWith<T>(value: T): Deferred<T> {
  const done = new Deferred<T>();
  done.resolve(value);
  return done;
}

const NOTHING_TO_WAIT_FOR = (): never => {
  throw new Error('this work waits for something');
};

/** Runs the work to its end in this call; `wait` lets the awaited event happen. */
export function workNow<T>(work: Work<T>, wait: () => void = NOTHING_TO_WAIT_FOR): T {
  let failures: unknown[] = [];
  for (;;) {
    const { value, done } = failures.length > 0 ? work.throw(failures[0]) : work.next();
    failures = [];
    if (done === true) return value;
    if (value === undefined) continue;
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    value.settled(settle, (error) => {
      settle();
      failures.push(error);
    });
    if (!isSettled) wait();
  }
}

/** Runs the work in slices: `addJob` calls its argument in spare time until it returns true. */
export function workInSlices<T>(work: Work<T>, addJob: (next: () => boolean) => void): Deferred<T> {
  const answer = new Deferred<T>();
  let failure: { error: unknown } | undefined;
  const next = (): boolean => {
    try {
      const thrown = failure;
      failure = undefined;
      const { value, done } = thrown === undefined ? work.next() : work.throw(thrown.error);
      if (done === true) {
        answer.resolve(value);
        return true;
      }
      if (value === undefined) return false;
      value.settled(
        () => addJob(next),
        (error) => {
          failure = { error };
          addJob(next);
        },
      );
    } catch (error) {
      answer.reject(error);
    }
    return true;
  };
  addJob(next);
  return answer;
}
