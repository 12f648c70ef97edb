/**
 * Opens a mount's volume and base, and makes the volume when there is none.
 * Runs before anything is mounted.
 */
import { relative } from 'node:path';
import { realClock } from '../../lib/clock.js';
import { CommandError } from '../../lib/errors.js';
import { byteStringOfText } from '../../lib/byte-text.js';
import { readLink } from '../../lib/byte-paths.js';
import type { OptionChanges } from '../../format/text/volume-options.js';
import { isVolume, makeVolumeDirectory } from '../../store/open.js';
import {
  acquireOwner,
  inUse,
  type Owner,
  type OwnerRecord,
  presentOwner,
  shareVolume,
} from '../../store/owner.js';
import { BaseDirectory } from '../../base/base-directory.js';
import { createVolume } from '../../volume/create-volume.js';
import { DEFAULT_OPTIONS, type VolumeOptions } from '../../volume/options.js';
import type { StartWriter } from '../../volume/commit/start-writer.js';
import { MAIN_BRANCH } from '../../volume/branches/branch.js';
import { Volume } from '../../volume/volume.js';
import { detachedMountOf, explainInUse, usesOfDetached } from '../mount/detached.js';
import type { MountPlan } from '../mount/mount-plan.js';
import { log } from './log.js';
import type { OpenedFacts } from './messages.js';
import { type Recovered, recoverApplyNow, refuseCutOff } from '../../volume/apply/carry-out.js';
import { isWithin } from '../../lib/paths.js';
import { MOUNT_TYPE, mountAt, readMountTable } from '../mount/mount-table.js';

/** How long to wait for an owner that is closing the volume, and for tools that read it. */
const OWNER_WAIT_MS = 10_000;
const LOOK_WAIT_MS = 1000;

/** The options of a new volume. Pure. */
export function newVolumeOptions(creation: OptionChanges): VolumeOptions {
  return {
    blockSize: creation.blockSize ?? DEFAULT_OPTIONS.blockSize,
    compression: creation.compression ?? DEFAULT_OPTIONS.compression,
    quotaBytes: creation.quotaBytes ?? DEFAULT_OPTIONS.quotaBytes,
    keepUndo: creation.keepUndo ?? DEFAULT_OPTIONS.keepUndo,
    hiddenNames: {
      snapshots: creation.snapshotsName ?? DEFAULT_OPTIONS.hiddenNames.snapshots,
      control: creation.controlName ?? DEFAULT_OPTIONS.hiddenNames.control,
    },
  };
}

export interface OpenedVolume {
  volume: Volume;
  /** Absent: it is read beside others. */
  owner?: Owner;
  /** It was made just now. */
  isNew: boolean;
  /** An apply had been cut off. */
  recovered?: Recovered;
}

export function openedFacts(
  plan: MountPlan,
  { volume, isNew, recovered }: OpenedVolume,
): OpenedFacts {
  return {
    uuid: volume.uuid,
    isNew,
    snapshots: volume.snapshots().length,
    branch: branchToShow(plan, volume),
    ...(recovered !== undefined && { recovered }),
  };
}

/** Throws CommandError. The lock of the volume is held until the process ends. */
export function openVolume(
  plan: MountPlan,
  who: { uid: number; gid: number; wakeFd: number; startWriter: StartWriter },
  hasLog = true,
): OpenedVolume {
  const base = plan.base === undefined ? undefined : openBase(plan, plan.base);
  // It was there when the mount was planned; an empty one must not take its place.
  if (plan.known !== null && !isVolume(plan.volume)) throw lostVolume(plan);
  if (plan.options.readOnly && isVolume(plan.volume)) {
    return { volume: openToRead(plan, base), isNew: false };
  }
  if (!isVolume(plan.volume)) refuseBranch(plan);
  const owner = makeAndOwn(plan);
  try {
    const isNew = !isVolume(plan.volume);
    if (isNew) {
      createVolume({
        path: plan.volume,
        options: newVolumeOptions(plan.options.creation),
        clock: realClock(),
        uid: who.uid,
        gid: who.gid,
        ...(base !== undefined && { base }),
      });
    }
    if (plan.options.readOnly) {
      owner.release();
      return { volume: openToRead(plan, base), isNew };
    }
    const volume = Volume.open({
      path: plan.volume,
      reattach: plan.options.reattach,
      writer: { kind: 'thread', wakeFd: who.wakeFd, start: who.startWriter },
      ...(hasLog && { log: { flush: 'async' as const } }),
      ...(base !== undefined && { base }),
    });
    refuseOther(volume, plan);
    const recovered = recoverApplyNow(volume, plan.volume);
    if (recovered !== undefined) log(`an apply that was cut off is ${recovered} now`);
    return { volume, isNew, owner, ...(recovered !== undefined && { recovered }) };
  } catch (error) {
    owner.release();
    throw error;
  }
}

/** The branch that the mount shows first. Throws no-such-branch. */
export function branchToShow({ options }: MountPlan, volume: Volume): string {
  const name = options.branch ?? volume.catalog.shownBranch;
  volume.branches.require(name);
  return name;
}

/** Closes the volume when it is not the one that was asked for, and throws CommandError. */
function refuseOther(volume: Volume, plan: MountPlan): void {
  try {
    refuseOtherVolume(volume, plan);
    refuseOtherOptions(volume, plan.options.creation);
    branchToShow(plan, volume);
  } catch (error) {
    volume.close();
    throw error;
  }
}

/** A new volume has `main` only. */
function refuseBranch({ options: { branch = MAIN_BRANCH } }: MountPlan): void {
  if (branch === MAIN_BRANCH) return;
  throw new CommandError('no-such-branch', 'ENOENT', `no branch ${branch}: the volume is new`, {
    name: branch,
  });
}

function lostVolume({ volume }: MountPlan): CommandError {
  return new CommandError('volume-missing', 'ENOENT', `the volume ${volume} has gone just now`);
}

/** Another volume has taken the place of the known one. */
function refuseOtherVolume(volume: Volume, plan: MountPlan): void {
  const expected = plan.known?.uuid ?? null;
  if (expected === null || volume.uuid === expected) return;
  throw new CommandError(
    'volume-replaced',
    'EINVAL',
    `${plan.volume} has another volume now than the one that was used for ` +
      `${plan.base ?? plan.mountpoint} (${volume.uuid}, not ${expected})\n` +
      `  to take it as it is: --volume ${plan.volume}\n  to begin a new history: --new`,
    { volumePath: plan.volume, uuid: volume.uuid, expected },
  );
}

/** Opens beside other readers; writes nothing in the volume's directory. */
function openToRead(plan: MountPlan, base: OpenedBase | undefined): Volume {
  refuseCutOff(plan.volume);
  const share = shareVolume(plan.volume, ownerWaitMs(plan));
  if (share === undefined) throw explainInUse(inUse(plan.volume), plan.paths);
  try {
    const volume = Volume.open({
      path: plan.volume,
      reattach: plan.options.reattach,
      writer: { kind: 'none' },
      ...(base !== undefined && { base }),
    });
    refuseOther(volume, plan);
    return volume;
  } catch (error) {
    share.release();
    throw error;
  }
}

interface OpenedBase {
  path: string;
  directory: BaseDirectory;
}

function openBase(plan: MountPlan, path: string): OpenedBase {
  const directory = BaseDirectory.open(byteStringOfText(path));
  for (const covered of coveredPaths(directory, plan)) directory.pin(covered);
  return { path, directory };
}

/**
 * A mount is about to be made inside the base, which this thread reads: the mount must not be
 * reached through the base.
 */
export function coverInBase({ base }: Volume, plan: MountPlan): void {
  for (const path of coveredPaths(base, plan)) base?.pin(path);
}

/** That mount is gone. */
export function uncoverInBase({ base }: Volume, plan: MountPlan): void {
  for (const path of coveredPaths(base, plan)) base?.unpin(path);
}

function coveredPaths(
  base: BaseDirectory | undefined,
  { mountpoint, controlMount }: MountPlan,
): string[] {
  if (base === undefined) return [];
  // By what it is called now.
  const root = readLink(`/proc/self/fd/${base.rootFd}`);
  return [mountpoint, controlMount]
    .filter((covered) => covered !== root && isWithin(covered, root))
    .map((covered) => byteStringOfText(relative(root, covered)));
}

function makeAndOwn(plan: MountPlan): Owner {
  makeVolumeDirectory(plan.volume);
  const waitMs = ownerWaitMs(plan);
  // Whoever is mounting it just now has done so.
  const isInVain = (): boolean => {
    const owner = presentOwner(plan.volume);
    return owner !== undefined && isServed(owner);
  };
  try {
    return acquireOwner(plan.volume, { waitMs, mountpoint: plan.mountpoint, isInVain });
  } catch (error) {
    throw explainInUse(error, plan.paths);
  }
}

function ownerWaitMs({ volume, paths }: MountPlan): number {
  const owner = presentOwner(volume);
  if (owner === undefined) return LOOK_WAIT_MS;
  const detached = detachedMountOf(owner.pid, paths);
  // It ends with its last user, not soon.
  if (detached !== undefined && usesOfDetached(detached).length > 0) return 0;
  return isServed(owner) ? 0 : OWNER_WAIT_MS;
}

/** The owner still has its mount, so it is not about to end. */
function isServed({ mountpoint }: OwnerRecord): boolean {
  return mountpoint !== undefined && mountAt(readMountTable(), mountpoint)?.type === MOUNT_TYPE;
}

/** An existing volume keeps its own options; a request for others is a mistake to report. */
export function refuseOtherOptions(volume: Volume, creation: OptionChanges): void {
  const wanted = newVolumeOptions(creation);
  const has = volume.options;
  const pairs: [string, keyof OptionChanges, unknown, unknown][] = [
    ['block-size', 'blockSize', wanted.blockSize, has.blockSize],
    ['compression', 'compression', wanted.compression, has.compression],
    ['quota', 'quotaBytes', wanted.quotaBytes, has.quotaBytes],
    ['keep-undo', 'keepUndo', wanted.keepUndo, has.keepUndo],
    ['snapshots-name', 'snapshotsName', wanted.hiddenNames.snapshots, has.hiddenNames.snapshots],
    ['control-name', 'controlName', wanted.hiddenNames.control, has.hiddenNames.control],
  ];
  for (const [option, key, asked, actual] of pairs) {
    if (creation[key] === undefined || asked === actual) continue;
    throw new CommandError(
      'option-mismatch',
      'EINVAL',
      `${option}: the volume has ${String(actual)}, not ${String(asked)}` +
        (option === 'block-size' ? '' : `; to change it: shadowfs options ${option}=VALUE`),
    );
  }
}
