/** `shadowfs snapshots` */
import type { Command } from 'commander';
import { foldedNote } from '../../format/text/note.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { formatTime, printable, printJson, printLine } from '../output.js';
import { listOf } from '../state.js';
import { printTable } from '../table.js';

export function addSnapshots(program: Command): void {
  withMountpoint(
    program.command('snapshots').alias('list').description('list the snapshots, oldest first'),
    'shadowfs snapshots',
  ).action(
    action(async (mountpoint: string | undefined, options: CommonOptions) => {
      const snapshots = await listOf(at(options, mountpoint), 'snapshots');
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
        printable(foldedNote(String(snapshot['note'] ?? ''))),
      ]);
      printTable(['NAME', 'KIND', 'CREATED', 'LAYER', 'BY', 'NOTE'], rows);
    }),
  );
}
