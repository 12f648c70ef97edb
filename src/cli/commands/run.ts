/** `shadowfs run [DIR] -- COMMAND…` */
import { openSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { absolutePath } from '../../lib/byte-paths.js';
import { fsPath } from '../../lib/byte-text.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import { COMMON_GROUP, jsonOption, withExamples } from '../options.js';
import {
  EXIT_USAGE,
  noteWarning,
  printJson,
  reportFailure,
  sendJsonTo,
  wrongUsage,
} from '../output.js';
import { currentPaths } from '../target.js';
import { commandWords } from '../words.js';
import type { Wish } from '../world/ask.js';

/** As env(1), timeout(1) and others that run commands: a failure that is not the command's. */
const EXIT_OWN_FAILURE = 125;
const EXITS: Readonly<Record<string, number>> = { 'not-executable': 126, 'no-such-command': 127 };
const WISHES = ['apply', 'merge', 'keep', 'discard'] as const satisfies Wish[];

interface RunOptions extends Partial<Record<(typeof WISHES)[number], boolean>> {
  branch?: string;
  json?: boolean;
  jsonFile?: string;
}

export function addRun(program: Command): void {
  withExamples(
    program
      .command('run [dir] [command...]')
      .usage('[options] [DIR] -- COMMAND [ARGUMENT…]')
      .summary('run a command in a branch of its own, at the same path')
      .description(
        'give COMMAND a fresh branch of the tree in which it starts (in DIR, or here), at the same ' +
          'path: what it writes there nobody else sees. Afterwards: what it added, changed and ' +
          'removed. On a terminal it then asks what becomes of that; otherwise the branch is kept, ' +
          'unless an option says something else. Standard input, output, signals, exit code and ' +
          'terminal are those of COMMAND',
      )
      .option('--branch <name>', 'the name of the branch (default: run-TIME)')
      .option('--apply', 'bring it into the tree, and apply that to the base, if COMMAND succeeds')
      .option('--merge', 'bring it into the tree if COMMAND succeeds')
      .option('--keep', 'keep the branch, even if nothing has changed')
      .option('--discard', 'drop what was done')
      .addOption(jsonOption('print the answer as JSON; what COMMAND prints goes to standard error'))
      .addOption(
        new Option(
          '--json-file <file>',
          'write the answer as JSON to FILE; the streams stay the own ones of COMMAND',
        ).helpGroup(COMMON_GROUP),
      ),
    `shadowfs run -- npm update
    shadowfs run --discard ~/project -- make test
    shadowfs run --apply -- ./reformat.sh
    shadowfs run --branch try-1 --json-file result.json -- ./agent.sh
    Exit code: that of COMMAND (128 + n when signal n has ended it); 127 no such command, 126 not executable; 125 shadowfs itself could not do what was asked for, 2 wrong usage.`,
  ).action(async (_first: unknown, _more: unknown, options: RunOptions, command: Command) => {
    try {
      await run(options, command.args);
    } catch (error) {
      reportFailure(error, options.json === true || options.jsonFile !== undefined);
      if (process.exitCode === EXIT_USAGE) return;
      const code = error instanceof CommandError ? error.code : '';
      process.exitCode = EXITS[code] ?? EXIT_OWN_FAILURE;
    }
  });
}

async function run(options: RunOptions, operands: readonly string[]): Promise<void> {
  const { branch, json = false, jsonFile } = options;
  if (jsonFile !== undefined) sendJsonTo(openJsonFile(jsonFile));
  if (json && jsonFile !== undefined) throw wrongUsage('either --json or --json-file');
  const { directory, command } = operandsOf(operands, commandWords());
  const wishes = WISHES.filter((one) => options[one]);
  if (wishes.length > 1) throw wrongUsage(`one of ${WISHES.map((one) => `--${one}`).join(', ')}`);
  const isForProgram = json || jsonFile !== undefined;
  // Loaded only when needed: the help is there sooner.
  const { runInWorld } = await import('../world/session.js');
  const { exitCode, failure, answer } = await runInWorld(
    {
      directory,
      command,
      branch,
      wish: wishes[0],
      isQuiet: isForProgram,
      out: json ? 2 : 1,
    },
    currentPaths(),
    noteWarning,
  );
  if (isForProgram) printJson(answer);
  process.exitCode = exitCode === 0 && failure !== undefined ? EXIT_OWN_FAILURE : exitCode;
}

/** Before anything runs: a result that nobody gets is no result. */
function openJsonFile(path: string): number {
  try {
    return openSync(fsPath(absolutePath(path)), 'w', 0o666);
  } catch (error) {
    throw new CommandError('file-failed', 'EIO', `--json-file ${path}: ${messageOf(error)}`);
  }
}

/** What stands behind `--` is the command. Pure. */
export function operandsOf(
  operands: readonly string[],
  words: readonly string[],
): { directory: string | undefined; command: readonly string[] } {
  const dashes = words.indexOf('--');
  const command = dashes < 0 ? [] : words.slice(dashes + 1);
  const before = operands.slice(0, operands.length - command.length);
  if (dashes < 0 || command.length === 0) {
    throw wrongUsage('-- and a command are expected: shadowfs run -- COMMAND');
  }
  if (before.length > 1)
    throw wrongUsage(`one directory is expected before --, not ${before.length}`);
  return { directory: before[0], command };
}
