/** One `run`: the command in its world, what it did there, and what becomes of that. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { currentDirectory } from '../../lib/byte-paths.js';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { Answer } from '../../control/command.js';
import type { StatePaths } from '../../daemon/mount/paths.js';
import { printable, type Warn } from '../output.js';
import { canAsk } from '../ask-line.js';
import { askWish, type Wish } from './ask.js';
import { changeLines, type Changes, changesOf, totalsOf, totalsText } from './changes.js';
import { requireProgram } from './find-program.js';
import { type Ended, Signals, takeTerminal } from './launch.js';
import type { LeftProcess } from './leftovers.js';
import { KEPT, settle, type Settled } from './outcome.js';
import { closeWorld, enterWorld, leaveWorld, type World, type WorldRequest } from './world.js';

export interface RunRequest extends WorldRequest {
  /** Absent: asked on a terminal; without one the branch is kept. */
  wish: Wish | undefined;
  /** For a program: people are told nothing but warnings. */
  isQuiet: boolean;
}

export interface Report {
  exitCode: number;
  /** Why what was asked for did not happen. */
  failure: CommandError | undefined;
  answer: Answer;
}

/** Throws CommandError when the command was not started. */
export async function runInWorld(
  request: RunRequest,
  paths: StatePaths,
  warn: Warn,
): Promise<Report> {
  requireProgram(request.command[0] ?? '', request.directory ?? currentDirectory());
  const signals = new Signals();
  try {
    const startedMs = Date.now();
    const world = await enterWorld(request, signals, paths, warn);
    const ended = await world.launched.ended;
    takeTerminal();
    const tookMs = Date.now() - startedMs;
    // A terminal's interrupt was for the command.
    const isEnding = signals.received === 'SIGTERM' || signals.received === 'SIGHUP';
    return await finish(world, { ...request, isEnding }, { ...ended, startedMs, tookMs }, paths);
  } finally {
    signals.end();
  }
}

async function finish(
  world: World,
  request: RunRequest & { isEnding: boolean },
  ended: Ended & { startedMs: number; tookMs: number },
  paths: StatePaths,
): Promise<Report> {
  const tell = (text: string): void => {
    if (!request.isQuiet) process.stderr.write(`${text}\n`);
  };
  const left = await leaveWorld(world, paths);
  const did = await changesOf(world.tree.control, world.branch, !request.isQuiet).catch(
    async (error: unknown) => {
      const isGone = error instanceof CommandError && error.code === 'mount-unreachable';
      if (!isGone) throw error;
      await closeWorld(world, left.length > 0, paths);
      throw treeUnmounted(world, ended);
    },
  );
  for (const line of didLines(world, did, left)) tell(line);
  const { exitCode, signal, startedMs, tookMs } = ended;
  const isFailed = exitCode !== 0 && brings(request.wish);
  const settled = await become(world, request, ended, did, left);
  await closeWorld(world, left.length > 0, paths);
  const { became, failure } = settled;
  const isGone = became === 'dropped' && world.tree.isForRuns;
  const undo = isGone ? null : settled.undo;
  const isUnchanged = did.changes.length === 0 && became === 'dropped';
  const outcome = isUnchanged ? 'unchanged' : became;
  if (!isUnchanged)
    for (const line of becameLines(world, { ...settled, undo }, isFailed)) tell(line);
  const { addedBytes, removedBytes, ...summary } = totalsOf(did.changes);
  return {
    exitCode,
    failure,
    answer: {
      ok: failure === undefined,
      command: 'run',
      ...(failure !== undefined && {
        code: failure.code,
        errno: failure.errno,
        message: failure.message,
        ...failure.details,
      }),
      branch: world.branch,
      directory: world.tree.directory,
      base: world.tree.base,
      volumePath: world.tree.volume,
      isSamePath: world.elsewhere === undefined,
      ...{ exitCode, signal, startedMs, tookMs, outcome, undo },
      ...{ changes: did.changes, truncated: did.truncated, summary, addedBytes, removedBytes },
      leftProcesses: left,
    },
  };
}

/** By force: `umount` refuses it while a run goes on. */
function treeUnmounted({ branch, tree }: World, { exitCode }: Ended): CommandError {
  const where = shownName(tree.directory);
  return new CommandError(
    'tree-unmounted',
    'ENODEV',
    `${where} was unmounted while the command ran, which ended with exit code ${exitCode}: what it ` +
      `did is in branch ${printable(branch)} (shadowfs mount ${where} shows it)`,
    { branch, exitCode },
  );
}

function didLines({ branch, tree }: World, did: Changes, left: readonly LeftProcess[]): string[] {
  const where = `branch ${printable(branch)} of ${shownName(tree.directory)}`;
  return [
    `${where}: ${totalsText(totalsOf(did.changes))}`,
    ...changeLines(did.changes),
    ...(did.truncated ? ['  and more than are counted here'] : []),
    ...(left.length > 0 ? ['still running in the branch, which is kept:'] : []),
    ...left.map(({ pid, command }) => `  ${printable(command)} (pid ${pid})`),
  ];
}

/** Asks when nothing was said, and does what is to be done. */
async function become(
  world: World,
  { wish, branch, isQuiet, isEnding }: RunRequest & { isEnding: boolean },
  { exitCode }: Ended,
  { changes }: Changes,
  left: readonly LeftProcess[],
): Promise<Settled> {
  if (left.length > 0) return { ...KEPT, failure: wish === 'keep' ? undefined : stillUsed(wish) };
  if (changes.length === 0 && wish !== 'keep' && (branch === undefined || wish !== undefined)) {
    return await settle(world, 'discard');
  }
  if (wish !== undefined)
    return await settle(world, brings(wish) && exitCode !== 0 ? 'keep' : wish);
  if (isQuiet || isEnding || !canAsk()) return await settle(world, 'keep');
  const asked = await askWish(world.branch, world.tree.base !== null, () => showDiff(world));
  return await settle(world, asked);
}

/** What failed is not brought home. */
function brings(wish: Wish | undefined): boolean {
  return wish === 'merge' || wish === 'apply';
}

/** Nothing is brought home, and nothing dropped, while somebody goes on writing there. */
function stillUsed(wish: Wish | undefined): CommandError | undefined {
  if (wish === undefined) return undefined;
  return new CommandError('processes-left', 'EBUSY', 'processes are still in the branch');
}

/** As the command of that name, with its pager. */
async function showDiff({ tree, branch }: World): Promise<void> {
  const main = fileURLToPath(new URL('../main.js', import.meta.url));
  const place = tree.hidden ?? tree.directory;
  const words = [main, 'diff', '-p', '--branch', branch, '-C', place];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'inherit', 'inherit'] });
  await once(child, 'close').catch(() => undefined);
}

function becameLines(
  { branch, tree }: World,
  { became, undo, failure }: Settled,
  isFailed: boolean,
): string[] {
  const name = printable(branch);
  if (failure !== undefined) {
    const message = failure.message.split('\n').map(printable).join('\n');
    return [`not done, so that branch ${name} is kept: ${message}`];
  }
  if (became === 'merged') return [`brought into the tree; to take it back: ${takeBack(tree)}`];
  if (became === 'applied') {
    const where = shownName(tree.base ?? '');
    return [`brought into the tree, and applied to ${where}; to take it back: ${takeBack(tree)}`];
  }
  if (became === 'dropped') {
    return [
      undo === null
        ? `dropped branch ${name}`
        : `dropped branch ${name}; it can be had back as ${printable(undo)}`,
    ];
  }
  const first = tree.hidden === null ? [] : [`shadowfs mount ${shownName(tree.directory)}`];
  const hints = [
    ...first,
    `shadowfs diff -p --branch ${name}`,
    `shadowfs merge ${name}`,
    `shadowfs branch --delete ${name}`,
  ];
  const why = isFailed ? ', since the command failed' : '';
  return [`kept as branch ${name}${why}:`, ...hints.map((hint) => `  ${hint}`)];
}

function takeBack({ hidden, directory }: World['tree']): string {
  return hidden === null
    ? 'shadowfs undo'
    : `shadowfs mount ${shownName(directory)}, then shadowfs undo`;
}
