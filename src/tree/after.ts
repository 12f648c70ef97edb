/** Chains answers that come later. */
import { CommandError, FsError } from '../lib/errors.js';
import { Deferred } from '../lib/deferred.js';

/** Settles with what `then` makes of the result; what `then` throws rejects. */
export function after<T, R>(waited: Deferred<T>, then: (value: T) => R): Deferred<R> {
  const result = new Deferred<R>();
  waited.settled(
    (value) => {
      let made: R;
      try {
        made = then(value);
      } catch (error) {
        result.reject(error);
        return;
      }
      result.resolve(made);
    },
    (error) => result.reject(asFsError(error)),
  );
  return result;
}

/** A command's failure as the errno that the system call returns. */
function asFsError(error: unknown): unknown {
  if (error instanceof CommandError) return new FsError(error.errno, error.code);
  return error;
}
