#!/usr/bin/env node
/**
 * The command line: `shadowfs COMMAND …`.
 *
 * Doors inside cli/: control-client, near-commands, options, output, program,
 *   progress, state, table, target, timings, values, working-directory.
 */
import { CommanderError } from 'commander';
import { helperWords, runHelper } from './mount/mount-helper.js';
import { EXIT_USAGE, printJson, reportFailure } from './output.js';
import { makeProgram } from './program.js';
import { commandWords } from './words.js';

// `shadowfs snapshots | head` closes our output early, which is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

async function run(words: readonly string[]): Promise<void> {
  const isJson = words.includes('--json');
  try {
    await makeProgram().parseAsync(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) reportFailure(error, isJson);
    else if (error.exitCode !== 0) {
      // Commander has printed it for people.
      process.exitCode = EXIT_USAGE;
      const message = error.message.replace(/^error: /, '');
      if (isJson) printJson({ ok: false, code: 'wrong-usage', errno: 'EINVAL', message });
    }
  }
}

const words = commandWords();
const helper = helperWords(words);
if (helper !== undefined) process.exitCode = await runHelper(helper.name, helper.words);
else await run(words);
