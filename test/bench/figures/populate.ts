/** Trees for the figures of shadowfs alone. */
import { child, interruptible, run } from '../shell.js';
import { counted, type FigureContext } from './figure.js';

const POPULATED_AT_ONCE = 50_000;

/** So many files below `root` (child/name-jobs.ts), known to its disk. */
export async function populate(context: FigureContext, root: string, files: number): Promise<void> {
  for (let from = 0; from < files; from += POPULATED_AT_ONCE) {
    const to = Math.min(files, from + POPULATED_AT_ONCE);
    child('populate', root, from, to);
    context.say(`tree of ${counted(files)} files: ${counted(to)}`);
    await interruptible();
  }
  run('sync', ['-f', root]);
}
