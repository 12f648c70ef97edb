/** `shadowfs apply [PATH…]` */
import { join } from 'node:path';
import type { Command } from 'commander';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import { countsOf, type Item, printItems } from './apply-items.js';
import { inspect } from './check.js';
import { pathsBelow } from '../files/paths.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import {
  counted,
  EXIT_FAILURE,
  formatTime,
  printJson,
  printLine,
  warn,
  wrongUsage,
} from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { withProgress } from '../progress.js';
import { findTarget, type MountedTarget, requireMounted, type Target } from '../target.js';

interface ApplyOptions extends CommonOptions {
  branch?: string;
  dryRun?: boolean;
  ours?: boolean;
  theirs?: boolean;
  giveBack?: boolean;
}

interface Version {
  sizeBytes: number;
  mtimeMs: number;
}

interface Conflict {
  path: string;
  treePath: string;
  base: string;
  inBase: Version | null;
  inTree: Version | null;
  isKept: boolean;
}

/** Where people can look at both versions. */
interface Sides {
  base: string;
  tree: string;
}

const REPLACED_LINES = 20;
const NOTHING = 'the base has everything that the tree has';

export function addApply(program: Command): void {
  withTarget(
    program
      .command('apply [path...]')
      .summary('bring the changes of the tree into the base directory')
      .description(
        'bring the changes of the tree, or of PATHs in it, into the base directory; ' +
          'what the base was before stays as a snapshot',
      )
      .option('-n, --dry-run', 'only list what would be done')
      .option('--branch <name>', 'the tree of this branch, not the one that the mount shows')
      .option('--ours', 'where the base has changed, too: take what the tree has')
      .option('--theirs', 'where the base has changed, too: the tree takes what the base has')
      .option(
        '--give-back',
        'then read from the base what it has, and give the space back that it takes in the ' +
          'volume; such files hold, also in snapshots, while nobody else changes them in the base',
      ),
    `shadowfs apply -n
     shadowfs apply
     shadowfs apply src README.md
     shadowfs apply --branch try-it
     shadowfs apply -n --theirs
     shadowfs apply --give-back`,
  ).action(
    action(async (paths: string[], options: ApplyOptions) => {
      if (options.ours && options.theirs) throw wrongUsage('either --ours or --theirs');
      if (options.dryRun && options.giveBack) throw wrongUsage('--give-back without -n');
      if (options.branch !== undefined && options.theirs) {
        throw wrongUsage('--theirs without --branch: it changes the tree that the mount shows');
      }
      const target = await findTarget(options);
      const names = (await pathsBelow(target, paths)).filter((path) => path !== '');
      if (options.dryRun) await preview(target, names, options);
      else await apply(requireMounted(target, 'apply'), names, options);
    }),
  );
}

async function preview(target: Target, paths: string[], options: ApplyOptions): Promise<void> {
  const args = {
    paths,
    ...(options.branch !== undefined && { branch: options.branch }),
    ...(options.theirs && { resolve: 'theirs' as const }),
  };
  const answer = await inspect(target, { command: 'apply', args });
  const conflicts = (answer['conflicts'] ?? []) as Conflict[];
  const refusals = (answer['refusals'] ?? []) as { path: string; message: string }[];
  const stopping = options.theirs || options.ours ? [] : conflicts;
  if (stopping.length + refusals.length > 0) process.exitCode = EXIT_FAILURE;
  if (options.json) {
    printJson(answer);
    return;
  }
  const items = (answer['items'] ?? []) as Item[];
  printItems(items);
  const sides = conflicts.length === 0 ? undefined : await sidesOf(target);
  for (const conflict of conflicts) {
    if (options.theirs) printLine(takingText(conflict, sides));
    else warn(conflictText(conflict, sides));
  }
  for (const { path, message } of refusals) warn(`refused: ${shownName(path)}: ${message}`);
  if (items.length + conflicts.length === 0) printLine(NOTHING);
  else printLine(`would be applied: ${countsOf(answer)}`);
}

/** It loads what changes files, which an apply alone does without. */
const takingTheirs = async () => await import('./apply-theirs.js');

async function apply(target: MountedTarget, paths: string[], options: ApplyOptions): Promise<void> {
  const theirs = options.theirs ? await takingTheirs() : undefined;
  const taken = await theirs?.takeTheirs(target, paths);
  if (taken !== undefined && !options.json) {
    printLine(theirs?.takenText(taken, target.mount.mountpoint) ?? '');
  }
  const words = {
    ...(paths.length > 0 && { path: paths.join('//') }),
    ...(options.branch !== undefined && { branch: options.branch }),
    ...(options.ours && { ours: 'yes' }),
    ...(options.giveBack && { 'give-back': 'yes' }),
  };
  const { control } = target;
  const answer = await withProgress('apply', control, control.run('apply', undefined, words));
  if (options.json) {
    printJson(theirs === undefined ? answer : theirs.withTaken(answer, taken));
    return;
  }
  if (((answer['items'] ?? []) as Item[]).length === 0) printLine(NOTHING);
  else {
    const bytes = formatBytes(Number(answer['writtenBytes'] ?? 0));
    printLine(`applied: ${countsOf(answer)} (${bytes} written)`);
  }
  if (options.giveBack) {
    const bytes = formatBytes(Number(answer['givenBackBytes'] ?? 0));
    const files = counted(Number(answer['givenBackCount'] ?? 0), 'file');
    printLine(`given back: ${bytes} of ${files}, read from the base from now on`);
  }
  const undo = answer['undo'];
  for (const text of replacedTexts((answer['replaced'] ?? []) as Conflict[], undo)) warn(text);
  if (typeof undo === 'string') {
    printLine('to undo this: shadowfs undo');
  }
}

/** What became of the base's versions. */
function replacedTexts(replaced: readonly Conflict[], undo: unknown): string[] {
  const texts = replaced.slice(0, REPLACED_LINES).map(({ path, isKept }) => {
    const where = isKept && typeof undo === 'string' ? `in snapshot ${undo}` : 'in no snapshot';
    return `replaced in the base: ${shownName(path)}; what the base had is ${where}`;
  });
  const more = replaced.length - texts.length;
  return more > 0 ? [...texts, `and ${more} more (--json lists them all)`] : texts;
}

/** Undefined: nobody but the serving process gets at one of them. */
async function sidesOf(target: Target): Promise<Sides | undefined> {
  if (target.kind !== 'mounted') return undefined;
  try {
    const { baseSeenAt } = await takingTheirs();
    return { base: await baseSeenAt(target), tree: target.mount.mountpoint };
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}

function conflictText(conflict: Conflict, sides: Sides | undefined): string {
  const { path, treePath, base, inBase, inTree } = conflict;
  const what = `conflict: ${shownName(path)}: ${base} in the base`;
  const [theirs, ours] = [
    versionText(inBase, sides?.base, path),
    versionText(inTree, sides?.tree, treePath),
  ];
  const lost = conflict.isKept ? '' : ' (in no snapshot: --ours loses it)';
  return `${what}\n  base: ${theirs}${lost}\n  tree: ${ours}`;
}

/** `T f: becomes what the base has: 5 B of …`. */
function takingText(conflict: Conflict, sides: Sides | undefined): string {
  const { path, treePath, inBase, inTree } = conflict;
  const theirs = versionText(inBase, sides?.base, path);
  return `T ${shownName(treePath)}: the tree takes what the base has: ${theirs}, instead of ${versionText(inTree, undefined, treePath)}`;
}

function versionText(version: Version | null, directory: string | undefined, path: string): string {
  if (version === null) return 'nothing';
  const { sizeBytes } = version;
  const size = sizeBytes < 1000 ? counted(sizeBytes, 'byte') : formatBytes(sizeBytes);
  const what = `${size} of ${formatTime(version.mtimeMs)}`;
  return directory === undefined ? what : `${what}, ${shownName(join(directory, path))}`;
}
