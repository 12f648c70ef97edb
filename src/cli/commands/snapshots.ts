/** `shadowfs snapshots` */
import type { Command } from 'commander';
import { ageText } from '../../lib/age.js';
import type { Answer } from '../../control/command.js';
import { chooseSnapshots, unknownSnapshot } from '../../format/text/choose.js';
import { foldedNote } from '../../format/text/note.js';
import { sourceText } from '../../format/text/source.js';
import { wordsOf } from '../directory-word.js';
import { action, at, type CommonOptions, withTarget } from '../options.js';
import { formatTime, printable, printJson, printLine } from '../output.js';
import { listOf } from '../state.js';
import { printTable } from '../table.js';
import { momentMs, oneOf, wholeNumber } from '../values.js';
import { onlyColumn, withSpace } from './with-space.js';

interface SnapshotsOptions extends CommonOptions {
  lines?: number;
  since?: number;
  until?: number;
  kind?: string[];
  branch?: string;
  space?: boolean;
}

const KINDS = ['user', 'auto', 'undo', 'diverged'] as const;

type Listed = Answer & { name: string; kind: string };

export function addSnapshots(program: Command): void {
  withTarget(
    program
      .command('snapshots [pattern-or-mountpoint...]')
      .alias('list')
      .summary('list the snapshots, oldest first')
      .description(
        'list the snapshots, oldest first: all, or those that names, patterns (quoted) and ' +
          'ranges A..B choose',
      ),
    `shadowfs snapshots -n 10
    shadowfs snapshots 'auto-*' --since 2d
    shadowfs snapshots --kind user,auto --until 2026-11-01
    shadowfs snapshots --space
    --since and --until include the moment that they name.`,
  )
    .option('-n, --lines <count>', 'only the newest so many', wholeNumber(1))
    .option('--since <time>', 'only those made since (2h, yesterday, "2026-11-30 12:00")', momentMs)
    .option('--until <time>', 'only those made until then', momentMs)
    .option('--kind <kinds>', `only those of these kinds: ${KINDS.join(',')}`, kindsOf)
    .option('--branch <branch>', 'only those made on this branch (main, …)')
    .option('--space', 'what each holds alone: what deleting it gives back')
    .action(
      action(async (given: string[], options: SnapshotsOptions) => {
        const { words, mountpoint } = wordsOf(given);
        const place = at(options, mountpoint);
        const all = (await listOf(place, 'snapshots')) as Listed[];
        const { lines = Number.POSITIVE_INFINITY } = options;
        const snapshots = chosenBy(words, all)
          .filter((one) => isWanted(one, options))
          .slice(-lines);
        const shown =
          options.space === true ? await withSpace(place, 'bySnapshot', snapshots) : snapshots;
        if (options.json) for (const snapshot of shown) printJson(snapshot);
        else show(shown, all.length);
      }),
    );
}

/** `user,auto` */
function kindsOf(text: string): string[] {
  return text.split(',').map(oneOf(...KINDS));
}

/** Pure. */
function isWanted(
  { kind, createdMs, branch = 'main' }: Listed,
  options: SnapshotsOptions,
): boolean {
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = options;
  const madeMs = Number(createdMs);
  return (
    madeMs >= since &&
    madeMs <= until &&
    (options.kind?.includes(kind) ?? true) &&
    (options.branch === undefined || options.branch === branch)
  );
}

/** Throws no-such-snapshot when nothing is meant by a word. */
function chosenBy(words: readonly string[], all: readonly Listed[]): Listed[] {
  if (words.length === 0) return [...all];
  const { chosen, unknown } = chooseSnapshots(words, all, 'every kind');
  if (unknown.length === 0) return chosen;
  const [word = ''] = unknown;
  throw unknownSnapshot(word, all);
}

function show(snapshots: readonly Listed[], all: number): void {
  if (snapshots.length === 0) {
    printLine(
      all === 0
        ? 'no snapshots yet (shadowfs save NAME makes one)'
        : 'no such snapshots (shadowfs snapshots lists all)',
    );
    return;
  }
  const nowMs = Date.now();
  const hasBranches = snapshots.some(({ branch }) => branch !== undefined);
  const only = onlyColumn(snapshots);
  const rows = snapshots.map((snapshot) => {
    const createdMs = Number(snapshot['createdMs']);
    return [
      printable(snapshot.name),
      Number(snapshot['lockCount']) > 0 ? `${snapshot.kind}, locked` : snapshot.kind,
      formatTime(createdMs),
      ageText(nowMs - createdMs),
      ...only.cell(snapshot),
      String(snapshot['layer']),
      ...(hasBranches ? [printable(String(snapshot['branch'] ?? 'main'))] : []),
      printable(sourceText(String(snapshot['source']))),
      printable(foldedNote(String(snapshot['note'] ?? ''))),
    ];
  });
  const branch = hasBranches ? ['BRANCH'] : [];
  printTable(
    ['NAME', 'KIND', 'CREATED', 'AGE', ...only.heading, 'LAYER', ...branch, 'BY', 'NOTE'],
    rows,
  );
}
