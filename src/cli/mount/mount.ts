/**
 * `shadowfs mount DIR`, `mount BASE MOUNTPOINT`, `mount --no-base MOUNTPOINT`
 *
 * Doors inside cli/: helper-words, mount, mount-helper, plan, umount.
 */
import type { Command } from 'commander';
import { parseMountOptions } from '../../daemon/mount/mount-options.js';
import type { DriverChoice, MountPlan, MountRequest } from '../../daemon/mount/mount-plan.js';
import type { OpenedFacts } from '../../daemon/serve/spawn.js';
import { DRIVERS } from './mount-words.js';
import { planned, served } from './plan.js';
import { withVolumeOf } from './which-volume.js';
import { processesBelow } from './told-below.js';
import { action, type CommonOptions, jsonOption, withExamples } from '../options.js';
import { noteWarning, printable, printJson, printLine, warn, wrongUsage } from '../output.js';
import { currentPaths } from '../target.js';
import { oneOf } from '../values.js';

interface MountCommandOptions extends CommonOptions {
  base: boolean;
  driver: DriverChoice;
  ro?: boolean;
  allowOther?: boolean;
  option: string[];
  foreground?: boolean;
  new?: boolean;
  branch?: string;
  blockSize?: string;
  compression?: string;
  quota?: string;
  keepUndo?: string;
  snapshotsName?: string;
  controlName?: string;
}

const EXAMPLES = `
  shadowfs mount ~/project                in place: the directory itself gets a history
  shadowfs mount ~/project /mnt/play      a view of it elsewhere; ~/project never changes
  shadowfs mount --no-base /mnt/scratch   over nothing
  shadowfs mount --branch try . /mnt/try  one more tree of it, beside its other mounts

-o takes the long options above without their dashes, and ro, rw, allow_other:
  shadowfs mount --no-base -o compression=on,quota=10G /mnt/scratch`;

export function addMount(program: Command): void {
  const collect = (value: string, before: string[]): string[] => [...before, value];
  withExamples(
    program
      .command('mount <directories...>')
      .summary('put a directory under history')
      .usage('[options] DIR | BASE MOUNTPOINT | --no-base MOUNTPOINT')
      .description('put a directory under history and return when it is mounted')
      .option('--no-base', 'over nothing instead of a directory')
      .option('--volume <path>', 'where the volume lives (default: below the state directory)')
      .option('--branch <name>', 'show this branch (default: the one that was shown last)')
      .option('--new', 'begin a new history, even if one is known for the directory')
      .option(
        '--driver <name>',
        'kernel, fuse-native, or auto: the first that works',
        oneOf(...DRIVERS),
        'auto',
      )
      .option('--ro', 'read-only')
      .option('--allow-other', 'let other users in, with their ordinary rights')
      .option('-o, --option <key=value,...>', 'mount options', collect, [])
      .option('-f, --foreground', 'serve in this process; log to the terminal')
      .option('--block-size <size>', 'new volume: 4K to 128K (default: 32K)')
      .option('--compression <on|off>', 'new volume: LZ4 for file data (default: off)')
      .option('--quota <size>', 'new volume: largest size (default: 0, no limit)')
      .option('--keep-undo <count>', 'new volume: how many undo-… snapshots are kept (default: 10)')
      .option('--snapshots-name <name>', 'new volume: another name for .snapshots')
      .option('--control-name <name>', 'new volume: another name for .control')
      .addOption(jsonOption()),
    EXAMPLES,
  ).action(
    action(async (directories: string[], options: MountCommandOptions) => {
      const paths = currentPaths();
      // Loaded only when needed: other commands start faster without it.
      const { takeIn } = await import('../../daemon/volumes/take-in.js');
      await takeIn(paths, warn);
      const request = await withVolumeOf(requestOf(directories, options), paths);
      const plan = await planned(request, paths);
      for (const note of plan.notes) warn(note);
      if (options.foreground) {
        const { serveInForeground } = await import('../../daemon/serve/daemon.js');
        await serveInForeground(plan, (volume) =>
          report(options, { ...plan, log: '' }, volume, plan.driver === 'fuse-native'),
        );
        return;
      }
      const given = { words: wordsOf(options), driver: options.driver };
      report(options, plan, await served(plan, given));
    }),
  );
}

/** `servesHere`: this thread serves the mount, and must not look into it. */
function report(
  options: MountCommandOptions,
  plan: MountPlan,
  { uuid, isNew, snapshots, branch, recovered }: OpenedFacts,
  servesHere = false,
): void {
  const { base, mountpoint, volume, driver, log } = plan;
  const below = servesHere ? { uses: [], warnings: [] } : processesBelow(plan);
  if (options.json) {
    for (const text of below.warnings) noteWarning('uncovered-directory', text);
    printJson({
      ok: true,
      command: 'mount',
      mountpoint,
      base: base ?? null,
      volumePath: volume,
      uuid,
      isNew,
      snapshotCount: snapshots,
      branch,
      recovered: recovered ?? null,
      driver,
      log: log === '' ? null : log,
      usesBelow: below.uses,
    });
    return;
  }
  const over = base === undefined ? '' : base === mountpoint ? ' in place' : ` over ${base}`;
  const news = isNew ? '; a new history begins' : '';
  const shown = branch === 'main' ? '' : `, branch ${printable(branch)}`;
  printLine(`mounted ${mountpoint}${over} (volume ${volume}${shown})${news}`);
  for (const text of below.warnings) noteWarning('uncovered-directory', text);
  if (recovered === 'completed') printLine('an apply that had been cut off is completed now');
  if (recovered === 'undone') {
    printLine(
      'an apply had been cut off before the base was changed: shadowfs apply does it again',
    );
  }
}

function requestOf(directories: readonly string[], options: MountCommandOptions): MountRequest {
  const [first, second] = directories;
  if (first === undefined || directories.length > (options.base ? 2 : 1)) {
    throw wrongUsage('expected DIR, or BASE MOUNTPOINT, or --no-base MOUNTPOINT');
  }
  return {
    base: options.base ? first : undefined,
    mountpoint: second ?? first,
    volume: options.volume,
    isNew: options.new === true,
    driver: options.driver,
    options: {
      ...parseMountOptions(wordsOf(options)),
      ...(options.branch !== undefined && { branch: options.branch }),
    },
  };
}

/** The `-o` words. */
function wordsOf(options: MountCommandOptions): string[] {
  return [...options.option, ...longOptions(options)];
}

/** The long options in the form of `-o`. */
function longOptions(options: MountCommandOptions): string[] {
  const pairs: [string, string | undefined][] = [
    ['block-size', options.blockSize],
    ['compression', options.compression],
    ['quota', options.quota],
    ['keep-undo', options.keepUndo],
    ['snapshots-name', options.snapshotsName],
    ['control-name', options.controlName],
    ['ro', options.ro ? 'on' : undefined],
    ['allow-other', options.allowOther ? 'on' : undefined],
  ];
  return pairs.filter(([, value]) => value !== undefined).map(([key, value]) => `${key}=${value}`);
}
