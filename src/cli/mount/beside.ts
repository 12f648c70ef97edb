/**
 * A mount of a volume that a process serves already: that process is asked, by
 * the control files of one of its mounts, to serve one more.
 */
import { hostname } from 'node:os';
import { shownName } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { DriverChoice, MountPlan } from '../../daemon/mount/mount-plan.js';
import { recordsOf } from '../../daemon/mount/mount-record.js';
import {
  isDead,
  MOUNT_TYPE,
  mountAt,
  type MountEntry,
  mountNamespaceOf,
  mountOfDevice,
  readMountTable,
} from '../../daemon/mount/mount-table.js';
import type { OpenedFacts } from '../../daemon/serve/spawn.js';
import type { OwnerRecord } from '../../store/owner.js';
import { controlOf } from '../target.js';

/** What the plan no longer says: the words as they were given. */
export interface Given {
  /** `-o` words. */
  words: readonly string[];
  driver: DriverChoice;
}

/** That process ends just now, or has ended: whoever comes next opens the volume anew. */
const GONE = new Set(['process-ending', 'mount-unreachable']);

/**
 * Undefined: no process serves the volume. Throws CommandError as that process does, which then goes
 * on as it was.
 */
export async function mountBeside(plan: MountPlan, given: Given): Promise<OpenedFacts | undefined> {
  // Loaded only when needed: other commands start faster without it.
  const { presentOwner } = await import('../../store/owner.js');
  const owner = presentOwner(plan.volume);
  const mount = owner === undefined ? undefined : mountServedBy(owner, plan);
  if (owner === undefined || mount === undefined) return undefined;
  refuseOtherNamespace(owner, plan);
  const { branch } = plan.options;
  const control = controlOf(mount, plan.paths);
  try {
    const answer = await control.run('mount', plan.mountpoint, {
      ...(branch !== undefined && { branch }),
      ...(given.words.length > 0 && { options: given.words.join(',') }),
      ...(given.driver !== 'auto' && { driver: given.driver }),
      source: plan.source,
    });
    return {
      uuid: String(answer['uuid']),
      isNew: false,
      snapshots: Number(answer['snapshotCount']),
      branch: String(answer['branch']),
    };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (GONE.has(error.code)) return undefined;
    // Nobody asked for a branch: the volume itself is what is in use.
    if (error.code === 'branch-in-use' && branch === undefined)
      throw await volumeInUse(plan, error);
    throw error;
  }
}

/** One of its mounts that answers. */
function mountServedBy(owner: OwnerRecord, { paths }: MountPlan): MountEntry | undefined {
  if (owner.host !== hostname()) return undefined;
  const table = readMountTable();
  const known = recordsOf(owner.pid, paths).map(({ device, mountpoint }) =>
    device === undefined ? mountAt(table, mountpoint) : mountOfDevice(table, device, mountpoint),
  );
  // Another user's, or with another state directory.
  const named = owner.mountpoint === undefined ? undefined : mountAt(table, owner.mountpoint);
  return [...known, named].find((mount) => mount?.type === MOUNT_TYPE && !isDead(mount.mountpoint));
}

/** It would be mounted where that process lives, and not be seen here. */
function refuseOtherNamespace({ pid }: OwnerRecord, { volume }: MountPlan): void {
  // Of a process outside of the user namespace in which a `run` works that can't be known.
  if (mountNamespaceOf(pid) === mountNamespaceOf('self')) return;
  throw new CommandError(
    'other-namespace',
    'EBUSY',
    `the volume ${shownName(volume)} is served by process ${pid}, which sees other mounts than this ` +
      'one (another mount namespace, as in a container or in a run): mount it from there',
    { pid },
  );
}

async function volumeInUse(
  { volume }: MountPlan,
  { details }: CommandError,
): Promise<CommandError> {
  const { inUse } = await import('../../store/owner.js');
  const { message, code, errno, details: owner } = inUse(volume);
  return new CommandError(
    code,
    errno,
    `${message}; to mount another branch beside it: --branch NAME`,
    { ...owner, ...details },
  );
}
