/** `shadowfs diff A [B] [--] [PATH…]`, `diff --branch NAME [PATH…]` */
import type { Command } from 'commander';
import { lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { bytesOfText, fsPath, shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import type { DiffChange } from '../../daemon/commands/inspect.js';
import { LATEST_NAME } from '../../format/text/grammar.js';
import { changeText, type StatLine, shownPath, statText } from '../files/diff-text.js';
import { countLines } from '../files/line-diff.js';
import { type Output, paged } from '../files/pager.js';
import { type Sides, sidesOf, statName, writePatch } from '../files/patch.js';
import { isBelow, pathsBelow, snapshotRoot, splitAtDashes } from '../files/paths.js';
import { inspect } from './check.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { counted, printJson, warn, wrongUsage } from '../output.js';
import { listOf } from '../state.js';
import { outputWidth } from '../table.js';
import { findMount, findTarget, type Target } from '../target.js';
import { commandWords } from '../words.js';

const MAX_LINES = 1_000_000;
/** More paths than fit into a line for the control file are sorted out here. */
const MAX_PATH_BYTES = 32 * 1024;
const STAT_COLUMNS = 80;

interface DiffOptions extends CommonOptions {
  branch?: string;
  stat?: boolean;
  nameOnly?: boolean;
  z?: boolean;
  patch?: boolean;
  fold: boolean;
  verbose?: boolean;
  pager: boolean;
}

export function addDiff(program: Command): void {
  withTarget(
    program
      .command('diff [a] [b] [paths...]')
      .summary('show what has changed since a snapshot, or between two')
      .description(
        'show what was added (+), removed (-), changed (M) and renamed (R) between snapshot A ' +
          'and snapshot B, or the tree as it is now; in all of it, or at some paths. ' +
          'A whole new or removed directory is one line. With --branch, what a branch has done ' +
          'since it was forked',
      )
      .option('--branch <name>', 'what this branch has done since its fork')
      .option('-p, --patch', 'the differences in lines, as a patch for git apply')
      .option('--stat', 'how many lines were added and removed')
      .option('--name-only', 'the paths alone')
      .option('-z', 'with --name-only: the bytes of each path, ended by NUL')
      .option('--no-fold', 'every name in new and removed directories')
      .option('-v, --verbose', 'the same as --no-fold')
      .option('--no-pager', 'print to the terminal itself'),
    `shadowfs diff before-upgrade
     shadowfs diff monday tuesday -- src docs/README
     shadowfs diff -p latest src/main.c
     shadowfs diff --branch try-it`,
  ).action(
    action(
      async (
        first: string | undefined,
        second: string | undefined,
        more: string[],
        options: DiffOptions,
      ) => {
        const forms = [options.patch, options.stat, options.nameOnly, options.json];
        if (forms.filter(Boolean).length > 1) {
          throw wrongUsage('-p, --stat, --name-only and --json: only one of them is expected');
        }
        if (options.z && !options.nameOnly) throw wrongUsage('-z goes with --name-only');
        const operands = [first, second, ...more].filter((word) => word !== undefined);
        const target = await findTarget(options);
        const { between, words } = await betweenWhat(target, operands, options);
        const paths = await pathsBelow(target, words);
        if (options.branch !== undefined && (options.patch || options.stat)) {
          await showCopies(target, between, paths, options);
          return;
        }
        const answer = await askDiff(target, between, paths, isFolded(options));
        if (options.json) {
          printJson(answer);
          return;
        }
        const changes = (answer['changes'] ?? []) as DiffChange[];
        await paged(options.pager && !options.z, async (output) => {
          if (options.patch) await printPatch(output, changes, await sides(options, between));
          else if (options.stat) await printStat(output, changes, await sides(options, between));
          else await printLines(output, changes, options);
        });
        if (answer['truncated'] === true) warn('there are more changes than are listed');
      },
    ),
  );
}

/** Programs get every name. */
function isFolded({ fold, verbose, patch, nameOnly, json }: DiffOptions): boolean {
  return fold && !verbose && !patch && !nameOnly && !json;
}

/** Two snapshots, or one and the live tree; or a branch and its fork. */
interface Between {
  name?: string;
  to?: string;
  branch?: string;
}

async function betweenWhat(
  target: Target,
  operands: readonly string[],
  options: DiffOptions,
): Promise<{ between: Between; words: readonly string[] }> {
  const { branch } = options;
  if (branch !== undefined) return { between: { branch }, words: operands };
  const [name, ...others] = operands;
  if (name === undefined) throw wrongUsage('a snapshot, or --branch NAME, is expected');
  const { b, words } = await secondSide(target, others, options);
  return { between: { name, ...(b !== undefined && { to: b }) }, words };
}

/** No directory shows both sides of a branch: they are copied to where programs can read them. */
async function showCopies(
  target: Target,
  between: Between,
  paths: readonly string[],
  options: DiffOptions,
): Promise<void> {
  const copies = mkdtempSync(join(tmpdir(), 'shadowfs-diff-'));
  const remove = (): void => rmSync(copies, { recursive: true, force: true });
  // A reader that has seen enough ends this process.
  process.once('exit', remove);
  try {
    const answer = await askDiff(target, { ...between, copies }, paths, isFolded(options));
    const changes = (answer['changes'] ?? []) as DiffChange[];
    const roots = { before: join(copies, 'before'), after: join(copies, 'after') };
    await paged(options.pager, async (output) => {
      if (options.patch) await printPatch(output, changes, roots);
      else await printStat(output, changes, roots);
    });
  } finally {
    remove();
  }
}

/** As in git: a word that is no snapshot is a path; behind `--` all words are. */
async function secondSide(
  target: Target,
  operands: readonly string[],
  options: DiffOptions,
): Promise<{ b: string | undefined; words: string[] }> {
  const { before, after } = splitAtDashes(operands, commandWords());
  const [first, ...others] = before;
  if (first === undefined) return { b: undefined, words: after ?? [] };
  const snapshots = await listOf(options, 'snapshots');
  const isSnapshot = first === LATEST_NAME || snapshots.some(({ name }) => name === first);
  const words = [...others, ...(after ?? [])];
  if (isSnapshot || after !== undefined) return { b: first, words };
  const isPath = before.every((word) => {
    const path = fsPath(resolve(target.directory, word));
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  });
  if (!isPath && first.includes('/')) {
    throw new CommandError(
      'no-such-file',
      'ENOENT',
      `${shownName(first)} is neither a snapshot nor a path that is there (-- comes before paths)`,
    );
  }
  // If it is neither, the answer says which snapshots have a name like it.
  return isPath ? { b: undefined, words: before } : { b: first, words };
}

export async function askDiff(
  target: Target,
  between: Between & { copies?: string },
  paths: readonly string[],
  fold: boolean,
): Promise<Answer> {
  const bytes = paths.reduce((sum, path) => sum + 4 * bytesOfText(path).length, 0);
  const isAsked = paths.length > 0 && bytes <= MAX_PATH_BYTES;
  const args: CommandArguments = {
    ...between,
    limit: MAX_LINES,
    fold: fold && (isAsked || paths.length === 0),
    ...(isAsked && { paths }),
  };
  const answer = await inspect(target, { command: 'diff', args });
  if (isAsked || paths.length === 0) return answer;
  const changes = ((answer['changes'] ?? []) as DiffChange[]).filter(({ path, oldPath }) => {
    return isBelow(path, paths) || (oldPath !== undefined && isBelow(oldPath, paths));
  });
  return { ...answer, changes };
}

async function sides(options: DiffOptions, { name = '', to }: Between): Promise<Sides> {
  const target = await findMount(options);
  return {
    before: await snapshotRoot(target, name),
    after: to === undefined ? target.mount.mountpoint : await snapshotRoot(target, to),
  };
}

async function printLines(
  output: Output,
  changes: readonly DiffChange[],
  { nameOnly, z }: DiffOptions,
): Promise<void> {
  for (const change of changes) {
    const text = nameOnly ? shownPath({ ...change, type: 'file' }) : changeText(change);
    const bytes = z ? Buffer.concat([bytesOfText(change.path), Buffer.of(0)]) : `${text}\n`;
    if (!(await output.write(bytes))) return;
  }
}

async function printPatch(
  output: Output,
  changes: readonly DiffChange[],
  roots: Sides,
): Promise<void> {
  for (const change of changes) if (!(await writePatch(output, change, roots))) return;
}

async function printStat(
  output: Output,
  changes: readonly DiffChange[],
  roots: Sides,
): Promise<void> {
  const lines: StatLine[] = [];
  for (const change of changes) {
    lines.push({ name: statName(change), count: await statCount(change, roots) });
  }
  const width = Math.min(outputWidth(), STAT_COLUMNS);
  for (const line of statText(lines, width)) if (!(await output.write(`${line}\n`))) return;
}

async function statCount(change: DiffChange, roots: Sides): Promise<StatLine['count']> {
  const { kind, type, details = [], belowCount = 0 } = change;
  if (type === 'directory' && (kind === 'added' || kind === 'removed')) {
    const what = kind === 'added' ? 'new directory' : 'directory removed';
    return belowCount === 0 ? what : `${what}, ${counted(belowCount, 'name')} below`;
  }
  const isContent = kind === 'added' || kind === 'removed' || details.includes('content');
  if (type !== 'file' || !isContent) return details.join(', ') || kind;
  const paths = sidesOf(change, roots);
  const size = (path: string | undefined): number =>
    path === undefined ? 0 : (lstatSync(fsPath(path), { throwIfNoEntry: false })?.size ?? 0);
  try {
    const lines = await countLines(paths.before, paths.after);
    return lines ?? `Bin ${size(paths.before)} -> ${size(paths.after)} bytes`;
  } catch (error) {
    // Gone meanwhile, or not for this user to read.
    if (error instanceof CommandError) throw error;
    return String((error as NodeJS.ErrnoException).code ?? error);
  }
}
