/** `shadowfs sync`, `revert` */
import type { Command } from 'commander';
import { action, at, type CommonOptions, withMountpoint, withTarget } from '../options.js';
import { counted, formatBytes, printable, printJson, printLine } from '../output.js';
import { findMount } from '../target.js';
import { SYNC_ACTIONS, syncWords } from './sync-words.js';

interface Lag {
  role: string;
  upstream: string | null;
  every: string;
  snapshots: number;
  seconds: number;
  bytes: number | null;
  bytesReceived: number;
  isRunning: boolean;
  isPaused: boolean;
  error: string | null;
  conflicts: { message: string }[];
}

export function addSync(program: Command): void {
  withTarget(
    program
      .command('sync')
      .summary('how far this standby is behind; fetch what is new')
      .argument('[words...]', 'an action, and a directory in the mount')
      .usage(
        `[options] [${SYNC_ACTIONS.join(' | ').replace('every', 'every INTERVAL')}] [MOUNTPOINT]`,
      )
      .description(
        'how far this standby is behind its primary; fetch what is new, pause, resume; ' +
          'fetch every so often, or always: as soon as there is something',
      ),
    'shadowfs sync ~/standby\nshadowfs sync now\nshadowfs sync every 15m ~/standby',
  ).action(
    action(async (words: string[], options: CommonOptions) => {
      const { wanted, mountpoint } = syncWords(words);
      const { control, mount } = findMount(at(options, mountpoint));
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
      const { received, every } = answer;
      if (every !== undefined) printLine(`${mount.mountpoint} fetches what is new: ${every}`);
      else if (!Array.isArray(received)) printLine(`sync of ${mount.mountpoint}: ${wanted}d`);
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
      lag.snapshots === 0 ? 'has all of its snapshots' : `is ${behindText(lag)} behind`;
    lines.push(`${mountpoint} (${lag.role}) follows ${printable(lag.upstream)} and ${behind}`);
  }
  if (lag.every !== 'always') lines.push(`fetches what is new ${lag.every}`);
  if (lag.isRunning) lines.push(`receiving: ${formatBytes(lag.bytesReceived)} so far`);
  if (lag.isPaused) lines.push('paused (shadowfs sync resume)');
  if (lag.error !== null) lines.push(`the last attempt failed: ${printable(lag.error)}`);
  for (const { message } of lag.conflicts) lines.push(printable(message));
  return lines;
}

/** Pure. */
function behindText({ snapshots, seconds, bytes }: Lag): string {
  const parts = [
    counted(snapshots, 'snapshot'),
    ...(bytes === null ? [] : [formatBytes(bytes)]),
    `${Math.round(seconds)} s`,
  ];
  return `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

export function addRevert(program: Command): void {
  withMountpoint(
    program
      .command('revert')
      .summary('on a standby: change places with its primary')
      .description(
        'on a standby: change places with its primary, which first sends what is missing and ' +
          'turns into a standby; nothing is lost',
      ),
    'shadowfs revert ~/standby',
  ).action(
    action(async (mountpoint: string | undefined, options: CommonOptions) => {
      const { control, mount } = findMount(at(options, mountpoint));
      const answer = await control.run('revert', 'now', {});
      if (options.json) printJson(answer);
      else printLine(`${mount.mountpoint} is primary, epoch ${String(answer['epoch'])}`);
    }),
  );
}
