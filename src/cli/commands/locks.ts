/** `shadowfs lock`, `unlock` and `locks` */
import type { Command } from 'commander';
import { ageText } from '../../lib/age.js';
import type { Answer } from '../../control/command.js';
import { action, at, type CommonOptions, withMountpoint, withTarget } from '../options.js';
import { counted, printable, printJson, printLine, wrongUsage } from '../output.js';
import { listOf } from '../state.js';
import { printTable } from '../table.js';
import { findMount } from '../target.js';

export function addLock(program: Command): void {
  withTarget(
    program
      .command('lock <snapshot> <reason>')
      .summary('keep a snapshot from being deleted')
      .description('keep a snapshot: it is not deleted without --force, nor by a schedule'),
    'shadowfs lock monday "the audit needs it"',
  ).action(
    action(async (name: string, reason: string, options: CommonOptions) => {
      const answer = await findMount(options).control.run('lock', name, { reason });
      if (options.json) printJson(answer);
      else printLine(`locked snapshot ${printable(String(answer['name']))}: ${printable(reason)}`);
    }),
  );
}

interface UnlockOptions extends CommonOptions {
  from?: string;
  reason?: string;
}

export function addUnlock(program: Command): void {
  withTarget(
    program
      .command('unlock [snapshot]')
      .summary('remove locks')
      .description('remove a lock made by hand, or with --from all locks of a dependent')
      .option('--reason <text>', 'only the lock with this reason')
      .option('--from <origin>', 'all locks of a volume that no longer needs them (see locks)'),
    'shadowfs unlock monday\n  shadowfs unlock --from 5f3c9a70',
  ).action(
    action(async (name: string | undefined, options: UnlockOptions) => {
      const { from, reason } = options;
      if ((name === undefined) === (from === undefined)) {
        throw wrongUsage('expected the name of a snapshot, or --from ORIGIN');
      }
      const words = {
        ...(from !== undefined && { from }),
        ...(reason !== undefined && { reason }),
      };
      const answer = await findMount(options).control.run('unlock', name, words);
      if (options.json) printJson(answer);
      else if (name !== undefined) printLine(`unlocked snapshot ${printable(name)}`);
      else {
        printLine(
          `released ${counted(Number(answer['released']), 'lock')} of ${printable(String(answer['origin']))}`,
        );
      }
    }),
  );
}

export function addLocks(program: Command): void {
  withMountpoint(
    program.command('locks').description('list the locks: who needs which snapshot, and why'),
    'shadowfs locks',
  ).action(
    action(async (mountpoint: string | undefined, options: CommonOptions) => {
      const locks = await listOf(at(options, mountpoint), 'locks');
      if (options.json) {
        for (const lock of locks) printJson(lock);
        return;
      }
      if (locks.length === 0) {
        printLine('no snapshot is locked');
        return;
      }
      const nowMs = Date.now();
      const ago = (timeMs: unknown): string =>
        typeof timeMs === 'number' ? ageText(nowMs - timeMs) : '-';
      const rows = locks.map((lock) => [
        printable(String(lock['snapshot'] ?? `(deleted: ${lock['uuid']})`)),
        String(lock['type']),
        printable(neededBy(lock)),
        printable(String(lock['dataset'] || '-')),
        printable(String(lock['peer'] ?? '-')),
        printable(String(lock['origin'])),
        ago(lock['sinceMs']),
        ago(lock['heardMs']),
      ]);
      const headings = [
        'SNAPSHOT',
        'TYPE',
        'NEEDED BY',
        'DATASET',
        'PEER',
        'ORIGIN',
        'SINCE',
        'LAST HEARD',
      ];
      printTable(headings, rows);
    }),
  );
}

/** A peer may only pass on the lock of a volume that follows it. */
function neededBy({ text, dependent, peer, origin }: Answer): string {
  return dependent === '' ? String(text) : `${text} through ${peer ?? origin}`;
}
