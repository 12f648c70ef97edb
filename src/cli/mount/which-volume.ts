/**
 * Which volume `mount --branch NAME MOUNTPOINT` is about: the mountpoint says
 * nothing of it. In this order: `--volume`, the directory's own volume (it is
 * put in place), that of the current directory, the one that was mounted there
 * last. And `mount --branch NAME BASE MOUNTPOINT` while BASE itself is a mount.
 */
import { absolutePath, realPath } from '../../lib/byte-paths.js';
import { attempt } from '../../lib/attempt.js';
import { CommandError } from '../../lib/errors.js';
import type { MountRequest } from '../../daemon/mount/mount-plan.js';
import { MOUNT_TYPE, mountAt, readMountTable } from '../../daemon/mount/mount-table.js';
import type { StatePaths } from '../../daemon/mount/paths.js';
import { findMount, findTarget, type Target } from '../target.js';

interface Where {
  volume: string;
  base: string | undefined;
}

/** The request with the volume and its base, where they are not given. Throws CommandError. */
export async function withVolumeOf(
  request: MountRequest,
  paths: StatePaths,
): Promise<MountRequest> {
  const { base, mountpoint, volume, options } = request;
  if (options.branch === undefined || request.isNew === true) return request;
  if (base !== undefined && base !== mountpoint) {
    if (!isMounted(base)) return request;
    return { ...request, ...(await whereOf(await findMount({ directory: base }))) };
  }
  const { presentVolume, volumeOfBase, volumeMountedAt } = await import(
    '../../daemon/volumes/known-volume.js'
  );
  if (volume !== undefined) {
    const found = presentVolume(absolutePath(volume));
    return found === undefined ? request : fitted(request, found);
  }
  const directory = real(mountpoint);
  if (base !== undefined && volumeOfBase(paths, directory)) return request;
  const known = volumeMountedAt(paths, directory);
  if (base === undefined && known?.base === undefined && known !== undefined) return request;
  const found = (await hereOrNone()) ?? known;
  if (found !== undefined) return fitted(request, found);
  throw new CommandError(
    'which-volume',
    'ENOENT',
    `a branch of which volume? ${mountpoint} has none, and the current directory is in none\n` +
      '  name it: shadowfs -C DIR mount --branch NAME MOUNTPOINT, or --volume PATH',
  );
}

/** In place, if it is the volume's own directory; beside it otherwise. */
function fitted(request: MountRequest, { volume, base }: Where): MountRequest {
  if (base !== undefined && real(base) === real(request.mountpoint)) {
    return { ...request, volume, base: request.mountpoint };
  }
  return { ...request, volume, base };
}

function real(path: string): string {
  const absolute = absolutePath(path);
  return attempt(() => realPath(absolute)) ?? absolute;
}

function isMounted(path: string): boolean {
  return mountAt(readMountTable(), real(path))?.type === MOUNT_TYPE;
}

/** The volume of the current directory. */
async function hereOrNone(): Promise<Where | undefined> {
  try {
    return await whereOf(await findTarget({}));
  } catch (error) {
    if (error instanceof CommandError && error.code === 'not-under-history') return undefined;
    throw error;
  }
}

async function whereOf(target: Target): Promise<Where> {
  if (target.kind === 'mounted') {
    const { volumePath, base } = await target.control.state('status');
    return { volume: String(volumePath), base: typeof base === 'string' ? base : undefined };
  }
  const { presentVolume } = await import('../../daemon/volumes/known-volume.js');
  return presentVolume(target.volume) ?? { volume: target.volume, base: target.base };
}
