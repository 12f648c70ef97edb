/** Runs one command, and reports words that commander does not understand. */
import { CommanderError } from 'commander';
import { EXIT_USAGE, printJson, reportFailure } from './output.js';
import { plainly } from './plain-usage.js';
import { makeProgram } from './program.js';

export async function run(words: readonly string[]): Promise<void> {
  const isJson = words.includes('--json');
  try {
    await (await makeProgram(words)).parseAsync(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) reportFailure(error, isJson);
    else if (error.exitCode !== 0) {
      // Commander has printed it for people.
      process.exitCode = EXIT_USAGE;
      const message = plainly(error.message);
      if (isJson) printJson({ ok: false, code: 'wrong-usage', errno: 'EINVAL', message });
    }
  }
}
