/** `shadowfs save [NAME]` */
import type { Command } from 'commander';
import { action, type CommonOptions, withTarget } from '../options.js';
import { printable, printJson, printLine } from '../output.js';
import { findMount } from '../target.js';
import { timingText } from '../timings.js';

interface SaveOptions extends CommonOptions {
  message?: string;
}

export function addSave(program: Command): void {
  withTarget(
    program
      .command('save [name]')
      .summary('save the tree as it is now')
      .description('save the tree as it is now, under NAME or a name made from the time'),
    'shadowfs save before-upgrade -m "the last state that passed all tests"',
  )
    .option(
      '-m, --message <text>',
      'a note that stays with the snapshot (again: a paragraph)',
      more,
    )
    .action(
      action(async (name: string | undefined, options: SaveOptions) => {
        const { control, mount } = findMount(options);
        const answer = await control.run('save', name, {
          ...(name === undefined && { auto: 'yes' }),
          // A command is one line, and so is a JSON string.
          ...(options.message !== undefined && { 'note-json': JSON.stringify(options.message) }),
        });
        if (options.json) printJson(answer);
        else
          printLine(
            `saved ${mount.mountpoint} as ${printable(String(answer['name']))}${timingText(answer)}`,
          );
      }),
    );
}

/** Several texts are paragraphs, as in git. Pure. */
function more(text: string, before: string | undefined): string {
  return before === undefined ? text : `${before}\n\n${text}`;
}
