/** `shadowfs log PATH` */
import type { Command } from 'commander';
import { shownName } from '../../lib/byte-text.js';
import type { LogEntry } from '../../daemon/commands/inspect.js';
import { paged } from '../files/pager.js';
import { pathsBelow } from '../files/paths.js';
import { inspect } from './check.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { formatTime, printable, printJson } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { formatTable, outputWidth } from '../table.js';
import { findTarget } from '../target.js';
import { wholeNumber } from '../values.js';

interface LogOptions extends CommonOptions {
  lines?: number;
  pager: boolean;
}

export function addLog(program: Command): void {
  withTarget(
    program
      .command('log <path>')
      .summary('list the saves and restores that touched a file')
      .description(
        'list the saves, restores and applies that touched a file or directory, newest first, through ' +
          'renames; what is not saved yet comes first',
      )
      .option('-n, --lines <count>', 'only the newest so many', wholeNumber(1))
      .option('--no-pager', 'print to the terminal itself'),
    'shadowfs log src/main.c',
  ).action(
    action(async (word: string, options: LogOptions) => {
      const target = await findTarget(options);
      const [name = ''] = await pathsBelow(target, [word]);
      const limit = options.lines === undefined ? {} : { limit: options.lines };
      const answer = await inspect(target, { command: 'log', args: { name, ...limit } });
      if (options.json) {
        printJson(answer);
        return;
      }
      const rows = ((answer['entries'] ?? []) as LogEntry[]).reverse().map(rowOf);
      const headings = ['TIME', 'COMMAND', 'NAME', 'CHANGE', 'SIZE', 'PATH'];
      const table = formatTable(headings, rows, { width: outputWidth() });
      await paged(options.pager, async (output) => {
        await output.write(`${table}\n`);
      });
    }),
  );
}

function rowOf(entry: LogEntry): string[] {
  const { timeMs, command, name, change, details = [], sizeBytes, path, oldPath } = entry;
  const from = oldPath === undefined ? '' : `${shownName(oldPath)} -> `;
  return [
    timeMs === null ? 'now' : formatTime(timeMs),
    command ?? '(not saved)',
    printable(name ?? '-'),
    details.length === 0 ? change : `${change} (${details.join(', ')})`,
    sizeBytes === undefined ? '-' : formatBytes(sizeBytes),
    `${from}${shownName(path === '' ? '.' : path)}`,
  ];
}
