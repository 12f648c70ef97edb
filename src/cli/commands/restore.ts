/** `shadowfs restore NAME` */
import type { Command } from 'commander';
import { shownName } from '../../lib/byte-text.js';
import { type MountUse, staleFiles } from '../../daemon/mount/processes.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { printable, printJson, printLine, warn } from '../output.js';
import { findMount } from '../target.js';
import { timingText } from '../timings.js';

export function addRestore(program: Command): void {
  withTarget(
    program
      .command('restore <name>')
      .summary('return the tree to its state at snapshot NAME')
      .description(
        'return the tree to its state at snapshot NAME (latest: the newest); ' +
          'the state until now is kept as snapshot undo-…',
      ),
    'shadowfs restore before-upgrade',
  ).action(
    action(async (name: string, options: CommonOptions) => {
      const { control, mount } = findMount(options);
      const sinceMs = Date.now();
      const answer = await control.run('restore', name);
      const holders = staleFiles(mount, sinceMs);
      if (options.json) {
        printJson({ ...answer, holders });
        return;
      }
      printLine(
        `restored ${mount.mountpoint} to ${printable(String(answer['name']))}${timingText(answer)}`,
      );
      const undo = answer['undo'];
      if (typeof undo === 'string') printLine(`to undo this: shadowfs restore ${undo}`);
      else printLine('nothing had changed since the last save, so there is nothing to undo');
      const { locked } = answer;
      if (Array.isArray(locked)) {
        printLine(`kept beyond the limit because they are locked: ${printable(locked.join(', '))}`);
      }
      reportHolders(holders);
    }),
  );
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
