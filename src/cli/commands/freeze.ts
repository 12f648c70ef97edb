/** `shadowfs freeze [MOUNTPOINT]` */
import type { Command } from 'commander';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { Answer } from '../../control/command.js';
import type { ControlClient } from '../control-client.js';
import { onEndSignals } from '../end-signals.js';
import { action, at, type CommonOptions, withMountpoint } from '../options.js';
import { counted, EXIT_FAILURE, formatBytes, printJson, printLine, warn } from '../output.js';
import { withProgress } from '../progress.js';
import { findTarget, requireMounted } from '../target.js';
import { inspect } from './check.js';

interface FreezeOptions extends CommonOptions {
  dryRun?: boolean;
  stop?: boolean;
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
      .option('--stop', 'end the freeze that is running; what is copied stays'),
    `shadowfs freeze -n
     shadowfs freeze ~/project`,
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
        withProgress('freeze', control, control.run('freeze', undefined), 'bytes'),
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
  const { fileCount: files, directoryCount: directories, neededBytes, freeBytes } = answer;
  printLine(
    `would be copied: ${counted(Number(files), 'file')}, ` +
      `${counted(Number(directories), 'directory', 'directories')}, ` +
      `up to ${formatBytes(Number(neededBytes))} (the volume has room for ${formatBytes(Number(freeBytes))})`,
  );
}
