/** `shadowfs compact` */
import type { Command } from 'commander';
import { formatBytes } from '../../lib/size-text.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { printJson, printLine } from '../output.js';
import { withProgress } from '../progress.js';
import { findMount } from '../target.js';

export function addCompact(program: Command): void {
  withMountpoint(
    program
      .command('compact')
      .summary('give free space inside the volume back to the disk')
      .description(
        'give the space that deleted snapshots and files have left inside the volume back to the ' +
          'disk, while the mount is used; says how much that was',
      ),
    `shadowfs compact ~/project
    Ctrl-C leaves it running; shadowfs status shows how far it is.`,
  ).action(
    action(async (mountpoint: string | undefined, options: CommonOptions) => {
      const { control } = await findMount(at(options, mountpoint));
      const answer = await withProgress(
        'compact',
        control,
        control.run('compact', undefined),
        'bytes',
      );
      if (options.json) {
        printJson(answer);
        return;
      }
      const [given, used, ahead] = ['givenBytes', 'usedBytes', 'aheadBytes'].map((name) =>
        formatBytes(Number(answer[name])),
      );
      printLine(`gave ${given} back to the disk; the volume uses ${used}, and ${ahead} are ahead`);
    }),
  );
}
