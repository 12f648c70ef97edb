/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';

const TEXT = `usage: npm run bench -- [OPTIONS]

Needs root (loop mounts). Everything lies on ext4, Btrfs and XFS images below /var/tmp.

  --only NAME,...     these only (a stage, or one of its workloads):
@WORKLOADS
                      and of shadowfs alone: @FIGURES
                      (without --only: all workloads; "all" is these and shadowfs alone)
  --systems NAME,...  compare with these only: @SYSTEMS
                      (ext4 always takes part)
  --rounds N          interleaved rounds (default 3)
  --quick             small trees and files, one round: to see whether it works
  --large             shadowfs alone: trees up to 1,000,000 files, changes up to 100,000
  --files N,...       shadowfs alone: these sizes of the tree
  --changes N,...     shadowfs alone: these sizes of the change
  --versus DIR        another checkout of shadowfs, built, beside this one
  --record            append the figures to native-notes/performance.txt, and draw the chart
  --chart             draw native-notes/performance.svg from what is recorded; measure nothing
  --guard             compare the ratios with the ones recorded last, measure a second time what
                      is worse by more than a quarter, and name what is again (exit code 1);
                      exit code 2: nothing is recorded to compare with
  --json              print everything as JSON
`;

export interface Options {
  only: string[] | undefined;
  systems: string[] | undefined;
  rounds: number;
  isQuick: boolean;
  /** Sizes for the figures of shadowfs alone. */
  files: number[];
  changes: number[];
  versus: string | undefined;
  isRecorded: boolean;
  isChart: boolean;
  isGuard: boolean;
  isJson: boolean;
  isHelp: boolean;
}

export class UsageError extends Error {}

function namesOf(text: string | undefined, known: readonly string[]): string[] | undefined {
  const names = text?.split(',').filter((name) => name !== '');
  const unknown = (names ?? []).filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new UsageError(`unknown: ${unknown.join(', ')} (see --help)`);
  return names;
}

function numbersOf(text: string | undefined): number[] | undefined {
  const numbers = text?.split(',').map(Number);
  if (numbers?.some((number) => !Number.isInteger(number) || number < 100 || number % 100 !== 0))
    throw new UsageError(`not a list of multiples of 100: ${text}`);
  return numbers;
}

export interface Known {
  /** Stages, their workloads. */
  stages: readonly { name: string; workloads: readonly { name: string }[] }[];
  figures: readonly string[];
  systems: readonly string[];
}

export function helpText({ stages, figures, systems }: Known): string {
  const workloads = stages.map(({ name, workloads: own }) => {
    const names = own.map((workload) => workload.name).filter((other) => other !== name);
    return `${' '.repeat(24)}${[`${name}:`, ...names].join(' ').replace(/:$/, '')}`;
  });
  return TEXT.replace('@WORKLOADS', workloads.join('\n'))
    .replace('@FIGURES', figures.join(' '))
    .replace('@SYSTEMS', systems.join(' '));
}

export function parseOptions(args: string[], known: Known): Options {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      systems: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      large: { type: 'boolean', default: false },
      files: { type: 'string' },
      changes: { type: 'string' },
      versus: { type: 'string' },
      record: { type: 'boolean', default: false },
      chart: { type: 'boolean', default: false },
      guard: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1) throw new UsageError('--rounds: at least 1');
  const stages = known.stages.flatMap(({ name, workloads }) => [
    name,
    ...workloads.map((workload) => workload.name),
  ]);
  const files = values.quick ? [1000, 5000] : [1000, 10_000, 100_000];
  const changes = values.quick ? [100, 1000] : [100, 10_000];
  if (values.large) {
    files.push(1_000_000);
    changes.push(100_000);
  }
  return {
    only: namesOf(values.only, [...stages, ...known.figures, 'all']),
    systems: namesOf(values.systems, known.systems),
    rounds,
    isQuick: values.quick,
    files: numbersOf(values.files) ?? files,
    changes: numbersOf(values.changes) ?? changes,
    versus: values.versus,
    isRecorded: values.record,
    isChart: values.chart,
    isGuard: values.guard,
    isJson: values.json,
    isHelp: values.help,
  };
}
