/**
 * Notifications from the tree to the kernel, and the interface that sends them.
 *
 * A separate thread sends them: the kernel takes locks that a request being
 * served may hold, so the serving loop must never send one itself.
 */
import { Deferred } from '../../lib/deferred.js';

export type Notification =
  /**
   * Forget the node's attributes, and its cached pages from `offset` on
   * (`length` 0: to the end; `offset` -1: no pages).
   */
  | { kind: 'inval-inode'; node: number; offset: number; length: number }
  /** Look this name up again. `expireOnly` keeps the cache below it and mounts on it. */
  | { kind: 'inval-entry'; parent: number; name: string; expireOnly: boolean }
  /**
   * The name no longer leads to this node, and the node is gone like a file that lost its last
   * name: programs that watch it get IN_DELETE_SELF and IN_IGNORED.
   */
  | { kind: 'delete'; parent: number; child: number; name: string }
  /** Look every name up again. */
  | { kind: 'inc-epoch' }
  /**
   * Forget these nodes unless they are in use: open, a working directory, or a
   * parent of known names.
   */
  | { kind: 'prune'; nodes: readonly number[] };

export interface Notifier {
  /** Settles when all were written to the kernel; a node unknown to the kernel is not an error. */
  notify(batch: Notification[]): Deferred<void>;
  /** Kernel 6.16 and later. */
  readonly canIncEpoch: boolean;
  /** Kernel 6.2 and later. */
  readonly canExpireOnly: boolean;
  /** Kernel 6.18 and later. */
  readonly canPrune: boolean;
  /** False: a kernel receives the notifications. */
  readonly isSilent: boolean;
}

/** For a tree without a kernel. */
export const SILENT_NOTIFIER: Notifier = {
  notify() {
    const sent = new Deferred<void>();
    sent.resolve();
    return sent;
  },
  canIncEpoch: false,
  canExpireOnly: false,
  canPrune: false,
  isSilent: true,
};
