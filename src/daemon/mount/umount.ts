/**
 * `shadowfs umount`: the kernel unmounts (which writes dirty pages out), then
 * this waits until the serving process has stored everything, and ended with
 * its last mount.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { currentDirectory } from '../../lib/byte-paths.js';
import { CommandError } from '../../lib/errors.js';
import { copiesOf, endCopies, flushMount, type MountCopy, usesOfCopies } from './copies.js';
import { cleanControlMount } from './mount-plan.js';
import {
  findMountRecord,
  isRunning,
  type MountRecord,
  readMountRecord,
  recordsOf,
} from './mount-record.js';
import { isWithin } from '../../lib/paths.js';
import { type MountEntry, readMountTable } from './mount-table.js';
import type { StatePaths } from './paths.js';
import { describeUse, parentOf, usesOfMount } from './processes.js';
import { unmount } from '../../fuse/mount/kernel-mount.js';

const POLL_MS = 10;
const PATIENCE_MS = 5000;
const MAX_NAMED_USES = 20;
/** When something else than storing may be what keeps the mount, and from then on. */
const COPIES_MS = 100;
const COPIES_PAUSE_MS = 1000;

export interface UmountOutcome {
  /** The serving process has ended and everything is stored; false: detached, still in use. */
  ended: boolean;
}

/** Throws CommandError: `mount-busy` names the processes. */
export async function umountAndWait(
  mount: MountEntry,
  paths: StatePaths,
  lazy: boolean,
  say: (message: string) => void,
): Promise<UmountOutcome> {
  const record = findMountRecord(paths, mount);
  // This process's own working directory may be what keeps the mount busy.
  if (isWithin(currentDirectory(), mount.mountpoint)) process.chdir('/');
  const copies = copiesOf(mount);
  if (!lazy) refuseUsedElsewhere(mount, copies);
  // The kernel writes it out when it removes the last copy only.
  if (copies.length > 0) flushMount(mount.mountpoint, mount.device);
  try {
    await unmountSoon(mount, record);
  } catch (error) {
    const isBusy = error instanceof CommandError && error.code === 'mount-busy';
    if (!isBusy) throw error;
    if (!lazy) throw busy(mount);
    unmount(mount.mountpoint, { lazy: true });
    return { ended: false };
  }
  if (record === undefined) {
    return { ended: true };
  }
  if (lazy && usesOfCopies(copiesOf(mount)).length > 0) return { ended: false };
  await waitForEnd(mount, record, paths, say);
  // A killed daemon could not do this itself.
  cleanControlMount(record.controlMount);
  const after = readMountRecord(paths, record.mountpoint);
  if (after?.pid === record.pid && after.state !== 'stored') {
    throw new CommandError(
      'store-failed',
      'EIO',
      `${mount.mountpoint} is unmounted, but the serving process (pid ${record.pid}) ` +
        `${after.state === 'failed' ? `failed: ${after.failure ?? '?'}` : 'was killed'}` +
        (record.log === null ? '' : `; see ${record.log}`),
    );
  }
  return { ended: true };
}

/** The daemon itself may use the mount for a moment, to tell watching programs of a restore. */
async function unmountSoon(mount: MountEntry, record: MountRecord | undefined): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    try {
      unmount(mount.mountpoint);
      return;
    } catch (error) {
      const isBusy = error instanceof CommandError && error.code === 'mount-busy';
      if (!isBusy || waitedMs > PATIENCE_MS || record === undefined) throw error;
      const uses = usesOfMount(mount);
      if (!uses.some(({ pid }) => parentOf(pid) === record.pid)) throw error;
      if (uses.some(({ pid }) => parentOf(pid) !== record.pid)) throw error;
    }
    await sleep(POLL_MS);
  }
}

/** In a namespace of their own: the kernel would not count them. */
function refuseUsedElsewhere(mount: MountEntry, copies: readonly MountCopy[]): void {
  const byProducts = copies.filter(({ isByProduct }) => isByProduct);
  const uses = usesOfCopies(byProducts);
  if (uses.length > 0) throw busy(mount, uses);
}

function busy(mount: MountEntry, uses = usesOfMount(mount)): CommandError {
  const lines = uses.slice(0, MAX_NAMED_USES).map((use) => `\n  ${describeUse(use)}`);
  const inner = readMountTable().filter((entry) =>
    entry.mountpoint.startsWith(`${mount.mountpoint}/`),
  );
  for (const entry of inner) lines.push(`\n  ${entry.type} mounted on ${entry.mountpoint}`);
  const named =
    lines.length === 0 ? ' (by a process this user may not look at)' : `:${lines.join('')}`;
  const isHere = uses.some(({ isOwnShell, how }) => isOwnShell === true && how !== 'open file');
  const hint = isHere ? '\nthis shell stands in it itself: leave it first (cd /)' : '';
  return new CommandError('mount-busy', 'EBUSY', `${mount.mountpoint} is in use${named}${hint}`, {
    uses,
  });
}

/** The mount is, or it was the last one of a process that has not ended yet. */
function isServed(record: MountRecord, paths: StatePaths): boolean {
  if (!isRunning(record)) return false;
  const now = readMountRecord(paths, record.mountpoint);
  if (now === undefined || now.pid !== record.pid || now.state === 'serving') return true;
  return recordsOf(record.pid, paths).length === 0;
}

async function waitForEnd(
  mount: MountEntry,
  record: MountRecord,
  paths: StatePaths,
  say: (message: string) => void,
): Promise<void> {
  const startedMs = Date.now();
  let told = false;
  let lookAtMs = startedMs + COPIES_MS;
  while (isServed(record, paths)) {
    let holders: string | undefined;
    if (Date.now() >= lookAtMs) {
      lookAtMs = Date.now() + COPIES_PAUSE_MS;
      holders = endCopies(mount);
    }
    if (!told && (holders !== undefined || Date.now() - startedMs > PATIENCE_MS)) {
      told = true;
      say(
        holders === undefined
          ? `waiting for process ${record.pid} to store everything`
          : `waiting for ${holders}: there is a copy of the mount in a mount namespace of their own`,
      );
    }
    await sleep(POLL_MS);
  }
}
