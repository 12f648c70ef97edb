/** `shadowfs freeze [MOUNTPOINT]` */
import type { Command } from 'commander';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { Answer } from '../../control/command.js';
import type { ControlClient } from '../control-client.js';
import { onEndSignals } from '../end-signals.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { counted, EXIT_FAILURE, printJson, printLine, warn } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { withProgress } from '../progress.js';
import { findTarget, requireMounted } from '../target.js';
import { inspect } from './check.js';

interface FreezeOptions extends CommonOptions {
  dryRun?: boolean;
  stop?: boolean;
  force?: boolean;
}

interface Obstacle {
  path: string;
  reason: string;
  errno?: string;
}

export function addFreeze(program: Command): void {
  withMountpoint(
    program
      .command('freeze')
      .summary('copy the rest of the base into the volume')
      .description(
        'copy the rest of the base directory into the volume, beside all other work: afterwards ' +
          'the base may change or go, and the tree and every snapshot stay as they are; ' +
          'Ctrl-C ends it, and the next freeze goes on from there',
      )
      .option('-n, --dry-run', 'only say what would be copied, and what can not be')
      .option(
        '--force',
        'give up what the base does not have any more: the rest is copied, and reading what is lost fails',
      )
      .option('--stop', 'end the freeze that is running; what is copied stays'),
    `shadowfs freeze -n
     shadowfs freeze ~/project
     shadowfs freeze --force`,
  ).action(
    action(async (mountpoint: string | undefined, options: FreezeOptions) => {
      const target = await findTarget(at(options, mountpoint));
      if (options.dryRun) {
        reportSurvey(options, await inspect(target, { command: 'freeze', args: {} }));
        return;
      }
      const { control } = requireMounted(target, 'freeze');
      if (options.stop) {
        const answer = await control.run('freeze-stop', undefined);
        if (options.json) printJson(answer);
        else printLine(answer['isStopping'] === true ? 'the freeze ends' : 'no freeze is running');
        return;
      }
      await refuseRunning(control);
      const answer = await stoppable(control, () =>
        withProgress(
          'freeze',
          control,
          control.run('freeze', undefined, options.force ? { force: 'yes' } : {}),
          'bytes',
        ),
      );
      report(options, answer);
    }),
  );
}

/** The kernel would let a second one wait for the end of the first. */
async function refuseRunning(control: ControlClient): Promise<void> {
  const { running } = await control.state('status');
  if ((running as Answer | null)?.['command'] !== 'freeze') return;
  throw new CommandError(
    'freeze-running',
    'EBUSY',
    'a freeze is running already (shadowfs status --all shows how far it is)',
  );
}

/** A signal ends the freeze itself; its answer says how far it came. */
async function stoppable<T>(control: ControlClient, run: () => Promise<T>): Promise<T> {
  const end = onEndSignals(() => {
    end();
    control.run('freeze-stop', undefined).catch(() => undefined);
  });
  try {
    return await run();
  } finally {
    end();
  }
}

function report(options: FreezeOptions, answer: Answer): void {
  if (options.json) {
    printJson(answer);
    return;
  }
  const { fileCount: files, directoryCount: directories, storedBytes } = answer;
  const what = `${counted(Number(files), 'file')} and ${counted(Number(directories), 'directory', 'directories')}`;
  const lost = (answer['lost'] ?? []) as Obstacle[];
  for (const { path, reason } of lost) warn(`lost: ${shownName(path)}: ${reason} in the base`);
  const lostCount = Number(answer['lostCount'] ?? 0);
  if (lostCount > lost.length) warn(`and ${lostCount - lost.length} more`);
  printLine(
    `frozen: ${what} were copied (${formatBytes(Number(storedBytes))}); the base is not needed any more`,
  );
}

function reportSurvey(options: FreezeOptions, answer: Answer): void {
  const obstacles = (answer['obstacles'] ?? []) as Obstacle[];
  const count = Number(answer['obstacleCount'] ?? 0);
  if (count > 0) process.exitCode = EXIT_FAILURE;
  if (options.json) {
    printJson(answer);
    return;
  }
  for (const { path, reason, errno } of obstacles) {
    warn(
      `can't be copied: ${shownName(path)}: ${reason}${errno === undefined ? '' : ` (${errno})`}`,
    );
  }
  if (count > obstacles.length) warn(`and ${count - obstacles.length} more`);
  if (obstacles.some(({ reason }) => reason !== 'unreadable')) {
    warn(
      '--force copies everything else; what is lost of these can not be read then, either (EIO)',
    );
  }
  const { fileCount: files, directoryCount: directories, neededBytes, freeBytes } = answer;
  printLine(
    `would be copied: ${counted(Number(files), 'file')}, ` +
      `${counted(Number(directories), 'directory', 'directories')}, ` +
      `up to ${formatBytes(Number(neededBytes))} (the volume has room for ${formatBytes(Number(freeBytes))})`,
  );
}
