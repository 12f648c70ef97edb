/** `shadowfs delete NAME…` */
import type { Command } from 'commander';
import {
  chooseSnapshots,
  mayBeSeveral,
  notAllDeleted,
  type Refused,
  unknownSnapshot,
} from '../../format/text/choose.js';
import { confirmDeletion } from '../ask-line.js';
import type { ControlClient } from '../control-client.js';
import { freedBytes, freedText } from '../freed-bytes.js';
import { inLines } from '../lines-of-names.js';
import { action, type CommonOptions, withTarget } from '../options.js';
import { counted, EXIT_FAILURE, printable, printJson, printLine, wrongUsage } from '../output.js';
import { Progress } from '../progress.js';
import { findMount } from '../target.js';
import { momentMs } from '../values.js';

interface DeleteOptions extends CommonOptions {
  force?: boolean;
  olderThan?: number;
  dryRun?: boolean;
  yes?: boolean;
}

/** A snapshot as the control file lists it. */
interface Listed {
  name: string;
  kind: string;
  createdMs: number;
}

/** Up to so many are named one by one. */
const NAMED_MAX = 20;

export function addDelete(program: Command): void {
  withTarget(
    program
      .command('delete [name...]')
      .summary('delete snapshots')
      .description(
        'delete snapshots: names, patterns (quoted), ranges A..B with both ends; all of them or ' +
          'none. Their space is freed in the background',
      ),
    `shadowfs delete before-upgrade
    shadowfs delete -n 'auto-2026-10-*' monday..friday
    shadowfs delete 'auto-*' --older-than 30d
    Patterns, ranges and --older-than leave undo-… and diverged-… alone; a pattern that begins so
    chooses them. On a terminal, several are deleted after a yes.`,
  )
    .option('--older-than <time>', 'only those that are older (30d, 2026-10-01)', momentMs)
    .option('-n, --dry-run', 'only say which would be deleted, and which are locked by whom')
    .option('--force', 'also locked snapshots; their dependents are told')
    .option('-y, --yes', 'do not ask')
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

async function deleteOne(
  control: ControlClient,
  name: string,
  options: DeleteOptions,
): Promise<void> {
  const answer = await control.run('delete', name, forceWords(options));
  if (options.json) printJson(answer);
  else printLine(`deleted snapshot ${printable(String(answer['name']))}`);
}

function forceWords({ force }: DeleteOptions): Record<string, string> {
  return force === true ? { force: 'yes' } : {};
}

/**
 * What the words mean is settled once, here: what is shown, and confirmed, is what is deleted. So
 * the names go to the control file, never the patterns.
 */
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
  const names = chosen.filter(({ createdMs }) => createdMs < olderThan).map(({ name }) => name);
  const missing = words.length === 0 ? [] : unknown.map((word) => missingOf(word, all));
  const plan = await planOf(control, names, options);
  const refused = [...missing, ...plan.refused];
  if (options.dryRun === true) {
    const freed = refused.length > 0 ? undefined : await freedBytes(control, plan.deleted);
    tellPlan(plan.deleted, refused, freed, options);
    return;
  }
  if (refused.length > 0) throw notAllDeleted(refused, names.length + missing.length);
  if (options.yes !== true && options.json !== true && names.length > 1) {
    await confirmDeletion(question(names));
  }
  await deleteAll(control, names, options);
  if (options.json) printJson({ ok: true, command: 'delete', deleted: names, refused });
  else tell(names);
}

function missingOf(word: string, all: readonly Listed[]): Refused {
  const { code, message } = unknownSnapshot(word, all);
  return { name: word, code, message };
}

/** What would be deleted, and which locks stand in the way. */
async function planOf(
  control: ControlClient,
  names: readonly string[],
  options: DeleteOptions,
): Promise<{ deleted: string[]; refused: Refused[] }> {
  const plan: { deleted: string[]; refused: Refused[] } = { deleted: [], refused: [] };
  for (const line of inLines(names)) {
    const words = { names: line, dry: 'yes', ...forceWords(options) };
    const { deleted, refused } = await control.run('delete', undefined, words);
    plan.deleted.push(...(deleted as string[]));
    plan.refused.push(...(refused as Refused[]));
  }
  return plan;
}

/** One transaction, unless the names do not fit into one line of the control file. */
async function deleteAll(
  control: ControlClient,
  names: readonly string[],
  options: DeleteOptions,
): Promise<void> {
  const lines = inLines(names);
  const progress = new Progress('delete', 'count');
  try {
    let done = 0;
    for (const line of lines) {
      await control.run('delete', undefined, { names: line, ...forceWords(options) });
      done += line.split('/').length;
      progress.update(done, names.length);
    }
  } finally {
    progress.stop();
  }
}

function question(names: readonly string[]): string {
  const shown = names.slice(0, NAMED_MAX).map((name) => `  ${printable(name)}\n`);
  if (names.length > shown.length) shown.push(`  and ${names.length - shown.length} more\n`);
  return `${shown.join('')}delete these ${names.length} snapshots?`;
}

function tellPlan(
  deleted: readonly string[],
  refused: readonly Refused[],
  freed: number | undefined,
  options: DeleteOptions,
): void {
  if (refused.length > 0) process.exitCode = EXIT_FAILURE;
  if (options.json) {
    printJson({
      ok: refused.length === 0,
      command: 'delete',
      dryRun: true,
      deleted,
      refused,
      ...(freed !== undefined && { freedBytes: freed }),
    });
    return;
  }
  for (const name of deleted) printLine(`would delete ${printable(name)}`);
  for (const { message } of refused) {
    printLine(`would refuse: ${message.split('\n').map(printable).join('\n')}`);
  }
  printLine(
    refused.length === 0
      ? `${counted(deleted.length, 'snapshot')} would be deleted${freedText(freed)}`
      : 'nothing would be deleted: all of them are, or none',
  );
}

function tell(deleted: readonly string[]): void {
  if (deleted.length <= NAMED_MAX) {
    for (const name of deleted) printLine(`deleted snapshot ${printable(name)}`);
  }
  if (deleted.length !== 1) printLine(`deleted ${counted(deleted.length, 'snapshot')}`);
}
