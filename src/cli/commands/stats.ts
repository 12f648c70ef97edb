/** `shadowfs stats` */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { reportSince, type StatsReport } from '../../measure/stats-report.js';
import type { ControlClient } from '../control-client.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { formatTime, printable, printJson, printLine } from '../output.js';
import { otherLines, requestLines } from './stats-text.js';
import { findMount } from '../target.js';
import { numberAbove, wholeNumber } from '../values.js';

interface StatsOptions extends CommonOptions {
  interval?: number;
  count?: number;
  reset?: boolean;
}

const EXAMPLES = `
  shadowfs stats                    since the mount, or since the last reset
  shadowfs stats --reset            count from nothing again
  shadowfs stats --interval 5       every 5 seconds what happened in them
  shadowfs stats -i 1 --count 10 --json
native-notes/measuring.md says what each column means.`;

export function addStats(program: Command): void {
  withMountpoint(
    program
      .command('stats')
      .description("show where a mount's time goes")
      .option('-i, --interval <seconds>', 'show what happened in each interval', numberAbove(0))
      .option('--count <n>', 'with --interval: end after this many', wholeNumber(1))
      .option('--reset', 'reset the counters'),
    EXAMPLES,
  ).action(
    action(async (mountpoint: string | undefined, options: StatsOptions) => {
      const { control, mount } = await findMount(at(options, mountpoint));
      if (options.reset === true) await reset(control);
      else if (options.interval === undefined) show(mount.mountpoint, await read(control), options);
      else await follow(mount.mountpoint, control, options.interval, options);
    }),
  );
}

async function read(control: ControlClient): Promise<StatsReport> {
  return (await control.state('stats')) as unknown as StatsReport;
}

async function reset(control: ControlClient): Promise<void> {
  await control.attempt(() => writeFile(join(control.directory, 'stats'), 'reset\n'));
}

async function follow(
  mountpoint: string,
  control: ControlClient,
  intervalS: number,
  options: StatsOptions,
): Promise<void> {
  let before = await read(control);
  const count = options.count ?? Number.POSITIVE_INFINITY;
  for (let shown = 0; shown < count; shown++) {
    await sleep(intervalS * 1000);
    const now = await read(control);
    show(mountpoint, reportSince(now, before), options, true);
    before = now;
  }
}

function show(
  mountpoint: string,
  report: StatsReport,
  { json }: StatsOptions,
  isPart = false,
): void {
  if (json === true) {
    printJson(report);
    return;
  }
  const seconds = (report.elapsedMs / 1000).toFixed(1);
  const isReset = report.sinceMs !== report.mountedMs;
  const from = isPart ? 'ending' : isReset ? 'since the last reset at' : 'since it was mounted at';
  const time = formatTime(isPart ? report.sinceMs + report.elapsedMs : report.sinceMs);
  printLine(`${printable(mountpoint)} (driver ${report.driver}): ${seconds} s ${from} ${time}`);
  for (const line of [...requestLines(report), '', ...otherLines(report)]) printLine(line);
  if (isPart) printLine('');
}
