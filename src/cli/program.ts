/**
 * The definitions of the whole command line: what all commands have in common,
 * and each command from its own file. `--help`, completions and man pages come
 * from here.
 */
import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { COMMAND_GROUPS, type Source } from './commands/commands.js';
import { refuseUnknown, refuseUnknownCommands } from './near-commands.js';
import { COMMON_GROUP } from './options.js';
import { plainly } from './plain-usage.js';
import { fullName, withDescendants } from './program-walk.js';
import { enterDirectories } from './working-directory.js';

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function directoryOption(): Option {
  const collect = (path: string, before: string[] = []): string[] => [...before, path];
  return new Option('-C, --directory <dir>', 'work as if started in DIR; several add up')
    .argParser(collect)
    .helpGroup(COMMON_GROUP);
}

/** A command in the list of `--help`: what it takes besides options. */
function termOf(command: Command): string {
  const words = command.registeredArguments.map((argument) => {
    const name = argument.name() + (argument.variadic ? '...' : '');
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [[command.name(), ...command.aliases()].join('|'), ...words].join(' ');
}

/** An option in the help of its command, with its default as people would give it. */
function descriptionOf({ description, defaultValue }: Option): string {
  if (!['string', 'number'].includes(typeof defaultValue)) return description;
  return `${description} (default: ${defaultValue})`;
}

function helpCommand(): Command {
  return new Command('help').argument('[command]').description('show what a command takes');
}

/**
 * The command that the words give, so that only its file is loaded. Undefined: another one, help,
 * or words that only all definitions together can tell about. Pure.
 */
function sourceOf(words: readonly string[]): Source | undefined {
  let at = 0;
  while (words[at] === '-C' || words[at] === '--directory') at += 2;
  const word = words[at] ?? '';
  return COMMAND_GROUPS.flatMap(({ sources }) => sources).find((one) => one.words.includes(word));
}

/** `words`: those of a command line, when only its command is wanted. */
export async function makeProgram(words: readonly string[] = []): Promise<Command> {
  const only = sourceOf(words);
  const program = new Command('shadowfs')
    .description('Instant, undoable history over any directory.')
    .usage('[-C DIR] COMMAND …')
    .version(packageVersion(), '-V, --version', 'print the version')
    .addHelpOption(new Option('-h, --help', 'show this help').helpGroup(COMMON_GROUP))
    .configureHelp({ subcommandTerm: termOf, optionDescription: descriptionOf })
    .exitOverride()
    .enablePositionalOptions()
    .configureOutput({
      outputError: (text, write) =>
        write(text.startsWith('error: ') ? `shadowfs: ${plainly(text)}` : text),
    })
    .hook('preAction', async (_program, command) => {
      enterDirectories(command);
      // `run` does so itself, when it has the lock.
      if (command.name() === 'run') return;
      const { lookAfterRuns } = await import('./look-after-runs.js');
      await lookAfterRuns();
    });
  for (const { title, sources } of COMMAND_GROUPS) {
    program.commandsGroup(`${title}:`);
    const wanted = only === undefined ? sources : sources.filter((one) => one === only);
    for (const add of await Promise.all(wanted.map((one) => one.load()))) add(program);
  }
  for (const command of withDescendants(program)) {
    if (command.commands.length > 0) command.addHelpCommand(helpCommand());
    command.addOption(directoryOption());
    const help = command === program ? `${fullName(command)} COMMAND` : fullName(command);
    command.showHelpAfterError(`(${help} --help shows what it takes)`);
    refuseUnknownCommands(command);
  }
  const [first, about] = words;
  // Commander would show the help of everything.
  if (first === 'help' && about !== undefined) refuseUnknown(program, about);
  return program;
}
