/** `shadowfs restore NAME [--] [PATH…]` */
import type { Command } from 'commander';
import { shownName } from '../../lib/byte-text.js';
import type { Answer } from '../../control/command.js';
import { type MountUse, staleFiles } from '../../daemon/mount/processes.js';
import { action, withTarget } from '../options.js';
import { printable, printJson, printLine, warn, wrongUsage } from '../output.js';
import type { FilesOptions } from './restore-files.js';
import { findMount } from '../target.js';
import { timingText } from '../timings.js';

interface RestoreOptions extends FilesOptions {
  undo: boolean;
}

export function addRestore(program: Command): void {
  withTarget(
    program
      .command('restore <name> [paths...]')
      .summary('return the tree, or some paths, to snapshot NAME')
      .description(
        'return the tree to its state at snapshot NAME (latest: the newest); ' +
          'the state until now is kept as snapshot undo-…. With paths, only these become what ' +
          'they were, by ordinary changes; what is new below them is removed',
      ),
    `shadowfs restore before-upgrade
     shadowfs restore monday -- src/main.c docs
     shadowfs restore monday src --to /tmp/old`,
  )
    .option('-n, --dry-run', 'with paths: list what would be done')
    .option('--to <dir>', 'with paths: copy them into DIR; the tree stays as it is')
    .option('--no-undo', 'give up what the tree is now: for test labs that restore all the time')
    .action(
      action(async (name: string, paths: string[], options: RestoreOptions) => {
        if (paths.length > 0) {
          if (!options.undo) throw wrongUsage('--no-undo is for the whole tree, not for paths');
          // It loads what a restore of the whole tree does not need.
          const { restoreFiles } = await import('./restore-files.js');
          await restoreFiles(name, paths, options);
          return;
        }
        if (options.dryRun === true || options.to !== undefined) {
          throw wrongUsage('-n and --to go with paths; "." is all of the current directory');
        }
        const { control, mount } = await findMount(options);
        const sinceMs = Date.now();
        const answer = await control.run('restore', name, options.undo ? {} : { undo: 'no' });
        const holders = staleFiles(mount, sinceMs);
        if (options.json) {
          printJson({ ...answer, holders });
          return;
        }
        const done = `${mount.mountpoint} to ${printable(String(answer['name']))}`;
        printLine(`restored ${done}${timingText(answer)}`);
        printLine(undoText(answer));
        const { locked } = answer;
        if (Array.isArray(locked)) {
          const names = printable(locked.join(', '));
          printLine(`kept beyond the limit because they are locked: ${names}`);
        }
        reportHolders(holders);
      }),
    );
}

/** How to take it back. Pure. */
function undoText({ outcome, undo, name }: Answer): string {
  if (outcome === 'unchanged') return `the tree was ${printable(String(name))} already`;
  if (typeof undo !== 'string') return 'what it was until now is given up';
  return `to undo this: shadowfs undo (or shadowfs restore ${printable(undo)})`;
}

export function reportHolders(holders: readonly MountUse[]): void {
  if (holders.length === 0) return;
  warn(
    'these programs have changed files open; they read the old version and can no longer write:',
  );
  for (const { pid, command, path } of holders) {
    process.stderr.write(`  ${printable(command)} (pid ${pid}): ${shownName(path)}\n`);
  }
}
