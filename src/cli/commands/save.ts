/** `shadowfs save [NAME]` */
import type { Command } from 'commander';
import {
  action,
  type CommonOptions,
  noteOption,
  type NoteOptions,
  noteWords,
  withTarget,
} from '../options.js';
import { printable, printJson, printLine } from '../output.js';
import { findMount } from '../target.js';
import { timingText } from '../timings.js';

export function addSave(program: Command): void {
  withTarget(
    program
      .command('save [name]')
      .summary('save the tree as it is now')
      .description('save the tree as it is now, under NAME or a name made from the time'),
    'shadowfs save before-upgrade -m "the last state that passed all tests"',
  )
    .addOption(noteOption())
    .action(
      action(async (name: string | undefined, options: CommonOptions & NoteOptions) => {
        const { control, mount } = await findMount(options);
        const answer = await control.run('save', name, {
          ...(name === undefined && { auto: 'yes' }),
          ...noteWords(options),
        });
        if (options.json) printJson(answer);
        else
          printLine(
            `saved ${mount.mountpoint} as ${printable(String(answer['name']))}${timingText(answer)}`,
          );
      }),
    );
}
