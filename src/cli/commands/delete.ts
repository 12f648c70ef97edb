/** `shadowfs delete NAME…` */
import type { Command } from 'commander';
import { action, type CommonOptions, withTarget } from '../options.js';
import { printable, printJson, printLine } from '../output.js';
import { findMount } from '../target.js';

interface DeleteOptions extends CommonOptions {
  force?: boolean;
}

export function addDelete(program: Command): void {
  withTarget(
    program
      .command('delete <name...>')
      .description('delete snapshots; their space is freed in the background'),
    'shadowfs delete before-upgrade',
  )
    .option('--force', 'also a locked snapshot; its dependents are told')
    .action(
      action(async (names: string[], options: DeleteOptions) => {
        const { control } = findMount(options);
        for (const name of names) {
          const answer = await control.run('delete', name, options.force ? { force: 'yes' } : {});
          if (options.json) printJson(answer);
          else printLine(`deleted snapshot ${printable(name)}`);
        }
      }),
    );
}
