/**
 * Opens a mount's volume and base, and makes the volume when there is none.
 * Runs before anything is mounted.
 */
import { relative } from 'node:path';
import { realClock } from '../../lib/clock.js';
import { CommandError } from '../../lib/errors.js';
import { byteStringOfText } from '../../lib/byte-text.js';
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
    refuseOtherVolume(volume, plan);
    refuseOtherOptions(volume, plan.options.creation);
    branchToShow(plan, volume);
    const recovered = recoverApplyNow(volume, plan.volume);
    if (recovered !== undefined) log(`an apply that was cut off is ${recovered} now`);
    return { volume, isNew, ...(recovered !== undefined && { recovered }) };
  } catch (error) {
    owner.release();
    throw error;
  }
}

/** The branch that the mount shows first. Throws no-such-branch. */
export function branchToShow({ options }: MountPlan, volume: Volume): string {
  const name = options.branch ?? volume.catalog.shownBranch;
  try {
    volume.branches.require(name);
  } catch (error) {
    volume.close();
    throw error;
  }
  return name;
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
  volume.close();
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
    refuseOtherVolume(volume, plan);
    refuseOtherOptions(volume, plan.options.creation);
    branchToShow(plan, volume);
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
  // The mounts inside the base must not be reached through it: this thread serves them.
  for (const covered of [plan.mountpoint, plan.controlMount]) {
    if (covered === path || !isWithin(covered, path)) continue;
    directory.pin(byteStringOfText(relative(path, covered)));
  }
  return { path, directory };
}

function makeAndOwn(plan: MountPlan): Owner {
  makeVolumeDirectory(plan.volume);
  const waitMs = ownerWaitMs(plan);
  try {
    return acquireOwner(plan.volume, { waitMs, mountpoint: plan.mountpoint });
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
function refuseOtherOptions(volume: Volume, creation: OptionChanges): void {
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
    volume.close();
    throw new CommandError(
      'option-mismatch',
      'EINVAL',
      `${option}: the volume has ${String(actual)}, not ${String(asked)}` +
        (option === 'block-size' ? '' : `; to change it: shadowfs options ${option}=VALUE`),
    );
  }
}
