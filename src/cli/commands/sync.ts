/** `shadowfs sync` */
import type { Command } from 'commander';
import { messageOf } from '../../lib/errors.js';
import type { SyncState } from '../../daemon/peers/sync-state.js';
import { parseDuration } from '../../format/text/duration.js';
import { parseKeepPruned } from '../../format/text/keep-pruned.js';
import { parseEvery } from '../../format/text/schedule.js';
import { action, at, type CommonOptions, withTarget } from '../options.js';
import { EXIT_FAILURE, printable, printJson, printLine, wrongUsage } from '../output.js';
import { statusOf } from '../state.js';
import { findMount, findTarget } from '../target.js';
import { CHECK_STATUS, checkSync, type SyncCheck } from './sync-check.js';
import { syncLines } from './sync-text.js';
import { SYNC_ACTIONS, syncWords } from './sync-words.js';

const DEFAULT_MAX_LAG = '10m';

interface SyncOptions extends CommonOptions {
  check?: boolean;
  maxLag?: string;
}

export function addSync(program: Command): void {
  withTarget(
    program
      .command('sync')
      .summary('how far standbys are behind; fetch what is new')
      .argument('[words...]', 'an action, and a directory in the mount')
      .usage(
        `[options] [${SYNC_ACTIONS.join(' | ').replace('every', 'every INTERVAL').replace('keep', 'keep all|as-primary|N|RULES')}] [MOUNTPOINT]`,
      )
      .description(
        'whom this volume follows, how far it is behind, and which standbys follow it (exit code 1 ' +
          'when something is wrong); fetch what is new, pause, resume; fetch every so often, or ' +
          'always: as soon as there is something; keep all of what the primary deletes (the default), ' +
          'nothing (as-primary), the newest N, or what rules say',
      )
      .option(
        '--check',
        'one line for a monitor, and exit code 0 (OK), 1 (WARNING), 2 (CRITICAL) or 3 (UNKNOWN)',
      )
      .option(
        '--max-lag <time>',
        `with --check: further behind is CRITICAL: 90s, 10m, 6h (default: ${DEFAULT_MAX_LAG}; ` +
          'the interval of "sync every" is added)',
      ),
    'shadowfs sync ~/standby\nshadowfs sync now\nshadowfs sync every 15m ~/standby\n' +
      'shadowfs sync keep 24 hourly 7 daily ~/standby\n' +
      'shadowfs sync --check --max-lag 1h ~/standby',
  ).action(
    action(async (words: string[], options: SyncOptions) => {
      if (options.check === true || options.maxLag !== undefined) {
        await check(words, options);
        return;
      }
      const { wanted, mountpoint } = syncWords(words);
      refuseBad(wanted);
      const where = at(options, mountpoint);
      if (wanted === 'status') {
        await show(where);
        return;
      }
      const { control, mount } = await findMount(where);
      const answer = await control.run('sync', wanted, {});
      if (options.json) {
        printJson(answer);
        return;
      }
      const { received, every, keeps } = answer;
      if (keeps !== undefined) {
        printLine(
          `${mount.mountpoint} keeps of what its primary deletes: ${printable(String(keeps))}`,
        );
      } else if (every !== undefined)
        printLine(`${mount.mountpoint} fetches what is new: ${every}`);
      else if (!Array.isArray(received)) printLine(`sync of ${mount.mountpoint}: ${wanted}d`);
      else if (received.length === 0) printLine('nothing new');
      else for (const name of received) printLine(`received ${printable(String(name))}`);
    }),
  );
}

/** Before a mount is looked for: the words may be wrong wherever they are given. */
function refuseBad(wanted: string): void {
  if (wanted.startsWith('every')) parseEvery(wanted);
  else if (wanted.startsWith('keep')) parseKeepPruned(wanted.slice('keep'.length));
}

async function show(options: CommonOptions): Promise<void> {
  const { state, place } = await syncStateOf(options);
  if (options.json) printJson({ ok: true, command: 'sync', ...state });
  else for (const line of syncLines(state, place, Date.now())) printLine(line);
  const isWrong = state.problems.some(({ severity }) => severity !== 'notice');
  if (isWrong) process.exitCode = EXIT_FAILURE;
}

/** Also of a volume that is not mounted: what was stored last. */
async function syncStateOf(options: CommonOptions): Promise<{ state: SyncState; place: string }> {
  const target = await findTarget(options);
  if (target.kind === 'volume') {
    const { lag } = await statusOf(options);
    return { state: lag as SyncState, place: target.volume };
  }
  const { control, mount } = target;
  return { state: (await control.state('lag')) as unknown as SyncState, place: mount.mountpoint };
}

/** Whatever happens, a monitor gets its line and one of its four exit codes. */
async function check(words: readonly string[], options: SyncOptions): Promise<void> {
  const maxLag = options.maxLag ?? DEFAULT_MAX_LAG;
  let state: SyncState | undefined;
  let found: SyncCheck;
  try {
    const { wanted, mountpoint } = syncWords(words);
    if (wanted !== 'status') throw wrongUsage(`sync ${wanted}: --check changes nothing`);
    const maxLagMs = parseDuration(maxLag);
    if (maxLagMs === undefined) throw wrongUsage(`--max-lag ${maxLag}: expected 90s, 10m or 6h`);
    ({ state } = await syncStateOf(at(options, mountpoint)));
    found = checkSync(state, maxLagMs, Date.now());
  } catch (error) {
    found = { code: 3, summary: messageOf(error), figures: [] };
  }
  const { code, summary, figures } = found;
  const status = CHECK_STATUS[code];
  if (options.json) {
    const known = {
      ok: state !== undefined,
      command: 'sync',
      status,
      exitCode: code,
      message: summary,
    };
    printJson({ ...known, ...state });
  } else {
    // A bar begins the figures.
    const line = printable(summary.replaceAll('|', '/').replaceAll('\n', ' '));
    printLine(`SYNC ${status} - ${line}${figures.length === 0 ? '' : ` | ${figures.join(' ')}`}`);
  }
  process.exitCode = code;
}
