/** `shadowfs role`, `promote`, `demote` */
import type { Command } from 'commander';
import { CommandError } from '../../lib/errors.js';
import { LATEST_NAME } from '../../format/text/grammar.js';
import { staleFiles } from '../../daemon/mount/processes.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { printable, printJson, printLine } from '../output.js';
import { reportHolders } from './restore.js';
import { statusOf } from '../state.js';
import { findMount } from '../target.js';
import { timingText } from '../timings.js';

interface RoleOptions extends CommonOptions {
  epoch?: string;
  to?: string;
  peer?: string;
  force?: boolean;
}

export function addRole(program: Command): void {
  withTarget(
    program
      .command('role')
      .description('show whether this volume is written to (primary) or follows another (standby)'),
    'shadowfs role',
  ).action(
    action(async (options: CommonOptions) => {
      const { role, epoch } = await statusOf(options);
      if (options.json) printJson({ ok: true, command: 'role', role, epoch });
      else printLine(`${String(role)}, epoch ${String(epoch)}`);
    }),
  );
}

export function addPromote(program: Command): void {
  withTarget(
    program
      .command('promote')
      .description('make a standby the primary: its tree can be changed from now on')
      .option('--epoch <number>', 'the role epoch that begins (default: the next)')
      .option('--force', 'even while the primary answers: then there are two'),
    'shadowfs promote',
  ).action(
    action(async (options: RoleOptions) => {
      const { control, mount } = findMount(options);
      const answer = await control.run('promote', undefined, {
        epoch: epochOf(options) ?? 'next',
        ...(options.force === true && { force: 'yes' }),
      });
      if (options.json) printJson(answer);
      else {
        const already = answer['outcome'] === 'unchanged' ? ' already' : '';
        const epoch = String(answer['epoch']);
        printLine(`${mount.mountpoint} is${already} primary, epoch ${epoch}${timingText(answer)}`);
      }
    }),
  );
}

export function addDemote(program: Command): void {
  withTarget(
    program
      .command('demote')
      .description(
        'make this volume a standby: its tree becomes the newest snapshot of the other side, and ' +
          'only received snapshots change it; later local changes are kept as diverged-EPOCH',
      )
      .option('--peer <name>', 'the peer to follow: it is asked which snapshots it has')
      .option('--to <snapshot>', 'the newest snapshot on the other side', LATEST_NAME)
      .option('--epoch <number>', 'the role epoch reported by the other side'),
    'shadowfs demote --peer nas',
  ).action(
    action(async (options: RoleOptions) => {
      const { control, mount } = findMount(options);
      const sinceMs = Date.now();
      const epoch = epochOf(options);
      const words: Record<string, string> = {
        ...(epoch !== undefined && { epoch }),
        ...(options.peer !== undefined && { peer: options.peer }),
      };
      const name = options.peer === undefined ? options.to : undefined;
      const answer = await control.run('demote', name, words);
      const holders = staleFiles(mount, sinceMs);
      if (options.json) {
        printJson({ ...answer, holders });
        return;
      }
      const already = answer['outcome'] === 'unchanged' ? ' already' : '';
      printLine(
        `${mount.mountpoint} is${already} a standby, epoch ${String(answer['epoch'])}${timingText(answer)}`,
      );
      const { snapshot, diverged } = answer;
      if (typeof snapshot === 'string') printLine(`it shows ${printable(snapshot)}`);
      if (typeof diverged === 'string') printLine(`changes not sent are kept as ${diverged}`);
      reportHolders(holders);
    }),
  );
}

function epochOf({ epoch }: RoleOptions): string | undefined {
  if (epoch === undefined || /^\d{1,15}$/.test(epoch)) return epoch;
  throw new CommandError('bad-command-line', 'EINVAL', `--epoch ${epoch}: a number is expected`);
}
