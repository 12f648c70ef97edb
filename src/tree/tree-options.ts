/** What a tree is made with. */
import type { Deferred } from '../base/deferred.js';
import type { TreeCommands } from './snapshot-directory.js';

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
  /** Changed names above which a restore expires all at once. */
  epochThreshold?: number;
}
