/** `shadowfs role`, `promote`, `demote` */
import type { Command } from 'commander';
import { whenText } from '../../lib/age.js';
import type { SyncState } from '../../daemon/peers/sync-state.js';
import { LATEST_NAME } from '../../format/text/grammar.js';
import { staleFiles } from '../../daemon/mount/processes.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { printable, printJson, printLine } from '../output.js';
import { reportHolders } from './restore.js';
import { statusOf } from '../state.js';
import { findMount } from '../target.js';
import { timingText } from '../timings.js';
import { wholeNumber } from '../values.js';

interface RoleOptions extends CommonOptions {
  epoch?: number;
  to?: string;
  peer?: string;
  force?: boolean;
}

export function addRole(program: Command): void {
  withMountpoint(
    program
      .command('role')
      .summary('show whether this volume is primary or standby')
      .description('show whether this volume is written to (primary) or follows another (standby)'),
    'shadowfs role',
  ).action(
    action(async (mountpoint: string | undefined, options: CommonOptions) => {
      const { role, epoch, lag } = await statusOf(at(options, mountpoint));
      const { upstream, connected, lastHeardMs } = lag as SyncState;
      if (options.json) {
        printJson({ ok: true, command: 'role', role, epoch, upstream, connected, lastHeardMs });
        return;
      }
      const heard = `last heard ${whenText(lastHeardMs, Date.now())}`;
      const link = connected === true ? 'connected' : 'not connected';
      const follows =
        upstream === null ? '' : `; follows ${printable(upstream)} (${link}, ${heard})`;
      printLine(`${String(role)}, epoch ${String(epoch)}${follows}`);
    }),
  );
}

export function addPromote(program: Command): void {
  withMountpoint(
    program
      .command('promote')
      .summary('make a standby the primary')
      .description('make a standby the primary: its tree can be changed from now on')
      .option('--epoch <number>', 'the role epoch that begins (default: the next)', wholeNumber(1))
      .option('--force', 'even while the primary answers: then there are two'),
    'shadowfs promote',
  ).action(
    action(async (mountpoint: string | undefined, options: RoleOptions) => {
      const { control, mount } = await findMount(at(options, mountpoint));
      const answer = await control.run('promote', undefined, {
        epoch: String(options.epoch ?? 'next'),
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
  withMountpoint(
    program
      .command('demote')
      .summary('make this volume a standby')
      .description(
        'make this volume a standby: its tree becomes the newest snapshot of the other side, and ' +
          'only received snapshots change it; later local changes are kept as diverged-EPOCH',
      )
      .option('--peer <name>', 'the peer to follow: it is asked which snapshots it has')
      .option('--to <snapshot>', 'the newest snapshot on the other side', LATEST_NAME)
      .option('--epoch <number>', 'the role epoch reported by the other side', wholeNumber(0)),
    'shadowfs demote --peer nas',
  ).action(
    action(async (mountpoint: string | undefined, options: RoleOptions) => {
      const { control, mount } = await findMount(at(options, mountpoint));
      const sinceMs = Date.now();
      const words: Record<string, string> = {
        ...(options.epoch !== undefined && { epoch: String(options.epoch) }),
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
