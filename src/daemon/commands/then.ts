/** Strings answers that come later together, without promises (see `Deferred`). */
import { Deferred } from '../../lib/deferred.js';

/** When `before` is settled, goes on with `next`, whose answer (now or later) is the answer. */
export function step<T, R>(before: Deferred<T>, next: (value: T) => R | Deferred<R>): Deferred<R> {
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
