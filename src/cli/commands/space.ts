/** `shadowfs space [NAME…]` */
import type { Command } from 'commander';
import { ageText } from '../../lib/age.js';
import { shownName } from '../../lib/byte-text.js';
import { formatBytes } from '../../lib/size-text.js';
import type { Answer } from '../../control/command.js';
import type {
  BranchSpaceLine,
  SnapshotSpaceLine,
  SpaceFigures,
  SpaceFile,
  SpaceSet,
} from '../../daemon/commands/space-answer.js';
import { wordsOf } from '../directory-word.js';
import { action, at, type CommonOptions, withTarget } from '../options.js';
import { counted, printable, printJson, printLine, warn, wrongUsage } from '../output.js';
import { formatTable, outputWidth, printTable } from '../table.js';
import { findTarget } from '../target.js';
import { wholeNumber } from '../values.js';
import { inspect } from './check.js';

interface SpaceOptions extends CommonOptions {
  branch?: string[];
  files?: boolean;
  lines?: number;
}

const FILES_SHOWN = 20;
const MAIN_BRANCH = 'main';

export function addSpace(program: Command): void {
  withTarget(
    program
      .command('space [pattern-or-mountpoint...]')
      .summary('show where the space went, and what deleting gives back')
      .description(
        'show what each snapshot and branch holds alone (what deleting it gives back), what it ' +
          'shares with the live tree, and what it references. With names, patterns (quoted) and ' +
          'ranges A..B of snapshots, or names of branches: what deleting all of them together ' +
          'gives back, which may be more than the sum',
      )
      .option('--branch <name>', 'this branch, also when a snapshot has the same name', several)
      .option('--files', 'the largest files behind what the names hold')
      .option('-n, --lines <count>', 'with --files: so many files, default 20', wholeNumber(1)),
    `shadowfs space
    shadowfs space 'auto-*' monday..friday
    shadowfs space --files before-upgrade`,
  ).action(
    action(async (given: string[], options: SpaceOptions) => {
      const { words, mountpoint } = wordsOf(given);
      const { branch: branches = [], files, lines } = options;
      if (lines !== undefined && files !== true) throw wrongUsage('-n goes with --files');
      if (files === true && words.length + branches.length === 0) {
        throw wrongUsage('--files: the names of snapshots or branches are expected');
      }
      const target = await findTarget(at(options, mountpoint));
      const answer = await inspect(target, {
        command: 'space',
        args: {
          ...(words.length > 0 && { names: words }),
          ...(branches.length > 0 && { branches }),
          ...(files === true && { files: lines ?? FILES_SHOWN }),
        },
      });
      if (options.json) printJson(answer);
      else show(answer);
    }),
  );
}

/** For an option that may be given several times. */
function several(name: string, before: string[] = []): string[] {
  return [...before, name];
}

function show(answer: Answer): void {
  const set = answer['together'] as SpaceSet | undefined;
  const files = answer['largestFiles'] as SpaceFile[] | undefined;
  if (files !== undefined) showFiles(files);
  else showTable(answer);
  if (set === undefined) showWhole(answer);
  else showSet(set);
  if (answer['isExact'] === false) {
    warn('changes since the last stop are counted as they will be stored: the figures are near');
  }
}

function showTable(answer: Answer): void {
  const live = String(answer['liveBranch']);
  const nowMs = Date.now();
  const snapshots = answer['bySnapshot'] as SnapshotSpaceLine[];
  const branches = answer['byBranch'] as BranchSpaceLine[];
  const figures = ({ onlyBytes, sharedBytes, referencedBytes }: SpaceFigures): string[] =>
    [onlyBytes, sharedBytes, referencedBytes].map(formatBytes);
  const rows = [
    ...snapshots.map((one) => [
      printable(one.name),
      one.lockCount > 0 ? `${one.kind}, locked` : one.kind,
      ageText(nowMs - one.createdMs),
      ...figures(one),
    ]),
    ...branches.map((one) => [
      printable(one.name),
      one.name === live ? 'live tree' : 'branch',
      '',
      ...figures(one),
    ]),
  ];
  const headings = ['NAME', 'KIND', 'AGE', 'ONLY IT', 'SHARED', 'REFERENCED'];
  printTable(headings, rows);
}

/** Parts of the whole that are nothing are left out. */
function showWhole(answer: Answer): void {
  const parts: readonly (readonly [string, string])[] = [
    ['liveBytes', 'the live tree'],
    ['branchBytes', 'other branches'],
    ['snapshotBytes', 'snapshots alone'],
    ['keptBytes', 'kept for merges, forks and applies'],
    ['incomingBytes', 'being received or merged'],
    ['pendingBytes', 'not needed any more, freed in the background'],
    ['indexBytes', 'order: tables, history, pages that are not full'],
  ];
  const rows = parts
    .filter(([field]) => Number(answer[field]) > 0)
    .map(([field, text]) => [formatBytes(Number(answer[field])), text]);
  printLine('');
  printLine(
    formatTable([formatBytes(Number(answer['usedBytes'])), 'used by the volume'], rows, {
      width: outputWidth(),
    }),
  );
}

function showSet({ snapshots, branches, freedBytes, lockedCount }: SpaceSet): void {
  const what = [
    ...(snapshots.length > 0 ? [counted(snapshots.length, 'snapshot')] : []),
    ...(branches.length > 0 ? [counted(branches.length, 'branch', 'branches')] : []),
  ].join(' and ');
  const all = [...snapshots, ...branches];
  const amount = `${formatBytes(freedBytes)} (${freedBytes} bytes)`;
  printLine('');
  // Nothing deletes the volume's own tree.
  if (branches.includes(MAIN_BRANCH))
    printLine(`nothing but ${all.length === 1 ? all[0] : what} holds ${amount}`);
  else printLine(`deleting ${what} gives back ${amount}`);
  if (lockedCount > 0) {
    printLine(`${counted(lockedCount, 'snapshot')} of them locked: shadowfs locks says why`);
  }
  if (branches.some((name) => name !== MAIN_BRANCH)) {
    printLine('the undo-… snapshot that a deleted branch leaves holds its part until it goes, too');
  }
}

function showFiles(files: readonly SpaceFile[]): void {
  const rows = files.map(({ path, heldBytes, snapshot, branch }) => [
    formatBytes(heldBytes),
    path === null ? '(a file without a name)' : shownName(path === '' ? '.' : path),
    printable(snapshot ?? branch ?? ''),
  ]);
  if (rows.length === 0) printLine('no file takes space that they hold alone');
  else printTable(['HELD', 'PATH', 'SEEN IN'], rows);
}
