/** `shadowfs undo` */
import type { Command } from 'commander';
import { ageText } from '../../lib/age.js';
import type { Answer } from '../../control/command.js';
import { staleFiles } from '../../daemon/mount/processes.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { formatTime, printable, printJson, printLine, wrongUsage } from '../output.js';
import { statusOf } from '../state.js';
import { printTable } from '../table.js';
import { findMount } from '../target.js';
import { timingText } from '../timings.js';
import { reportHolders } from './restore.js';

interface UndoOptions extends CommonOptions {
  back?: boolean;
  forward?: boolean;
  dryRun?: boolean;
  list?: boolean;
}

/** A command on the undo line, as the answers tell it. */
interface Step {
  command: string;
  name?: string;
  detail?: string;
  timeMs: number;
}

interface Told {
  direction: 'back' | 'forward';
  passed: Step[];
  name: string;
}

export function addUndo(program: Command): void {
  withTarget(
    program
      .command('undo')
      .summary('take back what changed the whole tree last')
      .description(
        'take back the last restore or other command that changed the tree; ' +
          'again: forward to where the tree was. What the tree is now is kept each time',
      ),
    'shadowfs undo -n\n  shadowfs undo',
  )
    .option('-b, --back', 'one command further back, also after an undo')
    .option('-f, --forward', 'one command forward again')
    .option('-n, --dry-run', 'only say what it would do')
    .option('-l, --list', 'list the commands that can be taken back, newest last')
    .action(
      action(async (options: UndoOptions) => {
        if (options.list === true) await list(options);
        else await undo(options);
      }),
    );
}

async function undo(options: UndoOptions): Promise<void> {
  const { control, mount } = await findMount(options);
  const direction = directionOf(options);
  const sinceMs = Date.now();
  if (options.dryRun === true) {
    const answer = await control.run('undo', direction, { dry: 'yes' });
    if (options.json) printJson(answer);
    else {
      const told = answer as unknown as Told;
      printLine(`would ${doneText(told, 'would')}:`);
      printLine(
        `  ${mount.mountpoint} becomes what it was ${whenOf(told)} (${printable(told.name)})`,
      );
      printLine('  what it is now is kept as an undo snapshot, if that is not the same');
    }
    return;
  }
  const answer = await control.run('undo', direction);
  const holders = staleFiles(mount, sinceMs);
  if (options.json) {
    printJson({ ...answer, holders });
    return;
  }
  const told = answer as unknown as Told;
  printLine(
    `${doneText(told, 'did')}: ${mount.mountpoint} is what it was ${whenOf(told)}${timingText(answer)}`,
  );
  for (const line of hints(answer)) printLine(line);
  reportHolders(holders);
}

function directionOf({ back, forward }: UndoOptions): Told['direction'] | undefined {
  if (back === true && forward === true) throw wrongUsage('either --back or --forward');
  if (back === true) return 'back';
  return forward === true ? 'forward' : undefined;
}

/** `took back "restore before" of 2026-11-30 12:00:00 (2 minutes ago)`. Pure. */
function doneText({ direction, passed }: Told, tense: 'did' | 'would'): string {
  const what = passed.map((step) => `"${stepText(step)}" of ${whenText(step)}`).join(', ');
  if (direction === 'back') return `${tense === 'did' ? 'took' : 'take'} back ${what}`;
  return `${tense === 'did' ? 'did' : 'do'} ${what} again`;
}

/** Pure. */
function whenOf({ direction, passed }: Told): string {
  const it = passed.length === 1 ? 'it' : 'them';
  return direction === 'back' ? `before ${it}` : `after ${it}`;
}

function stepText({ command, name, detail }: Pick<Step, 'command' | 'name' | 'detail'>): string {
  return printable([command, name, detail].filter((word) => word !== undefined).join(' '));
}

function whenText({ timeMs }: Step): string {
  return `${formatTime(timeMs)} (${ageText(Date.now() - timeMs)})`;
}

/** What is left, and what the next commands would do. Pure. */
function hints(answer: Answer): string[] {
  const lines: string[] = [];
  if (typeof answer['undo'] === 'string') {
    lines.push(`what it was until now is kept as ${printable(answer['undo'])}`);
  }
  const next = answer['next'] as Told | null;
  const nextBack = answer['nextBack'] as Told | null;
  if (next !== null) {
    const what = next.passed.map(stepText).join(', ');
    lines.push(
      next.direction === 'forward'
        ? 'shadowfs undo goes forward again'
        : `shadowfs undo takes back "${what}"`,
    );
  }
  if (nextBack !== null && next?.direction !== 'back') {
    const what = nextBack.passed.map(stepText).join(', ');
    lines.push(`shadowfs undo --back takes back "${what}", too`);
  }
  return lines;
}

/** A step as `status` lists it. */
interface ShownStep extends Step {
  before: string | null;
  isTakenBack: boolean;
}

async function list(options: UndoOptions): Promise<void> {
  const steps = ((await statusOf(options))['undoSteps'] ?? []) as ShownStep[];
  if (options.json) {
    for (const step of steps) printJson(step);
    return;
  }
  if (steps.length === 0) {
    printLine('no command has changed the tree in a way that undo takes back');
    return;
  }
  const rows = steps.map((step) => [
    formatTime(step.timeMs),
    stepText(step),
    step.isTakenBack ? 'taken back' : 'done',
    printable(step.before ?? '(gone)'),
  ]);
  printTable(['TIME', 'COMMAND', 'STATE', 'THE TREE BEFORE IT'], rows);
}
