/** What a tree is made with. */
import type { Deferred } from '../lib/deferred.js';
import type { NodeLimits } from './nodes/forgetting-plan.js';
import type { TreeCommands } from './snapshots/snapshot-directory.js';

export type TreeJob = Generator<Deferred<void> | undefined, void>;

export interface TreeOptions {
  commands: TreeCommands;
  /** Settles when everything written before the call has arrived here. */
  quiesce: () => Deferred<void>;
  /** Whose mount it is; may command through `.snapshots`, as root may. */
  ownerUid: number;
  readOnly: boolean;
  /** Where `.control` leads, a byte string; absent: there is no `.control`. */
  controlTarget?: string;
  timeoutS?: number;
  /** How many nodes the kernel may know; default `NODE_LIMITS`. */
  nodeLimits?: NodeLimits;
  /** Resumes a job at once after `undefined`, when it has settled after a `Deferred`, until it ends. */
  runJob?: (job: TreeJob) => void;
  /** Changed names above which a restore expires all at once. */
  epochThreshold?: number;
}
