/** `shadowfs versions FILE` */
import type { Command } from 'commander';
import { isAbsolute, relative, resolve } from 'node:path';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { FileVersion } from '../../daemon/commands/inspect.js';
import { isWithin } from '../../daemon/mount/mount-table.js';
import { inspect } from './check.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { formatBytes, formatTime, printable, printJson } from '../output.js';
import { printTable } from '../table.js';
import { findTarget, type Target } from '../target.js';

export function addVersions(program: Command): void {
  withTarget(
    program
      .command('versions <file>')
      .summary('list the versions of a file')
      .description('list the versions of a file or directory, followed through renames'),
    'shadowfs versions src/main.c',
  ).action(
    action(async (file: string, options: CommonOptions) => {
      const target = findTarget(options);
      const name = pathInVolume(target, file);
      const answer = await inspect(target, { command: 'versions', args: { name } });
      if (options.json) {
        printJson(answer);
        return;
      }
      const rows = ((answer['versions'] ?? []) as FileVersion[]).map((version) => [
        formatTime(version.mtimeMs),
        formatBytes(version.size),
        shownName(version.path === '' ? '.' : version.path),
        printable([...(version.isLive ? ['(now)'] : []), ...version.snapshots].join(' ')),
      ]);
      printTable(['MODIFIED', 'SIZE', 'PATH', 'SEEN IN'], rows);
    }),
  );
}

/** The file's path below the mountpoint (or below the base directory of an unmounted volume). */
function pathInVolume(target: Target, file: string): string {
  const root = target.kind === 'mounted' ? target.mount.mountpoint : target.base;
  const path = resolve(target.directory, file);
  if (root !== undefined && isWithin(path, root)) return relative(root, path);
  if (root === undefined && !isAbsolute(file)) return file;
  throw new CommandError(
    'not-under-history',
    'EINVAL',
    `${file} does not lie in ${root ?? 'the volume'}`,
  );
}
