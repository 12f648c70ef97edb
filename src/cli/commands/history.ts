/** `shadowfs history` */
import type { Command } from 'commander';
import { foldedNote } from '../../format/text/note.js';
import { sourceText } from '../../format/text/source.js';
import type { Answer } from '../../control/command.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { formatTime, printable, printJson } from '../output.js';
import { listOf } from '../state.js';
import { printTable } from '../table.js';
import { wholeNumber } from '../values.js';

const DEFAULT_LINES = 50;

interface HistoryOptions extends CommonOptions {
  lines: number;
}

export function addHistory(program: Command): void {
  withMountpoint(
    program
      .command('history')
      .description('list the commands given, newest last')
      .option('-n, --lines <count>', 'only the newest so many', wholeNumber(1), DEFAULT_LINES),
    'shadowfs history -n 10',
  ).action(
    action(async (mountpoint: string | undefined, options: HistoryOptions) => {
      const records = (await listOf(at(options, mountpoint), 'history')).slice(-options.lines);
      if (options.json) {
        for (const record of records) printJson(record);
        return;
      }
      const rows = records.map((record) => [
        formatTime(Number(record['timeMs'])),
        String(record['command']),
        printable(String(record['name'] ?? '')),
        String(record['layer']),
        printable(sourceText(String(record['source']))),
        printable(outcomeText(record)),
      ]);
      printTable(['TIME', 'COMMAND', 'NAME', 'LAYER', 'BY', 'OUTCOME'], rows);
    }),
  );
}

/** What became of the command, and the note that it gave. Pure. */
function outcomeText({ outcome, details }: Answer): string {
  const { note } = (details ?? {}) as { note?: unknown };
  return typeof note === 'string' ? `${outcome}: ${foldedNote(note)}` : String(outcome);
}
