/** `shadowfs undo`: of what changed the tree, or, after an apply, the base. */
import type { Command } from 'commander';
import { ageText } from '../../lib/age.js';
import { shownName } from '../../lib/byte-text.js';
import type { Answer } from '../../control/command.js';
import { staleFiles } from '../../daemon/mount/processes.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import {
  EXIT_FAILURE,
  formatTime,
  printable,
  printJson,
  printLine,
  warn,
  wrongUsage,
} from '../output.js';
import { withProgress } from '../progress.js';
import { statusOf } from '../state.js';
import { printTable } from '../table.js';
import { findMount } from '../target.js';
import { timingText } from '../timings.js';
import { countsOf, type Item, printItems } from './apply-items.js';
import { reportHolders } from './restore.js';

interface UndoOptions extends CommonOptions {
  back?: boolean;
  forward?: boolean;
  dryRun?: boolean;
  list?: boolean;
  ours?: boolean;
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
  /** An apply has changed the base; every other command the tree. */
  concerns: 'tree' | 'base';
  name: string;
}

export function addUndo(program: Command): void {
  withTarget(
    program
      .command('undo')
      .summary('take back what changed the tree or the base last')
      .description(
        'take back the last restore, apply or other command that changed the tree or its base; ' +
          'again: forward to where it was. What it is now is kept each time',
      ),
    'shadowfs undo -n\n  shadowfs undo',
  )
    .option('-b, --back', 'one command further back, also after an undo')
    .option('-f, --forward', 'one command forward again')
    .option('--ours', 'of an apply: also where others have changed the base since')
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
    const told = answer as unknown as Told;
    const isHindered = hindrancesOf(answer, options).length > 0;
    if (isHindered) process.exitCode = EXIT_FAILURE;
    if (options.json) printJson(answer);
    else if (told.concerns === 'base') await tellPreview(answer, options);
    else {
      printLine(`would ${doneText(told, 'would')}:`);
      printLine(
        `  ${mount.mountpoint} becomes what it was ${whenOf(told)} (${printable(told.name)})`,
      );
      printLine('  what it is now is kept as an undo snapshot, if that is not the same');
    }
    return;
  }
  const words = options.ours ? { ours: 'yes' } : {};
  const answer = await withProgress('undo', control, control.run('undo', direction, words));
  if ((answer as unknown as Told).concerns === 'base') {
    if (options.json) printJson(answer);
    else await tellBase(answer, options);
    return;
  }
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

/** What stands in the way of taking an apply back. */
function hindrancesOf(answer: Answer, { ours }: UndoOptions): string[] {
  const conflicts = (answer['conflicts'] ?? []) as { path: string; base: string }[];
  const refusals = (answer['refusals'] ?? []) as { path: string; message: string }[];
  return [
    ...(ours ? [] : conflicts).map(
      ({ path, base }) => `conflict: ${shownName(path)}: ${base} in the base since then`,
    ),
    ...refusals.map(({ path, message }) => `refused: ${shownName(path)}: ${message}`),
  ];
}

async function tellPreview(answer: Answer, options: UndoOptions): Promise<void> {
  const { control, mount } = await findMount(options);
  const { base } = await control.state('status');
  printLine(`would ${doneText(answer as unknown as Told, 'would')}:`);
  printItems((answer['items'] ?? []) as Item[]);
  printLine(`the base ${String(base)} would change: ${countsOf(answer)}`);
  printLine(`${mount.mountpoint} stays as it is`);
  for (const line of hindrancesOf(answer, options)) warn(line);
}

async function tellBase(answer: Answer, options: UndoOptions): Promise<void> {
  const { control, mount } = await findMount(options);
  const { base } = await control.state('status');
  const told = answer as unknown as Told;
  const then = told.direction === 'back' ? 'before it' : 'after it';
  printLine(`${doneText(told, 'did')}: the base ${String(base)} is what it was ${then}`);
  printLine(`${countsOf(answer)}; ${mount.mountpoint} is unchanged`);
  for (const line of hints(answer)) printLine(line);
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
    printLine('no command has changed the tree or the base in a way that undo takes back');
    return;
  }
  const rows = steps.map((step) => [
    formatTime(step.timeMs),
    stepText(step),
    step.isTakenBack ? 'taken back' : 'done',
    printable(step.before ?? '(gone)'),
  ]);
  printTable(['TIME', 'COMMAND', 'STATE', 'BEFORE IT'], rows);
}
