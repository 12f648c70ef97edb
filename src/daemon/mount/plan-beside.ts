/**
 * From what a control file asks for to one more mount of a volume that this
 * process serves already. The volume, its base and its options are there; what
 * remains is the mountpoint, the branch and the options of a mount.
 *
 * Runs in the main thread of that process: the paths may lead through its mounts.
 */
import { readMountTable } from './mount-table.js';
import type { CommandError } from '../../lib/errors.js';
import type { MountBeside } from '../serve/messages.js';
import { parseMountOptions } from './mount-options.js';
import {
  directoryAt,
  type MountPlan,
  realpathOfExisting,
  refusal,
  refuseMountpointInUse,
  refuseNesting,
  refuseVolumeInside,
} from './mount-plan.js';
import { controlMountPath } from './paths.js';

/** `first`: the plan of the mount with which the process began. Throws CommandError. */
export function planBeside(first: MountPlan, asked: MountBeside): MountPlan {
  const { base, volume, paths, driver } = first;
  const { branch, options: words = '', source } = asked;
  if (asked.driver !== undefined && asked.driver !== driver) {
    throw refusal(
      'other-driver',
      'EINVAL',
      `driver ${asked.driver}: the process that serves the volume uses ${driver} for all its mounts`,
    );
  }
  const options = parseMountOptions([words]);
  if (branch !== undefined) options.branch = branch;
  const mountpoint = directoryAt(asked.mountpoint, 'mountpoint', paths);
  const inPlace = base === mountpoint;
  refuseMountpointInUse(readMountTable(), mountpoint, inPlace);
  if (base !== undefined) refuseNesting(base, mountpoint);
  refuseVolumeInside(realpathOfExisting(volume), mountpoint);
  return {
    ...first,
    source: options.fsname ?? source ?? base ?? 'shadowfs',
    mountpoint,
    inPlace,
    controlMount: controlMountPath(paths, mountpoint),
    options,
    notes: [],
  };
}

/** The fuse-native driver serves its mount in the main thread, which has no room for another. */
export function oneMountOnly({ mountpoint }: MountPlan): CommandError {
  return refusal(
    'one-mount-per-process',
    'EBUSY',
    `the volume is mounted on ${mountpoint} with the fuse-native driver, which serves one mount; ` +
      'unmount that first, or mount it with --driver kernel',
  );
}

export function ending({ volume }: MountPlan): CommandError {
  return refusal(
    'process-ending',
    'EAGAIN',
    `the process that serves the volume ${volume} is ending`,
  );
}

export function unanswered({ mountpoint }: MountPlan): CommandError {
  return refusal('daemon-failed', 'EIO', `the kernel does not greet the mount on ${mountpoint}`);
}
