/**
 * Before a command looks at a volume: a file system on the way there may never
 * answer, and then the command would not either.
 */
import { resolve } from 'node:path';
import { absolutePath } from '../lib/byte-paths.js';
import { CommandError } from '../lib/errors.js';
import { STAT_FIELD, statFields } from '../libc/process-stat.js';
import { answers, describeMount, mountThatMayHang } from '../daemon/mount/answering.js';
import { findMountRecord } from '../daemon/mount/mount-record.js';
import { isWithin } from '../lib/paths.js';
import { MOUNT_TYPE, type MountEntry, readMountTable } from '../daemon/mount/mount-table.js';
import { readRegistry } from '../daemon/volumes/registry.js';
import { currentPaths, type TargetOptions } from './target.js';
import { workingDirectory } from './working-directory.js';

const SILENCE_MS = 5_000;

/** Throws CommandError `no-answer`. */
export async function requireAnswer(options: TargetOptions): Promise<void> {
  const table = readMountTable();
  const asked = new Map<number, MountEntry>();
  for (const path of placesOf(options)) {
    const mount = mountThatMayHang(table, path);
    if (mount !== undefined) asked.set(mount.mountId, mount);
  }
  for (const mount of asked.values()) {
    if (await answers(mount, SILENCE_MS)) continue;
    const message = `${describeMount(mount)} has not answered for ${SILENCE_MS / 1000} s`;
    throw new CommandError('no-answer', 'ETIMEDOUT', message + whose(mount), {
      mountpoint: mount.mountpoint,
      type: mount.type,
      source: mount.source,
    });
  }
}

/** The directory, and the volumes that may be meant by it. */
function placesOf({ directory, volume }: TargetOptions): string[] {
  const path = resolve(workingDirectory(), directory ?? '.');
  if (volume !== undefined) return [path, absolutePath(volume)];
  const entries = readRegistry(currentPaths()).filter(
    ({ base, mountpoints, isForgotten }) =>
      isForgotten !== true &&
      [base, ...mountpoints].some((top) => top !== null && isWithin(path, top)),
  );
  return [path, ...entries.map((entry) => entry.volume)];
}

/** Who serves a mount of ours. */
function whose(mount: MountEntry): string {
  const pid = mount.type === MOUNT_TYPE ? findMountRecord(currentPaths(), mount)?.pid : undefined;
  if (pid === undefined) return '';
  const isStopped = statFields(pid)?.[STAT_FIELD.state] === 'T';
  return `; process ${pid} serves it${isStopped ? ', and is stopped (kill -CONT goes on)' : ''}`;
}
