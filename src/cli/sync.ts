/** `shadowfs sync`, `revert` */
import type { Command } from 'commander';
import { action, type CommonOptions, withTarget } from './options.js';
import { formatBytes, printable, printJson, printLine } from './output.js';
import { findMount } from './target.js';

interface Lag {
  role: string;
  upstream: string | null;
  snapshots: number;
  seconds: number;
  bytesReceived: number;
  isRunning: boolean;
  isPaused: boolean;
  error: string | null;
  conflicts: { message: string }[];
}

const ACTIONS = ['status', 'now', 'pause', 'resume'];

export function addSync(program: Command): void {
  withTarget(
    program
      .command('sync')
      .argument('[action]', ACTIONS.join(', '), 'status')
      .description('how far this standby is behind its primary; fetch what is new, pause, resume'),
    'shadowfs sync now',
  ).action(
    action(async (wanted: string, options: CommonOptions) => {
      const { control, mount } = findMount(options);
      if (wanted === 'status') {
        const lag = (await control.state('lag')) as unknown as Lag;
        if (options.json) printJson({ ok: true, command: 'sync', ...lag });
        else for (const line of lagLines(lag, mount.mountpoint)) printLine(line);
        return;
      }
      const answer = await control.run('sync', wanted, {});
      if (options.json) {
        printJson(answer);
        return;
      }
      const { received } = answer;
      if (!Array.isArray(received)) printLine(`sync of ${mount.mountpoint}: ${wanted}d`);
      else if (received.length === 0) printLine('nothing new');
      else for (const name of received) printLine(`received ${printable(String(name))}`);
    }),
  );
}

function lagLines(lag: Lag, mountpoint: string): string[] {
  const lines = [];
  if (lag.upstream === null) lines.push(`${mountpoint} (${lag.role}) follows nobody`);
  else {
    const behind =
      lag.snapshots === 0
        ? 'has all of its snapshots'
        : `is ${lag.snapshots} snapshots and ${Math.round(lag.seconds)} s behind`;
    lines.push(`${mountpoint} (${lag.role}) follows ${printable(lag.upstream)} and ${behind}`);
  }
  if (lag.isRunning) lines.push(`receiving: ${formatBytes(lag.bytesReceived)} so far`);
  if (lag.isPaused) lines.push('paused (shadowfs sync resume)');
  if (lag.error !== null) lines.push(`the last attempt failed: ${printable(lag.error)}`);
  for (const { message } of lag.conflicts) lines.push(printable(message));
  return lines;
}

export function addRevert(program: Command): void {
  withTarget(
    program
      .command('revert')
      .description(
        'on a standby: change places with its primary, which first sends what is missing and ' +
          'turns into a standby; nothing is lost',
      ),
    'shadowfs revert',
  ).action(
    action(async (options: CommonOptions) => {
      const { control, mount } = findMount(options);
      const answer = await control.run('revert', 'now', {});
      if (options.json) printJson(answer);
      else printLine(`${mount.mountpoint} is primary, epoch ${String(answer['epoch'])}`);
    }),
  );
}
