/** `shadowfs umount [MOUNTPOINT]` */
import type { Command } from 'commander';
import { action, type CommonOptions, jsonOption, withExamples } from '../options.js';
import { printJson, printLine, warn } from '../output.js';
import type { MountEntry } from '../../daemon/mount/mount-table.js';
import { currentPaths, findMount, findMountEntry } from '../target.js';
import { hasEnded, readRuns } from '../world/run-records.js';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';

interface UmountOptions extends CommonOptions {
  lazy?: boolean;
}

export function addUmount(program: Command): void {
  withExamples(
    program
      .command('umount')
      .summary('unmount, and wait until everything is stored')
      .argument('[mountpoint]', 'a directory in the mount (default: the current directory)')
      .description('unmount; returns when everything is stored. Other mounts of the volume go on')
      .option('-l, --lazy', 'detach now, even when in use; store when the last user is gone')
      .addOption(jsonOption()),
    'shadowfs umount ~/project',
  ).action(
    action(async (mountpoint: string | undefined, options: UmountOptions) => {
      const mount = findMountEntry(mountpoint);
      if (options.lazy !== true) refuseRuns(mount);
      const isBehind = await showsTheOriginal(mount);
      // Loaded only when needed: other commands start faster without it.
      const { umountAndWait } = await import('../../daemon/mount/umount.js');
      const outcome = await umountAndWait(mount, currentPaths(), options.lazy === true, warn);
      if (options.json) {
        printJson({
          ok: true,
          command: 'umount',
          mountpoint: mount.mountpoint,
          isBehind,
          ...outcome,
        });
      } else if (outcome.ended) {
        printLine(`unmounted ${mount.mountpoint}; everything is stored`);
        if (isBehind) {
          printLine(
            'the directory shows the original again; the work is in the volume:\n' +
              `  shadowfs mount ${mount.mountpoint}   to go on with it\n` +
              `  shadowfs apply -C ${mount.mountpoint}   once mounted, to bring it into the directory`,
          );
        }
      } else {
        printLine(`detached ${mount.mountpoint}; it is stored when its last user is gone`);
      }
    }),
  );
}

/** What runs do could not be brought into a tree that is not mounted. */
function refuseRuns({ mountpoint }: MountEntry): void {
  const runs = readRuns(currentPaths()).filter(
    (run) => run.directory === mountpoint && run.hiddenTree === null && !hasEnded(run),
  );
  if (runs.length === 0) return;
  const lines = runs.map(
    ({ command, pid, branch }) =>
      `\n  run of ${shownName(command)} (pid ${pid}), in branch ${branch}`,
  );
  throw new CommandError(
    'mount-busy',
    'EBUSY',
    `${shownName(mountpoint)} is in use:${lines.join('')}`,
    { runs: runs.map(({ pid, command, branch }) => ({ pid, command, branch })) },
  );
}

/** A mount in place with changes that were not applied: after the unmount they are not in sight. */
async function showsTheOriginal(mount: MountEntry): Promise<boolean> {
  try {
    const { control } = await findMount({ directory: mount.mountpoint });
    const status = await control.state('status');
    return status['base'] === mount.mountpoint && status['isApplied'] === false;
  } catch {
    // A mount that doesn't answer can be unmounted, too.
    return false;
  }
}
