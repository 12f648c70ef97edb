/** `shadowfs versions FILE` */
import type { Command } from 'commander';
import { shownName } from '../../lib/byte-text.js';
import type { FileVersion } from '../../daemon/commands/inspect.js';
import { pathsBelow } from '../files/paths.js';
import { inspect } from './check.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { formatTime, printable, printJson } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { printTable } from '../table.js';
import { findTarget } from '../target.js';

export function addVersions(program: Command): void {
  withTarget(
    program
      .command('versions <file>')
      .summary('list the versions of a file')
      .description('list the versions of a file or directory, followed through renames'),
    'shadowfs versions src/main.c',
  ).action(
    action(async (file: string, options: CommonOptions) => {
      const target = await findTarget(options);
      const [name = ''] = await pathsBelow(target, [file]);
      const answer = await inspect(target, { command: 'versions', args: { name } });
      if (options.json) {
        printJson(answer);
        return;
      }
      const rows = ((answer['versions'] ?? []) as FileVersion[]).map((version) => [
        formatTime(version.mtimeMs),
        formatBytes(version.sizeBytes),
        shownName(version.path === '' ? '.' : version.path),
        printable([...(version.isLive ? ['(now)'] : []), ...version.snapshots].join(' ')),
      ]);
      printTable(['MODIFIED', 'SIZE', 'PATH', 'SEEN IN'], rows);
    }),
  );
}
