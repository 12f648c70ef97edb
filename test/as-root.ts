/** Tests of what only root can bring about. */
import type { Test } from 'tap';

export const isRoot = process.getuid?.() === 0;

/** A test that anyone but root is told of, instead of running it. */
export function asRoot(t: Test, title: string, body: (t: Test) => void | Promise<void>): void {
  if (isRoot) t.test(title, body);
  else t.comment(`did not run, it needs root: ${title}`);
}
