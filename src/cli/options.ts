/** Options and arguments that many commands share. */
import { type Command, Option } from 'commander';
import { reportFailure } from './output.js';
import type { TargetOptions } from './target.js';

export interface CommonOptions extends TargetOptions {
  json?: boolean;
}

export const COMMON_GROUP = 'Common options:';

const examples = new WeakMap<Command, string>();

/**
 * Examples for `--help` and the man page: commands, one a line, then
 * paragraphs that are not indented, if something is to be said about them.
 */
export function withExamples(command: Command, text: string): Command {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => line.trim());
  const shown = lines.map((line) => (line.startsWith('shadowfs ') ? `  ${line}` : line));
  const count = lines.filter((line) => line.startsWith('shadowfs ')).length;
  examples.set(command, shown.join('\n'));
  return command.addHelpText(
    'after',
    `\n${count === 1 ? 'Example' : 'Examples'}:\n${shown.join('\n')}`,
  );
}

/** What `withExamples` was given; examples are indented. */
export function examplesOf(command: Command): string | undefined {
  return examples.get(command);
}

export function jsonOption(what = 'print the answer as JSON'): Option {
  return new Option('--json', what).helpGroup(COMMON_GROUP);
}

/** `--volume PATH`, `--json` and examples; `-C DIR` has every command. */
export function withTarget(command: Command, example: string): Command {
  command.addOption(
    new Option('--volume <path>', 'the volume at PATH, mounted or not').helpGroup(COMMON_GROUP),
  );
  return withExamples(command.addOption(jsonOption()), example);
}

/** As `withTarget`, and `[mountpoint]` behind the other arguments. */
export function withMountpoint(command: Command, example: string): Command {
  const what = 'a directory in the mount (default: the current directory)';
  return withTarget(command.argument('[mountpoint]', what), example);
}

/** The options, with the mountpoint that was given as an argument. */
export function at<O extends CommonOptions>(options: O, mountpoint: string | undefined): O {
  return mountpoint === undefined ? options : { ...options, directory: mountpoint };
}

export interface NoteOptions {
  message?: string;
}

export function noteOption(): Option {
  const what = 'a note that stays with the snapshot (again: a paragraph)';
  return new Option('-m, --message <text>', what).argParser(paragraph);
}

/** Several texts are paragraphs, as in git. Pure. */
function paragraph(text: string, before: string | undefined): string {
  return before === undefined ? text : `${before}\n\n${text}`;
}

/** For a command's line, which is one line as a JSON string is. Pure. */
export function noteWords({ message }: NoteOptions): Record<string, string> {
  return message === undefined ? {} : { 'note-json': JSON.stringify(message) };
}

/** Runs a command's action; a failure is reported and sets the exit code. */
export function action<A extends unknown[]>(
  run: (...args: A) => Promise<void>,
): (...args: [...A, Command]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command;
    try {
      await run(...(args.slice(0, -1) as unknown as A));
    } catch (error) {
      reportFailure(error, command.opts<CommonOptions>().json === true);
    }
  };
}
