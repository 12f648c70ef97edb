/**
 * A merge and the apply of what it brought, as one command: done wholly, or the
 * merge is taken back.
 */
import { after, Deferred } from '../../lib/deferred.js';
import type { Answer } from '../../control/command.js';

interface Parts {
  merge(): Deferred<Answer>;
  apply(paths: readonly string[]): Deferred<Answer>;
  /** Takes the merge back. */
  takeBack(): Deferred<Answer>;
}

export function mergeAndApply(parts: Parts): Deferred<Answer> {
  return after(parts.merge(), (merged): Answer | Deferred<Answer> => {
    if (merged['outcome'] === 'unchanged') return { ...merged, applied: null };
    const done = new Deferred<Answer>();
    parts.apply(pathsOf(merged)).settled(
      (applied) => done.resolve({ ...merged, applied }),
      (error) => {
        const fail = (): void => done.reject(error);
        parts.takeBack().settled(fail, fail);
      },
    );
    return done;
  });
}

/** Of everything that the merge changed; none, of too much to name: the whole tree. */
function pathsOf({ items, truncated }: Answer): string[] {
  if (truncated === true) return [];
  const paths = new Set<string>();
  for (const { path, oldPath } of items as { path: string; oldPath?: string }[]) {
    paths.add(path);
    if (oldPath !== undefined) paths.add(oldPath);
  }
  return [...paths];
}
