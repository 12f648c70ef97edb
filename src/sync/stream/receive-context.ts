/**
 * What a receiver needs of where its volume is: a mounted one has programs
 * that must not wait, and a kernel that must hear of what changes under it.
 */
import type { Deferred } from '../../lib/deferred.js';
import { settledWith } from '../../lib/work.js';
import { TXG_BYTES, TXG_RECORDS } from '../../volume/commit/txgs.js';
import type { AdoptAnswer, RoleMove } from '../../volume/peers/role-commands.js';
import type { Volume } from '../../volume/volume.js';

export interface ReceiveContext {
  /** With so much in the open group it is stored before more comes in. */
  readonly txgBytes: number;
  readonly txgRecords: number;
  /** The writer is behind: settles when it is worth another look. */
  pause(): Deferred<void>;
  /** Settles when the change is durable and no program sees what was before. */
  adopt(change: () => RoleMove<AdoptAnswer>): Deferred<AdoptAnswer>;
}

/** Nobody else uses the volume. */
export function unmountedContext(volume: Volume): ReceiveContext {
  return {
    txgBytes: TXG_BYTES,
    txgRecords: TXG_RECORDS,
    pause() {
      volume.flush();
      return settledWith<void>(undefined);
    },
    adopt(change) {
      const { answer } = change();
      volume.flush();
      return settledWith(answer);
    },
  };
}
