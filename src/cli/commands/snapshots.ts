/** `shadowfs snapshots` */
import type { Command } from 'commander';
import { action, type CommonOptions, withTarget } from '../options.js';
import { formatTable, formatTime, printable, printJson, printLine } from '../output.js';
import { listOf } from '../state.js';

export function addSnapshots(program: Command): void {
  withTarget(
    program.command('snapshots').alias('list').description('list the snapshots, oldest first'),
    'shadowfs snapshots',
  ).action(
    action(async (options: CommonOptions) => {
      const snapshots = await listOf(options, 'snapshots');
      if (options.json) {
        for (const snapshot of snapshots) printJson(snapshot);
        return;
      }
      if (snapshots.length === 0) {
        printLine('no snapshots yet (shadowfs save NAME makes one)');
        return;
      }
      const rows = snapshots.map((snapshot) => [
        printable(String(snapshot['name'])),
        Number(snapshot['locks']) > 0 ? `${snapshot['kind']}, locked` : String(snapshot['kind']),
        formatTime(Number(snapshot['createdMs'])),
        String(snapshot['layer']),
        printable(String(snapshot['source'])),
      ]);
      printLine(formatTable(['NAME', 'KIND', 'CREATED', 'LAYER', 'BY'], rows));
    }),
  );
}
