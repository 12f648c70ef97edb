/** A question to the person at the terminal. */
import { createInterface } from 'node:readline/promises';

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

/** False: anything but a yes. Without a terminal nobody is asked, and it is a yes. */
export async function confirmed(question: string): Promise<boolean> {
  if (!canAsk()) return true;
  return /^y(es)?$/i.test((await askLine(`${question} [y/N] `))?.trim() ?? '');
}
