/**
 * What a receiver needs to know about its volume's surroundings: a mounted
 * volume has programs that must not wait, and a kernel that must learn of
 * changes.
 */
import type { Deferred } from '../../lib/deferred.js';
import { settledWith } from '../../lib/work.js';
import { TXG_BYTES, TXG_RECORDS } from '../../volume/commit/txgs.js';
import type { AdoptAnswer, RoleMove } from '../../volume/peers/role-commands.js';
import type { Volume } from '../../volume/volume.js';

export interface ReceiveContext {
  /** When the open txg holds this many bytes, it is stored before more comes in. */
  readonly txgBytes: number;
  readonly txgRecords: number;
  /** The writer is behind: settles when the caller should check again. */
  pause(): Deferred<void>;
  /** Settles when the change is durable and no program sees the old state. */
  adopt(change: () => RoleMove<AdoptAnswer>): Deferred<AdoptAnswer>;
}

/** The context of a volume that no other process uses. */
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
