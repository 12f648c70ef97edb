/** Options that many commands share. */
import type { Command } from 'commander';
import { reportFailure } from './output.js';
import type { TargetOptions } from './target.js';

export interface CommonOptions extends TargetOptions {
  json?: boolean;
}

/** `-C DIR`, `--volume PATH`, `--json` and an example. */
export function withTarget(command: Command, example: string): Command {
  return command
    .option('-C, --directory <dir>', 'the mount that contains DIR (default: the current directory)')
    .option('--volume <path>', 'the volume at PATH, mounted or not')
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', `\nExample:\n  ${example}`);
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
