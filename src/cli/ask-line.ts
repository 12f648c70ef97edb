/** A question to the person at the terminal. */
import { createInterface } from 'node:readline/promises';
import { CommandError } from '../lib/errors.js';

/** Standard input and standard error are a person's terminal. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Undefined: the terminal gives no more, or somebody pressed Ctrl-C. */
export async function askLine(question: string): Promise<string | undefined> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return await new Promise((resolve) => {
    const end = (line: string | undefined): void => {
      resolve(line);
      terminal.close();
    };
    terminal.once('SIGINT', () => end(undefined));
    terminal.once('close', () => {
      process.stderr.write('\n');
      resolve(undefined);
    });
    terminal.question(question).then(
      (line) => {
        terminal.removeAllListeners('close');
        end(line);
      },
      () => end(undefined),
    );
  });
}

/**
 * Asks before snapshots are deleted; without a terminal nobody is asked. Throws CommandError
 * `not-confirmed`: anything but a yes.
 */
export async function confirmDeletion(question: string): Promise<void> {
  if (!canAsk()) return;
  const answer = await askLine(`${question} [y/N] `);
  if (/^y(es)?$/i.test(answer?.trim() ?? '')) return;
  throw new CommandError('not-confirmed', 'EINVAL', 'nothing was deleted');
}
