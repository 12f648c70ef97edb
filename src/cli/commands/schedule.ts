/** `shadowfs schedule` */
import type { Command } from 'commander';
import type { Answer } from '../../control/command.js';
import { SCHEDULE_EXAMPLE } from '../../format/text/schedule.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { formatTime, printable, printJson, printLine } from '../output.js';
import { statusOf } from '../state.js';
import { findMount } from '../target.js';

export function addSchedule(program: Command): void {
  withTarget(
    program
      .command('schedule [text...]')
      .summary('save automatically, and delete old snapshots')
      .description(
        'save automatically while mounted, and delete old snapshots: TEXT, show, or off',
      ),
    `shadowfs schedule "${SCHEDULE_EXAMPLE}"
    shadowfs schedule daily at 03:00, keep 14 daily
    shadowfs schedule weekly on mon thu at 12:30 18:00
    shadowfs schedule off
    Times of day are local; each comes once a day, also when the clock is changed.`,
  ).action(
    action(async (words: string[], options: CommonOptions) => {
      const text = words.join(' ');
      if (text === '' || text === 'show') {
        await show(options);
        return;
      }
      const answer = await (await findMount(options)).control.run('schedule', text);
      if (options.json) printJson(answer);
      else if (answer['text'] === null) printLine('no schedule from now on');
      else printLine(`from now on: ${String(answer['text'])}`);
    }),
  );
}

async function show(options: CommonOptions): Promise<void> {
  const schedule = ((await statusOf(options))['schedule'] ?? null) as Answer | null;
  if (options.json) {
    printJson({ ok: true, command: 'schedule', text: schedule?.['text'] ?? null, schedule });
    return;
  }
  if (schedule === null) {
    printLine('no schedule (shadowfs schedule --help shows how to set one)');
    return;
  }
  printLine(printable(String(schedule['text'])));
  const { nextDueMs, lastRun } = schedule;
  if (typeof nextDueMs === 'number') printLine(`next: ${formatTime(nextDueMs)}`);
  if (typeof lastRun === 'object' && lastRun !== null) {
    printLine(`last: ${lastText(lastRun as Answer)}`);
  }
}

/** Pure. */
function lastText(last: Answer): string {
  const time = formatTime(Number(last['timeMs']));
  if (last['ok'] !== true) return `${time}: failed: ${printable(String(last['message']))}`;
  const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
  const parts = [
    typeof last['saved'] === 'string' ? `saved ${last['saved']}` : 'nothing had changed',
  ];
  const deleted = list(last['deleted']);
  const locked = list(last['locked']);
  if (deleted.length > 0) parts.push(`deleted ${deleted.length}`);
  if (locked.length > 0) parts.push(`kept because they are locked: ${locked.join(', ')}`);
  return `${time}: ${printable(parts.join('; '))}`;
}
