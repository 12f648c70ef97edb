/** `shadowfs rename NAME NEW` */
import type { Command } from 'commander';
import { action, type CommonOptions, withTarget } from '../options.js';
import { printable, printJson, printLine } from '../output.js';
import { findMount } from '../target.js';

export function addRename(program: Command): void {
  withTarget(
    program
      .command('rename <name> <new>')
      .summary('give a snapshot another name')
      .description('give a snapshot another name (an undo-… snapshot is then kept for good)'),
    'shadowfs rename before before-upgrade',
  ).action(
    action(async (name: string, to: string, options: CommonOptions) => {
      const { control } = await findMount(options);
      const answer = await control.run('rename', name, { to });
      if (options.json) printJson(answer);
      else printLine(`renamed snapshot ${printable(name)} to ${printable(to)}`);
    }),
  );
}
