#!/usr/bin/env node
/**
 * The command line: `shadowfs COMMAND …`.
 *
 * Doors inside cli/: control-client, options, output, progress, state, target,
 *   timings.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { COMMANDS } from './commands/commands.js';
import { helperWords, runHelper } from './mount/mount-helper.js';
import { EXIT_USAGE } from './output.js';

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

const program = new Command('shadowfs')
  .description('Instant, undoable history over any directory.')
  .version(packageVersion())
  .exitOverride()
  .showHelpAfterError('(shadowfs COMMAND --help shows what a command takes)');

for (const add of COMMANDS) add(program);
for (const command of program.commands) {
  command.exitOverride();
  for (const below of command.commands) below.exitOverride();
}

// `shadowfs snapshots | head` closes our output early, which is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const helper = helperWords(process.argv.slice(2));
try {
  if (helper !== undefined) process.exitCode = await runHelper(helper.name, helper.words);
  else await program.parseAsync();
} catch (error) {
  // Commander has printed the error; help and version end without a failure.
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
}
