/** `shadowfs lock`, `unlock` and `locks` */
import type { Command } from 'commander';
import { whenText } from '../../lib/age.js';
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
      const answer = await (await findMount(options)).control.run('lock', name, { reason });
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
      .option(
        '--from <peer>',
        'all locks of a peer or origin that no longer needs them (see locks)',
      ),
    'shadowfs unlock monday\n  shadowfs unlock --from office',
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
      const answer = await (await findMount(options)).control.run('unlock', name, words);
      if (options.json) printJson(answer);
      else if (name !== undefined) printLine(`unlocked snapshot ${printable(name)}`);
      else {
        const origin = printable(String(answer['peer'] ?? answer['origin']));
        printLine(`released ${counted(Number(answer['releasedCount']), 'lock')} of ${origin}`);
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
      const rows = locks.map((lock) => [
        printable(String(lock['snapshot'] ?? `(deleted: ${lock['uuid']})`)),
        String(lock['type']),
        printable(neededBy(lock)),
        printable(String(lock['dataset'] || '-')),
        printable(String(lock['peer'] ?? lock['origin'])),
        whenText(Number(lock['sinceMs']), nowMs),
        heardText(lock, nowMs),
      ]);
      const headings = [
        'SNAPSHOT',
        'TYPE',
        'NEEDED BY',
        'DATASET',
        'SET BY',
        'SINCE',
        'LAST HEARD',
      ];
      printTable(headings, rows);
    }),
  );
}

/** Whoever set a lock here is not heard from elsewhere. */
function heardText({ lastHeardMs, connected, origin, peer }: Answer, nowMs: number): string {
  if (origin === 'local' || peer === 'this volume') return '-';
  const when = whenText(typeof lastHeardMs === 'number' ? lastHeardMs : null, nowMs);
  return connected === false ? `${when}, not connected` : when;
}

/** A peer may only pass on the lock of a volume that follows it. */
function neededBy({ text, dependent, peer, origin }: Answer): string {
  return dependent === '' ? String(text) : `${text} through ${peer ?? origin}`;
}
