#!/usr/bin/env node
/**
 * The command line: `shadowfs COMMAND …`.
 *
 * Doors inside cli/: ask-line, control-client, control-place, directory-word, end-signals,
 *   freed-bytes, lines-of-names, near-commands, options, output, plain-usage, program,
 *   program-walk, progress, state, table, target, timings, values, width, words,
 *   working-directory.
 */
import { FILES_WORD, NAMES_WORD } from './hidden-words.js';
import { helperWords } from './mount/helper-words.js';
import { commandWords } from './words.js';

// `shadowfs snapshots | head` closes our output early, which is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

// Each way loads only what it needs: a shell waits for names while somebody types.
const words = commandWords();
const helper = helperWords(words);
if (helper !== undefined) {
  const { runHelper } = await import('./mount/mount-helper.js');
  process.exitCode = await runHelper(helper.name, helper.words);
} else if (words[0] === NAMES_WORD) {
  const { printNames } = await import('./completion/names.js');
  await printNames(words.slice(1));
} else if (words[0] === FILES_WORD && words[1] !== undefined) {
  const { writePages } = await import('./man/write-pages.js');
  await writePages(words[1]);
} else {
  const { run } = await import('./run.js');
  await run(words);
}
