/** `shadowfs delete NAME…` */
import type { Command } from 'commander';
import { CommandError } from '../../lib/errors.js';
import type { Answer } from '../../control/command.js';
import { chooseSnapshots, isPattern } from '../../format/text/choose.js';
import { nearHint, nearMatches } from '../../format/text/grammar.js';
import type { ControlClient } from '../control-client.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import {
  counted,
  EXIT_FAILURE,
  printable,
  printJson,
  printLine,
  warn,
  wrongUsage,
} from '../output.js';
import { Progress } from '../progress.js';
import { findMount } from '../target.js';
import { momentMs } from '../values.js';

interface DeleteOptions extends CommonOptions {
  force?: boolean;
  olderThan?: number;
  dryRun?: boolean;
}

/** A snapshot as the control file lists it. */
interface Listed {
  name: string;
  kind: string;
  createdMs: number;
  lockCount: number;
}

interface Refused {
  name: string;
  code: string;
  message: string;
}

interface Deleted {
  deleted: string[];
  refused: Refused[];
}

/** Snapshots in one transaction: what waits behind it does not wait long. */
const BATCH_SNAPSHOTS = 100;
/** Up to so many are named one by one. */
const NAMED_MAX = 20;

export function addDelete(program: Command): void {
  withTarget(
    program
      .command('delete [name...]')
      .summary('delete snapshots')
      .description(
        'delete snapshots: names, patterns (quoted), ranges A..B with both ends; ' +
          'their space is freed in the background',
      ),
    `shadowfs delete before-upgrade
    shadowfs delete -n 'auto-2026-10-*' monday..friday
    shadowfs delete 'auto-*' --older-than 30d
    Patterns, ranges and --older-than leave undo-… and diverged-… alone; a pattern that begins so
    chooses them.`,
  )
    .option('--older-than <time>', 'only those that are older (30d, 2026-10-01)', momentMs)
    .option('-n, --dry-run', 'only say which would be deleted, and which are locked')
    .option('--force', 'also locked snapshots; their dependents are told')
    .action(
      action(async (words: string[], options: DeleteOptions) => {
        const { control } = await findMount(options);
        const [word] = words;
        const isOne = words.length === 1 && options.olderThan === undefined;
        if (isOne && word !== undefined && options.dryRun !== true && !mayBeSeveral(word)) {
          await deleteOne(control, word, options);
        } else await deleteSeveral(control, words, options);
      }),
    );
}

function mayBeSeveral(word: string): boolean {
  return isPattern(word) || word.includes('..');
}

async function deleteOne(
  control: ControlClient,
  name: string,
  options: DeleteOptions,
): Promise<void> {
  const answer = await control.run('delete', name, options.force ? { force: 'yes' } : {});
  if (options.json) printJson(answer);
  else printLine(`deleted snapshot ${printable(String(answer['name']))}`);
}

async function deleteSeveral(
  control: ControlClient,
  words: string[],
  options: DeleteOptions,
): Promise<void> {
  if (words.length === 0 && options.olderThan === undefined) {
    throw wrongUsage('which snapshots? Names, patterns, A..B, or --older-than TIME');
  }
  const all = (await control.list('snapshots')) as unknown as Listed[];
  const { chosen, unknown } = chooseSnapshots(words.length === 0 ? ['*'] : words, all, 'saved');
  const { olderThan = Number.POSITIVE_INFINITY } = options;
  const wanted = chosen.filter(({ createdMs }) => createdMs < olderThan);
  const missing = words.length === 0 ? [] : unknown.map((word) => notThere(word, all));
  if (options.dryRun === true) {
    tellPlan(wanted, missing, options);
    return;
  }
  const { deleted, refused } = await deleteAll(
    control,
    wanted.map(({ name }) => name),
    options.force === true,
  );
  tell({ deleted, refused: [...missing, ...refused] }, options);
}

function notThere(word: string, all: readonly Listed[]): Refused {
  const names = all.map(({ name }) => name);
  const near = isPattern(word) ? [] : nearMatches(word, names);
  const what = mayBeSeveral(word) ? `no snapshot matches "${word}"` : `no snapshot "${word}"`;
  return { name: word, code: 'no-such-snapshot', message: what + nearHint(near) };
}

/** One transaction for each batch. What is refused does not stop the rest. */
async function deleteAll(
  control: ControlClient,
  names: readonly string[],
  force: boolean,
): Promise<Deleted> {
  const done: Deleted = { deleted: [], refused: [] };
  const progress = new Progress('delete', 'count');
  try {
    for (let at = 0; at < names.length; at += BATCH_SNAPSHOTS) {
      const batch = names.slice(at, at + BATCH_SNAPSHOTS);
      const { deleted, refused } = await deleteBatch(control, batch, force);
      done.deleted.push(...deleted);
      done.refused.push(...refused);
      progress.update(at + batch.length, names.length);
    }
  } finally {
    progress.stop();
  }
  return done;
}

/** No name has a slash, so it separates them in the line. */
async function deleteBatch(
  control: ControlClient,
  names: readonly string[],
  force: boolean,
): Promise<Deleted> {
  const line = { names: names.join('/'), ...(force && { force: 'yes' }) };
  try {
    return deletedOf(await control.run('delete', undefined, line));
  } catch (error) {
    // The answer says which were deleted, and which were refused.
    if (error instanceof CommandError && error.code === 'not-all-deleted') {
      return deletedOf(error.details);
    }
    throw error;
  }
}

function deletedOf(answer: Answer): Deleted {
  return {
    deleted: (answer['deleted'] ?? []) as string[],
    refused: (answer['refused'] ?? []) as Refused[],
  };
}

function tellPlan(
  wanted: readonly Listed[],
  missing: readonly Refused[],
  options: DeleteOptions,
): void {
  const isLocked = ({ lockCount }: Listed): boolean => lockCount > 0 && options.force !== true;
  const deleted = wanted.filter((one) => !isLocked(one)).map(({ name }) => name);
  const locked = wanted.filter(isLocked).map(
    ({ name, lockCount }): Refused => ({
      name,
      code: 'snapshot-locked',
      message: `snapshot ${name} is locked (${counted(lockCount, 'lock')}; shadowfs locks says why)`,
    }),
  );
  const refused = [...missing, ...locked];
  if (options.json) {
    printJson({ ok: true, command: 'delete', dryRun: true, deleted, refused });
    return;
  }
  for (const name of deleted) printLine(`would delete ${printable(name)}`);
  for (const { message } of refused) printLine(`would refuse: ${printable(message)}`);
  printLine(`${counted(deleted.length, 'snapshot')} would be deleted`);
}

function tell({ deleted, refused }: Deleted, options: DeleteOptions): void {
  if (refused.length > 0) process.exitCode = EXIT_FAILURE;
  if (options.json) {
    printJson({ ok: refused.length === 0, command: 'delete', deleted, refused });
    return;
  }
  if (deleted.length <= NAMED_MAX) {
    for (const name of deleted) printLine(`deleted snapshot ${printable(name)}`);
  }
  if (deleted.length !== 1) printLine(`deleted ${counted(deleted.length, 'snapshot')}`);
  for (const { message } of refused) warn(message.split('\n').map(printable).join('\n'));
}
