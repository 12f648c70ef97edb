/** `shadowfs history` */
import type { Command } from 'commander';
import { action, type CommonOptions, withTarget } from '../options.js';
import { formatTable, formatTime, printable, printJson, printLine } from '../output.js';
import { listOf } from '../state.js';

const DEFAULT_LINES = 50;

interface HistoryOptions extends CommonOptions {
  lines: string;
}

export function addHistory(program: Command): void {
  withTarget(
    program
      .command('history')
      .description('list the commands given, newest last')
      .option('-n, --lines <count>', 'show at most this many', String(DEFAULT_LINES)),
    'shadowfs history -n 10',
  ).action(
    action(async (options: HistoryOptions) => {
      const limit = Math.max(0, Number.parseInt(options.lines, 10) || 0);
      const records = (await listOf(options, 'history')).slice(-limit || Infinity);
      if (options.json) {
        for (const record of records) printJson(record);
        return;
      }
      const rows = records.map((record) => [
        formatTime(Number(record['timeMs'])),
        String(record['command']),
        printable(String(record['name'] ?? '')),
        String(record['layer']),
        printable(String(record['source'])),
        printable(String(record['outcome'])),
      ]);
      printLine(formatTable(['TIME', 'COMMAND', 'NAME', 'LAYER', 'BY', 'OUTCOME'], rows));
    }),
  );
}
