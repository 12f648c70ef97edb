/** The options of a tree. */
import type { Deferred } from '../lib/deferred.js';
import type { NodeLimits } from './nodes/forgetting-plan.js';
import type { TreeCommands } from './snapshots/snapshot-directory.js';

export type TreeJob = Generator<Deferred<void> | undefined, void>;

export interface TreeOptions {
  commands: TreeCommands;
  /** Settles when everything written before the call has arrived here. */
  quiesce: () => Deferred<void>;
  /** The mount's owner, who may give commands through `.snapshots`, as root may. */
  ownerUid: number;
  readOnly: boolean;
  /** The target of `.control`, a byte string; absent: there is no `.control`. */
  controlTarget?: string;
  timeoutS?: number;
  /** How many nodes the kernel may know of all mounts together; default `NODE_LIMITS`. */
  nodeLimits?: NodeLimits;
  /**
   * Runs a job to its end: resumes it at once after `undefined`, or when a
   * `Deferred` has settled.
   */
  runJob?: (job: TreeJob) => void;
  /** Another mount of the volume knows the inode by its number. */
  isKnownElsewhere?: (ino: number) => boolean;
  /** Above this number of changed names a restore expires all names at once. */
  epochThreshold?: number;
}
