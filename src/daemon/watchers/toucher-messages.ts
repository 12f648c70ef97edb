/** Messages between the daemon and its toucher process. */
import type { Touch } from '../../tree/watchers/touch.js';

export interface TouchBatch {
  /** Byte string: the mount as it is reached now. */
  mountpoint: string;
  /** A name in the mount's root by which the mount recognises the toucher. */
  secret: string;
  touches: readonly Touch[];
}

export interface TouchReport {
  told: number;
  /** How many failed, by errno. */
  failed: Record<number, number>;
}
