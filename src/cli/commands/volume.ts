/** `shadowfs volume move | forget | delete | adopt` */
import { createInterface } from 'node:readline/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { absolutePath, realPath } from '../../lib/byte-paths.js';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { StatePaths } from '../../daemon/mount/paths.js';
import type { Loss } from '../../daemon/volumes/delete-volume.js';
import {
  hasVolume,
  presentPath,
  type VolumeEntry,
  volumePathOf,
} from '../../daemon/volumes/registry.js';
import { action, jsonOption, withExamples } from '../options.js';
import { counted, printJson, printLine, warn } from '../output.js';
import { formatBytes } from '../../lib/size-text.js';
import { Progress } from '../progress.js';
import { currentPaths } from '../target.js';

interface Options {
  json?: boolean;
  moved?: boolean;
  force?: boolean;
  dryRun?: boolean;
}

const WHICH = 'VOLUME is its path, the beginning of its UUID, or its directory.';
const NAMES_SHOWN = 10;

export function addVolume(program: Command): void {
  const volume = program
    .command('volume')
    .summary('move, forget, delete or adopt a volume')
    .description('move, forget, delete or adopt a volume that is not mounted');
  addMove(volume);
  addForget(volume);
  addDelete(volume);
  addAdopt(volume);
}

/** Loaded only when needed, as all that looks at volumes. */
async function takeInAll(paths: StatePaths): Promise<void> {
  const { takeIn } = await import('../../daemon/volumes/take-in.js');
  await takeIn(paths, warn);
}

async function known(word: string): Promise<VolumeEntry> {
  const paths = currentPaths();
  const { findEntry } = await import('../../daemon/volumes/find-volume.js');
  await takeInAll(paths);
  return findEntry(paths, word);
}

function addMove(volume: Command): void {
  withExamples(
    volume
      .command('move <volume> <to>')
      .summary('move a volume to another place')
      .description('move a volume to the path TO, which must not exist or be an empty directory')
      .option('--moved', 'it lies at TO already: only note that')
      .addOption(jsonOption()),
    `shadowfs volume move ~/project /mnt/big/project.volume
     shadowfs volume move --moved ~/project /mnt/big/project.volume
     ${WHICH}`,
  ).action(
    action(async (word: string, target: string, options: Options) => {
      const entry = await known(word);
      const to = volumePathOf(absolutePath(target));
      const { moveVolume, noteMoved } = await import('../../daemon/volumes/move-volume.js');
      if (options.moved === true) {
        noteMoved(currentPaths(), entry, to);
        if (options.json) {
          printJson({
            ok: true,
            command: 'volume-move',
            uuid: entry.uuid,
            from: entry.volume,
            to,
            how: 'noted',
            left: [],
          });
        } else printLine(`the volume of ${nameOf(entry)} lies at ${shownName(to)} now`);
        return;
      }
      const progress = new Progress('move', 'bytes');
      try {
        const moved = await moveVolume(currentPaths(), entry, to, (done, total) =>
          progress.update(done, total),
        );
        progress.stop();
        if (options.json) {
          printJson({ ok: true, command: 'volume-move', uuid: entry.uuid, ...moved });
          return;
        }
        printLine(`moved the volume of ${nameOf(entry)} to ${shownName(to)} (${moved.how})`);
        tellLeft(moved.from, moved.left);
      } finally {
        progress.stop();
      }
    }),
  );
}

function tellLeft(directory: string, left: readonly string[]): void {
  if (left.length === 0) return;
  printLine(`${shownName(directory)} keeps what is not the volume's: ${left.join(', ')}`);
}

/** The directory that people know the volume by. */
function nameOf(entry: VolumeEntry): string {
  return shownName(entry.base ?? entry.mountpoints[0] ?? entry.volume);
}

function addForget(volume: Command): void {
  withExamples(
    volume
      .command('forget <volume>')
      .description('strike a volume off the list; its data stays where it is')
      .addOption(jsonOption()),
    `shadowfs volume forget ~/project
     ${WHICH}`,
  ).action(
    action(async (word: string, options: Options) => {
      const entry = await known(word);
      const path = presentPath(entry);
      const { forgetVolume } = await import('../../daemon/volumes/delete-volume.js');
      forgetVolume(currentPaths(), entry);
      const isThere = hasVolume(path);
      if (options.json) {
        printJson({
          ok: true,
          command: 'volume-forget',
          uuid: entry.uuid,
          volumePath: path,
          isThere,
        });
        return;
      }
      printLine(`forgot the volume of ${nameOf(entry)}`);
      if (isThere) {
        printLine(`its data stays in ${shownName(path)}; to use it again:`);
        printLine(`  shadowfs volume adopt ${shownName(path)}`);
      }
    }),
  );
}

function addDelete(volume: Command): void {
  withExamples(
    volume
      .command('delete <volume>')
      .summary('delete a volume with all of its history')
      .description('delete a volume with its whole history; says what would be lost')
      .option('-n, --dry-run', 'only say what would be lost')
      .option('--force', 'do not ask')
      .addOption(jsonOption()),
    `shadowfs volume delete ~/project
     ${WHICH}`,
  ).action(
    action(async (word: string, options: Options) => {
      const entry = await known(word);
      const volume = presentPath(entry);
      const { deleteVolume, isHalfDeleted, lossOf } = await import(
        '../../daemon/volumes/delete-volume.js'
      );
      const loss = isHalfDeleted(entry) ? undefined : lossOf(entry);
      if (!options.json && loss !== undefined)
        for (const line of lossLines(entry, loss)) printLine(line);
      if (options.dryRun === true) {
        if (options.json) {
          printJson({
            ok: true,
            command: 'volume-delete',
            volumePath: volume,
            dryRun: true,
            loss: loss ?? null,
          });
        }
        return;
      }
      if (options.force !== true && loss !== undefined) await confirm(entry, loss);
      const left = await deleteVolume(currentPaths(), entry);
      if (options.json) {
        printJson({
          ok: true,
          command: 'volume-delete',
          volumePath: volume,
          loss: loss ?? null,
          left,
        });
      } else {
        printLine(`deleted the volume ${shownName(volume)}`);
        tellLeft(volume, left);
      }
    }),
  );
}

/** Pure. */
function lossLines(entry: VolumeEntry, loss: Loss): string[] {
  const { snapshots, branches, locks, followers, sizeBytes, hasChanges } = loss;
  const lines = [`the volume of ${nameOf(entry)}: ${presentPath(entry)}`];
  if (sizeBytes !== null) lines.push(`  size: ${formatBytes(sizeBytes)}`);
  lines.push(`  ${countedNames(snapshots, 'older', 'snapshot')}`);
  if (branches.length > 0) lines.push(`  ${countedNames(branches, 'more', 'branch', 'branches')}`);
  if (hasChanges === true) {
    lines.push(`  changes that ${nameOf(entry)} itself does not have: they are only here`);
  } else if (hasChanges === null) {
    lines.push('  its files, which are only here (it lies over nothing)');
  }
  for (const follower of followers) lines.push(`  followed by ${shownName(follower)}`);
  for (const { snapshot, text, origin } of locks) {
    lines.push(`  ${shownName(snapshot)} is locked by ${shownName(origin)}: ${text}`);
  }
  return lines;
}

/** The last few by name. Pure. */
function countedNames(
  names: readonly string[],
  rest: string,
  ...what: [word: string, several?: string]
): string {
  if (names.length === 0) return counted(0, ...what);
  const shown = names.slice(-NAMES_SHOWN).map(shownName).join(', ');
  const left = names.length - NAMES_SHOWN;
  return `${counted(names.length, ...what)}: ${shown}${left > 0 ? `, and ${left} ${rest}` : ''}`;
}

/** Throws CommandError `not-confirmed`. */
async function confirm(entry: VolumeEntry, loss: Loss): Promise<void> {
  const name = basename(entry.base ?? entry.mountpoints[0] ?? entry.volume);
  const refuse = (why: string): CommandError =>
    new CommandError('not-confirmed', 'EINVAL', `${why}: nothing was deleted`, { loss });
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw refuse('--force deletes the volume, or the name typed on a terminal');
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const typed = await terminal.question(`type ${shownName(name)} to delete the volume: `);
    if (typed.trim() !== name) throw refuse('another name was typed');
  } finally {
    terminal.close();
  }
}

function addAdopt(volume: Command): void {
  withExamples(
    volume
      .command('adopt <path>')
      .description('take a volume that lies at PATH into the list')
      .addOption(jsonOption()),
    'shadowfs volume adopt /mnt/old-disk/project.volume',
  ).action(
    action(async (word: string, options: Options) => {
      const path = absolutePath(word);
      const place = volumePathOf(hasVolume(path) ? realPath(path) : path);
      const paths = currentPaths();
      await takeInAll(paths);
      const { adoptVolume } = await import('../../daemon/volumes/adopt-volume.js');
      const adopted = adoptVolume(paths, place);
      if (options.json) {
        printJson({ ok: true, command: 'volume-adopt', volumePath: place, ...adopted });
        return;
      }
      const { base, snapshotCount, hasDirectory, copies } = adopted;
      printLine(`adopted ${shownName(place)} with ${counted(snapshotCount, 'snapshot')}`);
      for (const copy of copies) printLine(`a copy of it is known in ${shownName(copy)}`);
      const at = shownName(place);
      if (base === null) printLine(`to use it: shadowfs mount --no-base --volume ${at} MOUNTPOINT`);
      else if (hasDirectory) printLine(`to use it: shadowfs mount ${shownName(base)}`);
      else {
        printLine(`its directory ${shownName(base)} is not here; to use it over another one:`);
        printLine(`  shadowfs mount --volume ${at} -o reattach DIR`);
      }
    }),
  );
}
