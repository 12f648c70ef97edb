/**
 * An answer that comes later, settled exactly once, without promises: the
 * serving loop never yields to the event loop, so promises would never run.
 */
export class Deferred<T> {
  /** Cancels the wait, where that is possible: settles it with an error. */
  cancel: (() => void) | undefined = undefined;
  #state: 'waiting' | 'resolved' | 'rejected' = 'waiting';
  #value: T | undefined;
  #error: unknown;
  #listeners: {
    resolved: (value: T) => void;
    rejected: (error: unknown) => void;
  }[] = [];

  resolve(value: T): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'resolved';
    this.#value = value;
    for (const listener of this.#listeners) listener.resolved(value);
    this.#listeners = [];
  }

  reject(error: unknown): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'rejected';
    this.#error = error;
    for (const listener of this.#listeners) listener.rejected(error);
    this.#listeners = [];
  }

  /** Calls one of the two when it settles, at once if it already has. */
  settled(resolved: (value: T) => void, rejected: (error: unknown) => void): void {
    if (this.#state === 'resolved') resolved(this.#value as T);
    else if (this.#state === 'rejected') rejected(this.#error);
    else this.#listeners.push({ resolved, rejected });
  }
}

/**
 * Continues with `next` when `before` is settled; the result of `next` (now or
 * later) is the result.
 */
export function after<T, R>(before: Deferred<T>, next: (value: T) => R | Deferred<R>): Deferred<R> {
  const answer = new Deferred<R>();
  const fail = (error: unknown): void => answer.reject(error);
  before.settled((value) => {
    let made: R | Deferred<R>;
    try {
      made = next(value);
    } catch (error) {
      fail(error);
      return;
    }
    if (made instanceof Deferred) made.settled((result: R) => answer.resolve(result), fail);
    else answer.resolve(made);
  }, fail);
  return answer;
}

/** The same answer; a failure becomes what `change` makes of it. */
export function failing<T>(before: Deferred<T>, change: (error: unknown) => unknown): Deferred<T> {
  const answer = new Deferred<T>();
  before.settled(
    (value) => answer.resolve(value),
    (error) => answer.reject(change(error)),
  );
  return answer;
}
