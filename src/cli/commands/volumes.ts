/** `shadowfs volumes` */
import type { Command } from 'commander';
import { messageOf } from '../../lib/errors.js';
import type { ListedVolume } from '../../daemon/volumes/list-volumes.js';
import { shownName } from '../../lib/byte-text.js';
import { action, jsonOption, withExamples } from '../options.js';
import { formatTime, printable, printJson, printLine, warn } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { printTable } from '../table.js';
import { currentPaths } from '../target.js';

interface VolumesOptions {
  all?: boolean;
  json?: boolean;
}

export function addVolumes(program: Command): void {
  withExamples(
    program
      .command('volumes')
      .summary('list the volumes that you have used')
      .description('list the volumes that you have used, mounted or not, the last used first')
      .option('--all', 'also those that were forgotten')
      .addOption(jsonOption('print each volume as one line of JSON')),
    'shadowfs volumes',
  ).action(
    action(async (options: VolumesOptions) => {
      const paths = currentPaths();
      const { takeIn } = await import('../../daemon/volumes/take-in.js');
      // A state directory that can't be written can still be read.
      await takeIn(paths, warn).catch((error: unknown) => warn(messageOf(error)));
      const { listVolumes } = await import('../../daemon/volumes/list-volumes.js');
      const all = await listVolumes(paths, (path, why) => warn(`${path} can't be read: ${why}`));
      const volumes = all.filter(({ state }) => options.all === true || state !== 'forgotten');
      if (options.json) for (const volume of volumes) printJson(volume);
      else printVolumes(volumes);
    }),
  );
}

function printVolumes(volumes: readonly ListedVolume[]): void {
  if (volumes.length === 0) {
    printLine('no volumes yet (shadowfs mount DIR makes one)');
    return;
  }
  const rows = volumes.map((one) => [
    one.directory === null ? '-' : shownName(one.directory),
    one.state,
    one.sizeBytes === null ? '-' : formatBytes(one.sizeBytes),
    one.snapshotCount === null ? '-' : String(one.snapshotCount),
    one.lastUsedMs === null ? 'never' : formatTime(one.lastUsedMs),
    shownName(one.volumePath),
  ]);
  printTable(['DIRECTORY', 'STATE', 'SIZE', 'SNAPSHOTS', 'LAST USED', 'VOLUME'], rows);
  for (const { volumePath, problem, host, mountpoint, mountpoints, directory } of volumes) {
    if (problem !== null) printLine(printable(`${volumePath}: ${problem}`));
    if (host !== null) printLine(printable(`${volumePath}: last used on another machine, ${host}`));
    const places =
      mountpoints.length > 0 ? mountpoints : [mountpoint].filter((one) => one !== null);
    if (places.some((place) => place !== directory)) {
      printLine(printable(`${volumePath}: mounted on ${places.join(', ')}`));
    }
  }
}
